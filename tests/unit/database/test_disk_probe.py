"""Asking the disk itself: never waiting for it, never more than one write at a time."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from colonnade.database import disk_probe
from colonnade.database.disk_probe import DiskProbe


async def answer_of(probe: DiskProbe) -> bool | None:
    for _ in range(200):
        if (answer := probe.ask()) is not None:
            return answer
        await asyncio.sleep(0.002)
    return None


def test_sound_disk_answers_and_keeps_no_file(tmp_path: Path) -> None:
    (tmp_path / disk_probe.FILE).symlink_to(tmp_path / "elsewhere")
    assert asyncio.run(answer_of(DiskProbe(tmp_path)))
    for _ in range(100):
        if not list(tmp_path.iterdir()):
            break
        time.sleep(0.002)
    assert list(tmp_path.iterdir()) == []


def test_directory_that_takes_no_file_does_not_answer(tmp_path: Path) -> None:
    assert asyncio.run(answer_of(DiskProbe(tmp_path / "gone"))) is False


def test_stuck_disk_holds_one_thread_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freed, calls = threading.Event(), []

    def stuck(descriptor: int) -> None:
        calls.append(descriptor)
        freed.wait(5)

    # A patch, for no file system of a test's hangs on demand.
    monkeypatch.setattr(os, "fsync", stuck)
    monkeypatch.setattr(disk_probe, "DISK_S_MAX", 0.02)

    async def body() -> None:
        probe = DiskProbe(tmp_path)
        assert probe.ask() is None
        await asyncio.sleep(0.03)
        assert [probe.ask() for _ in range(5)] == [False] * 5
        freed.set()
        await asyncio.sleep(0.02)
        assert probe.ask() is False, "it came too late"
        assert await answer_of(probe)

    asyncio.run(body())
    assert len(calls) >= 2
