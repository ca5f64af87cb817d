"""What the controller wrote and a power cut leaves: each file as it was last flushed, under the names that their
directory was last flushed with, and nothing else. From that the cluster comes back, with everything acknowledged.

PostgreSQL's own files are its own business (`fsync` and its kin are asserted in test_database_failures.py): they keep
what the kernel has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import time
from pathlib import Path
from typing import Literal

import pytest
from tests.contract.database_kit import Harness, Stream, running_cluster

from colonnade.database.fence import processes_in
from colonnade.database.record import RecordFile

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Disk:
    """What is flushed of the files right below some directories, told by the calls of fsync in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._contents: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int]] = {}
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._flush)

    def _flush(self, descriptor: int) -> None:
        self._fsync(descriptor)
        about = os.fstat(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}")
        if stat.S_ISREG(about.st_mode):
            self._contents[about.st_ino] = path.read_bytes()
        elif stat.S_ISDIR(about.st_mode):
            entries = [entry for entry in os.scandir(path) if entry.is_file(follow_symlinks=False)]
            self._names[path.readlink()] = {entry.name: entry.inode() for entry in entries}

    def lose_what_is_not_flushed(self, directory: Path) -> list[str]:
        """Leave in `directory` what a power cut may leave at worst. Returns the names of files that are no more."""
        kept = self._names.get(directory, {})
        lost = []
        for entry in list(os.scandir(directory)):
            if not entry.is_file(follow_symlinks=False):
                continue
            if entry.name not in kept:
                Path(entry.path).unlink()
                lost.append(entry.name)
        for name, inode in kept.items():
            path = directory / name
            if not path.exists() or path.stat().st_ino != inode or path.read_bytes() != self._contents.get(inode, b""):
                path.write_bytes(self._contents.get(inode, b""))
        return lost


async def cut_the_power(harness: Harness, disk: Disk) -> list[str]:
    """Every process at once, and what was not flushed of the controller's files. Returns the names that are lost."""
    await harness.end_loop()
    for pid in processes_in(tuple(harness.paths.node(name) for name in "abc")):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    places = [harness.paths.root, harness.paths.history]
    return [name for place in places if place.is_dir() for name in disk.lose_what_is_not_flushed(place)]


@pytest.mark.parametrize(("method", "when"), [("promote", "before"), ("promote", "after"), ("keep_history", "after")])
def test_what_was_decided_is_on_disk_before_it_is_done(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, method: str, when: Literal["before", "after"]
) -> None:
    disk = Disk(monkeypatch)

    async def story() -> None:
        async with running_cluster(work_dir) as harness:
            await harness.until_well()
            async with Stream(harness) as stream:
                await harness.replace_controller(harness.doomed_controller(method, when))
                await harness.until_well()
                old = harness.primary
                os.kill(harness.pid(old), signal.SIGKILL)
                await harness.until(harness.has_loop_ended, f"the controller dies: {method}")
                known = RecordFile(harness.paths.record).load()
                await cut_the_power(harness, disk)
                kept = RecordFile(harness.paths.record).load()
                assert kept == known, "the record is what was decided, not a version of it from before"
                assert kept is not None
                assert kept.primary != old
                await harness.replace_controller()
                assert harness.primary == kept.primary
                await stream.until_acknowledged_after(time.monotonic())
            await harness.until_well()
            await stream.check()

    asyncio.run(story())


def test_a_file_that_is_renamed_and_not_flushed_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the disk of these tests does lose: otherwise they prove nothing."""
    disk = Disk(monkeypatch)
    for name, is_flushed in (("kept", True), ("lost", False)):
        with (tmp_path / f".{name}").open("w") as file:
            file.write(name)
            if is_flushed:
                file.flush()
                os.fsync(file.fileno())
        (tmp_path / f".{name}").rename(tmp_path / name)
        if is_flushed:
            descriptor = os.open(tmp_path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
    assert disk.lose_what_is_not_flushed(tmp_path) == ["lost"]
    assert (tmp_path / "kept").read_text() == "kept"
