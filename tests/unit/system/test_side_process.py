"""Real processes beside those that serve: what is told, and what the next controller finds."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from colonnade.core import processes
from colonnade.core.clock import Clock, SimulatedClock, SystemClock
from colonnade.core.errors import HostError
from colonnade.core.events import EventLog
from colonnade.core.files import read_json
from colonnade.core.processes import Command, Process
from colonnade.system import side_process
from colonnade.system.side_process import QUICK_ENDS_TOLD, SideProcess, adopt_recorded, answers_http

URL = "http://127.0.0.1:1"


def command(directory: Path, *argv: str) -> Callable[[], AbstractContextManager[Command]]:
    return lambda: nullcontext(Command(argv, directory, {"PATH": os.environ["PATH"]}, directory / "x.log"))


def running(process: SideProcess, until: Callable[[], bool]) -> None:
    """Keep it going until something is so; then end it."""

    async def run() -> None:
        keeping = asyncio.create_task(process.run(URL))
        try:
            async with asyncio.timeout(20):
                while not until():
                    assert not keeping.done(), keeping.exception()
                    await asyncio.sleep(0.005)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await process.stop(1.0)

    asyncio.run(run())


def made(tmp_path: Path, clock: Clock, events: EventLog, *argv: str) -> SideProcess:
    return SideProcess("page", tmp_path / "there" / "process.json", command(tmp_path, *argv), events, clock)


def test_one_that_cannot_live_does_not_fill_the_events(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    clock = SimulatedClock()
    events = EventLog(clock)
    process = made(tmp_path, clock, events, "/bin/false")
    running(process, lambda: process.restarts >= 3 * QUICK_ENDS_TOLD)
    told = Counter(event.kind for event in events.recent())
    assert told["page_exited"] == told["page_started"] == QUICK_ENDS_TOLD
    assert told["page_crash_looping"] == 1


def test_a_record_that_is_refused_is_written_as_soon_as_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_process, "RECORD_AGAIN_S", 0.01)  # it waits for the disk, which no clock of ours drives
    events = EventLog(SystemClock())
    process = made(tmp_path, SystemClock(), events, sys.executable, "-c", "import time; time.sleep(60)")
    record = tmp_path / "there" / "process.json"
    found: list[object] = []

    def is_recorded() -> bool:
        if process.pid is not None and not record.parent.exists():
            record.parent.mkdir()
        if record.exists():
            found.append((read_json(record) or {}).get("pid") == process.pid)
        return bool(found)

    running(process, is_recorded)
    assert found == [True]
    assert [event.kind for event in events.recent()] == ["page_started", "page_not_recorded"]


def test_what_cannot_be_opened_for_it_is_told_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    clock = SimulatedClock()
    events = EventLog(clock)

    def refused() -> AbstractContextManager[Command]:
        raise PermissionError("no")

    process = SideProcess("page", tmp_path / "there" / "process.json", refused, events, clock)
    running(process, lambda: process.restarts >= 2)
    told = [event.kind for event in events.recent()]
    assert told[:2] == ["page_start_failed", "page_start_failed"]


class Life:
    """What a process says to each question; at the end of the script it answers for ever."""

    def __init__(self, script: str) -> None:
        self.script = list(script)
        self.asked = 0

    async def __call__(self) -> bool:
        self.asked += 1
        return self.script.pop(0) == "+" if self.script else True


@pytest.mark.parametrize(
    ("script", "killed"),
    [("+---", 1), ("+--+--+-", 0), ("---+--+", 0), ("+---+---", 2), ("", 0)],
    ids=["silent", "stalls", "slow start", "twice", "well"],
)
def test_one_that_is_silent_is_killed_and_one_that_stalls_is_not(tmp_path: Path, script: str, killed: int) -> None:
    (tmp_path / "there").mkdir()
    clock = SimulatedClock()
    events = EventLog(clock)
    life = Life(script)
    sleeping = command(tmp_path, sys.executable, "-c", "import time; time.sleep(60)")
    process = SideProcess("page", tmp_path / "there" / "process.json", sleeping, events, clock, life)
    running(process, lambda: life.asked > len(script) + 3)
    told = Counter(event.kind for event in events.recent())
    assert (told["page_silent"], told["page_exited"], process.restarts) == (killed, killed, killed)


def test_one_that_does_not_die_ends_nobody_else_and_is_replaced_once_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only a disk that hangs keeps a process from dying, and none hangs at our word.
    async def refused(process: Process) -> None:
        monkeypatch.undo()
        raise HostError("process group 7 does not die", subject="7", hint="it waits for the disk")

    monkeypatch.setattr(processes, "kill", refused)
    (tmp_path / "there").mkdir()
    clock = SimulatedClock()
    events = EventLog(clock)
    sleeping = command(tmp_path, sys.executable, "-c", "import time; time.sleep(60)")
    process = SideProcess("page", tmp_path / "there" / "process.json", sleeping, events, clock, Life("+---"))
    first: list[int | None] = []

    def is_replaced() -> bool:
        kinds = [event.kind for event in events.recent()]
        if kinds[-1:] == ["page_kill_failed"] and not first:
            first.append(process.pid)
            process.send(signal.SIGKILL)
        return kinds.count("page_started") == 2

    running(process, is_replaced)
    told = [event.kind for event in events.recent()]
    assert told[:5] == ["page_started", "page_silent", "page_kill_failed", "page_exited", "page_started"]
    assert first[0] is not None, "it counts as running until it has ended"


@pytest.mark.parametrize(("answer", "expected"), [(b"HTTP/1.1 503 No\r\n\r\n", True), (b"", False), (None, False)])
def test_only_a_byte_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch, answer: bytes | None, expected: bool) -> None:
    """None: it accepts and says nothing, as one that is frozen does."""
    monkeypatch.setattr(side_process, "ANSWER_S_MAX", 5.0 if answer is not None else 0.05)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await is_over.wait()
        else:
            writer.write(answer)
        writer.close()
        ended.set()

    is_over, ended = asyncio.Event(), asyncio.Event()

    async def run() -> bool:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            found = await answers_http(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/healthz")
            is_over.set()
            await ended.wait()
        return found

    assert asyncio.run(run()) is expected
    assert asyncio.run(answers_http("http://127.0.0.1:1/healthz")) is False


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": null, "start_ticks": 1}'])
def test_a_record_that_nobody_can_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "process.json").write_text(text)
    assert adopt_recorded(tmp_path / "process.json") is None


def test_one_that_runs_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    argv = (sys.executable, "-c", "import time; time.sleep(60)")
    events = EventLog(SystemClock())
    first, second = (made(tmp_path, SystemClock(), events, *argv) for _ in range(2))

    async def run() -> None:
        for each in (first, second):
            keeping = asyncio.create_task(each.run(URL))
            async with asyncio.timeout(20):
                while each.pid is None or not (tmp_path / "there" / "process.json").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        assert first.pid == second.pid
        second.send(signal.SIGTERM)
        await second.stop(1.0)

    asyncio.run(run())
    assert [event.kind for event in events.recent()] == ["page_started"]
