"""A process beside those that serve: adopted or started, and started anew whenever it ends or no longer answers. It may
die, and nothing else notices. What it is, is the affair of whoever gives the command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.errors import HostError
from colonnade.core.events import EventLog
from colonnade.core.files import read_json, write_json_atomically
from colonnade.core.processes import Command, Process, ProcessId

STABLE_AFTER_S = 10.0
"""One that lived this long is started again at once."""

RESTART_DELAY_S = 0.2
RESTART_DELAY_S_MAX = 10.0
"""Before one that ends again and again is started, doubling."""

QUICK_ENDS_TOLD = 5
"""In a row. Told each time, one that cannot live would push everything else out of the events within hours."""

RECORD_AGAIN_S = 5.0
"""Until a record that the disk refused is written."""

ASK_EVERY_S = 5.0
"""Between two questions whether it still answers; each costs both sides about a millisecond."""

ASK_AGAIN_S = 1.0
"""After one that was not answered, and until the first one is."""

ANSWER_S_MAX = 3.0
SILENT_MAX = 3
"""Questions in a row without an answer: then it is killed. So one that is frozen is replaced after about 16 s, and a
stall of the machine, or of the controller, kills nobody."""

FIRST_ANSWER_S_MAX = 30.0
"""Its imports take half a second, and many on a machine that is busy: so long it may take to answer at first."""


class SideProcess:
    """`name` begins its events (`dashboard_started`); `record` says to the next controller which process it is. What
    the context of `command` holds open is closed once the process is there."""

    def __init__(
        self,
        name: str,
        record: Path,
        command: Callable[[], AbstractContextManager[Command]],
        events: EventLog,
        clock: Clock,
        answers: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._name = name
        self._answers = answers
        self._record = record
        self._command = command
        self._events = events
        self._clock = clock
        self._process: Process | None = None
        self._is_recorded = False
        self._quick_ends = 0
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """None while none runs."""
        return self._process.pid if self._process is not None and not self._process.has_exited() else None

    def describe(self, url: str) -> dict[str, Any]:
        """For `status`."""
        return {"pid": self.pid, "url": url, "restarts": self.restarts}

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(number)

    async def run(self, url: str) -> None:
        """Keep one going, which answers at `url`."""
        self._process = self.recorded()
        self._is_recorded = self._process is not None
        delay_s = 0.0
        while True:
            began_s = self._clock.monotonic()
            if self._process is None:
                self._start(url)
            if self._process is not None:
                async with asyncio.TaskGroup() as group:
                    watching = group.create_task(self._kill_when_silent(self._process))
                    await self._until_ended(self._process)
                    watching.cancel()
                self._tell_end(self._process)
                self._process.close()
                self._process = None
            self.restarts += 1
            is_stable = self._clock.monotonic() - began_s >= STABLE_AFTER_S
            self._quick_ends = 0 if is_stable else self._quick_ends + 1
            if self._quick_ends == QUICK_ENDS_TOLD:
                message = (
                    f"{self._name} ended {QUICK_ENDS_TOLD} times in a row; it is tried again, and told when it stays"
                )
                self._events.emit(f"{self._name}_crash_looping", self._name, reason="crash_loop", message=message)
            delay_s = 0.0 if is_stable else min(RESTART_DELAY_S_MAX, max(RESTART_DELAY_S, 2 * delay_s))
            await self._clock.sleep(delay_s)

    async def stop(self, grace_period_s: float) -> None:
        """End it, whoever started it."""
        process = self._process or self.recorded()
        if process is not None:
            await processes.stop(process, grace_period_s=grace_period_s)
            process.close()
        self._process = None
        self._record.unlink(missing_ok=True)

    def recorded(self) -> Process | None:
        """The process that an earlier controller started, if it lives."""
        return adopt_recorded(self._record)

    def _start(self, url: str) -> None:
        try:
            with self._command() as command:
                self._process = processes.start(command)
        except (HostError, OSError) as error:  # what the command opens may be refused as well
            self._tell("start_failed", "host_refused", str(error))
            return
        self._is_recorded = self._write_record(self._process)
        self._tell("started", "declared", f"{self._name} {self._process.pid} at {url}")
        if not self._is_recorded:
            self._tell("not_recorded", "host_refused", f"{self._record} cannot be written; trying again")

    def _write_record(self, process: Process) -> bool:
        identity = process.identity
        try:
            write_json_atomically(self._record, {"pid": identity.pid, "start_ticks": identity.start_ticks})
        except HostError:
            return False
        return True

    async def _until_ended(self, process: Process) -> None:
        """Meanwhile the record is written, if it is not yet: else the next controller would start a second one."""
        ended = asyncio.Event()
        process.on_exit(ended.set)
        while not self._is_recorded:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECORD_AGAIN_S):
                    await ended.wait()
                return
            self._is_recorded = self._write_record(process)
        await ended.wait()

    async def _kill_when_silent(self, process: Process) -> None:
        """Nothing but a question now and then, as long as it answers."""
        if self._answers is None:
            return
        began_s = self._clock.monotonic()
        has_answered, silent = False, 0
        while silent < SILENT_MAX:
            await self._clock.sleep(ASK_EVERY_S if has_answered and not silent else ASK_AGAIN_S)
            if await self._answers():
                has_answered, silent = True, 0
            elif has_answered or self._clock.monotonic() - began_s > FIRST_ANSWER_S_MAX:
                silent += 1
        message = f"{self._name} {process.pid} did not answer {SILENT_MAX} times in a row: it is killed"
        self._tell("silent", "no_answer", message)
        try:
            await processes.kill(process)
        except HostError as error:  # it waits for the disk, say; the signal stays with it
            self._tell("kill_failed", "host_refused", f"{error}; another one is started as soon as it has ended")

    def _tell_end(self, process: Process) -> None:
        code = process.exit_code
        message = f"{self._name} {process.pid} ended" + (f" (exit code {code})" if code is not None else "")
        self._tell("exited", "process_exited", message)

    def _tell(self, what: str, reason: str, message: str) -> None:
        if self._quick_ends < QUICK_ENDS_TOLD:
            self._events.emit(f"{self._name}_{what}", self._name, reason=reason, message=message)


async def answers_http(url: str) -> bool:
    """Whether GET brings back anything at all within ANSWER_S_MAX. A frozen process accepts (the kernel does) and says
    nothing."""
    parts = urlsplit(url)
    writer = None
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
            return bool(await reader.read(1))
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def adopt_recorded(record: Path) -> Process | None:
    """The process that an earlier controller started, if it lives. A record that cannot be read is none."""
    try:
        found = read_json(record)
        return processes.adopt(ProcessId(found["pid"], found["start_ticks"])) if found is not None else None
    except (HostError, KeyError, TypeError):
        return None
