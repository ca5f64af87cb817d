"""The dashboard's real process, kept going by its part: the bounds of a wait are shortened, nothing else is made up."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette

from colonnade.core.clock import SystemClock
from colonnade.core.events import EventLog
from colonnade.system import side_process
from colonnade.system.dashboard_part import DashboardPart, DashboardPaths

WAIT_S = 60.0


@pytest.mark.slow
def test_a_frozen_dashboard_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bound, shortened_s in (("ASK_EVERY_S", 0.1), ("ASK_AGAIN_S", 0.1), ("ANSWER_S_MAX", 1.0)):
        monkeypatch.setattr(side_process, bound, shortened_s)
    paths = DashboardPaths(tmp_path / "dashboard", tmp_path / "log", tmp_path / "nobody.sock")
    paths.data.mkdir(parents=True)
    events = EventLog(SystemClock())
    env = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        part = DashboardPart(paths, str(tmp_path), address, listener.fileno(), None, env, events, SystemClock())

        async def run() -> None:
            keeping = asyncio.create_task(part.run(Starlette()))
            try:
                async with asyncio.timeout(WAIT_S):
                    await _until(lambda: part.describe()["pid"] is not None)
                    old = part.describe()["pid"]
                    while not await side_process.answers_http(f"{part.url}/healthz"):
                        pass
                    await asyncio.sleep(0.5)  # for the part to have asked as well
                    os.kill(old, signal.SIGSTOP)
                    await _until(lambda: part.describe()["pid"] not in (None, old))
                    while not await side_process.answers_http(f"{part.url}/healthz"):
                        pass
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                await part.stop()

        asyncio.run(run())
    (told,) = [event for event in events.recent() if event.kind == "dashboard_silent"]
    assert "did not answer 3 times in a row" in told.message


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 — a process of its own sets no event of ours
        await asyncio.sleep(0.01)
