"""One server as the driver holds it: its process, its connection, and what is remembered between two looks.

Nothing here decides; `observe` turns a look at the process, the directory and the server into an `ObservedNode`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from colonnade.core.clock import Clock
from colonnade.core.proc import read_stat
from colonnade.core.processes import Process, ProcessId, adopt, start_ticks_of
from colonnade.database.disk_probe import DiskProbe
from colonnade.database.driver import DatabasePaths
from colonnade.database.fence import processes_in
from colonnade.database.foreign import owner_of, read_foreign
from colonnade.database.history import history_name, newest_timeline, read_forks
from colonnade.database.monitor import Look, Monitor
from colonnade.database.shared_memory import Segment, segment_of
from colonnade.database.state import Address, NodeName, ObservedNode, Position

RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0
"""A start, rewind or clone that failed is tried again after 0.5 s, doubled each time up to 30 s."""


@dataclass(slots=True)
class Memory:
    """What no single look can say."""

    is_proved_dead: bool = False
    dead_since_s: float | None = None
    unlinked_since_s: float | None = None
    answered: bool = False
    opening_lsn: int | None = None
    operation: str = ""
    restored_generation: int = 0
    failures: int = 0
    retry_at_s: float = 0.0
    has_old_settings: bool = False


def is_stopped(pid: int) -> bool:
    """True when the process was frozen by a signal (T) or by a tracer (t); field 3 of /proc/PID/stat."""
    try:
        return read_stat(pid)[0] in (b"T", b"t")
    except (FileNotFoundError, ProcessLookupError):
        return False


def own_free_bytes(directory: Path, root: Path) -> int | None:
    """What is free on the file system of `directory`; None where it is that of `root`, or is gone."""
    try:
        if directory.stat().st_dev == root.stat().st_dev:
            return None
        about = os.statvfs(directory)
    except OSError:
        return None
    return about.f_bavail * about.f_frsize


class Node:
    """The handle on one member."""

    def __init__(self, name: NodeName, paths: DatabasePaths, clock: Clock) -> None:
        self.name = name
        self.directory = paths.node(name)
        self.unfinished = self.directory.with_name(f"{name}.new")
        self._version_file = self.directory / "PG_VERSION"
        self._control_file = self.directory / "global" / "pg_control"
        self.port = 0
        self.process: Process | None = None
        self.monitor: Monitor | None = None
        self.memory = Memory()
        self._disk = DiskProbe(self.directory)
        self._segment: Segment | None = None
        self._paths = paths
        self._clock = clock

    @property
    def shared_memory(self) -> Segment | None:
        """What its last run made; remembered, because its directory may be gone by the time that it matters."""
        return segment_of(self.directory) or self._segment

    @property
    def exists(self) -> bool:
        return self._version_file.exists()

    @property
    def pg_wal(self) -> Path:
        return self.directory / "pg_wal"

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    @property
    def is_running(self) -> bool:
        return self.process is not None and not self.process.has_exited()

    def attach(self, process: Process, monitor: Monitor, wake: Callable[[], None]) -> None:
        """From now on this is its process."""
        self.process, self.monitor = process, monitor
        memory = self.memory
        self.memory = Memory(failures=memory.failures, retry_at_s=memory.retry_at_s)
        process.on_exit(wake)

    async def detach(self) -> None:
        """Its process is gone or no longer ours to look at."""
        monitor, self.monitor = self.monitor, None
        process, self.process = self.process, None
        if monitor is not None:
            await monitor.close()
        if process is not None:
            process.close()

    def running_postmaster(self) -> Process | None:
        """The server that runs in this directory, whoever started it; None when there is none."""
        try:
            lock = read_foreign(self.directory / "postmaster.pid", owner_of(self.directory))
            pid = int(lock.split(b"\n", 1)[0])
        except (OSError, ValueError):
            return None
        if pid not in processes_in((self.directory,)):
            return None
        ticks = start_ticks_of(pid)
        return adopt(ProcessId(pid, ticks)) if ticks is not None else None

    def note_failure(self) -> None:
        memory = self.memory
        memory.failures += 1
        memory.retry_at_s = self._clock.monotonic() + min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** (memory.failures - 1))

    async def observe(self, ports: Mapping[int, NodeName], *, asks_disk: bool = False) -> ObservedNode:
        now, memory = self._clock.monotonic(), self.memory
        look: Look | None = None
        is_writing: bool | None = None
        if self.is_running and self.monitor is not None:
            look = await self.monitor.look()
            is_writing = await self.monitor.is_writing(look) if look else None
        if not self.is_running:
            self._note_death(now)
            look = is_writing = None
        elif look is not None:
            self._note_answer(look, now)
        process = self.process if self.is_running else None
        return ObservedNode(
            name=self.name,
            exists=self.exists,
            is_running=process is not None,
            is_proved_dead=memory.is_proved_dead,
            dead_since_s=memory.dead_since_s,
            operation=memory.operation,
            restored_generation=memory.restored_generation,
            answered_before=memory.answered,
            in_recovery=look.in_recovery if look else None,
            position=self._position(look) if look else None,
            replay_lsn=look.replay_lsn if look else None,
            upstream=ports.get(look.upstream_port or 0) if look else None,
            is_quiet=look is not None and look.in_recovery and not look.is_receiving and look.is_replayed,
            is_streaming=look is not None and look.is_streaming,
            unlinked_since_s=memory.unlinked_since_s,
            is_history_kept=self._is_history_kept(look),
            opening_lsn=memory.opening_lsn,
            own_free_bytes=own_free_bytes(self.directory, self._paths.root),
            followers=look.followers if look else (),
            address=self.address if self.port else None,
            pid=process.pid if process else None,
            process_key=f"{process.identity.pid}.{process.identity.start_ticks}" if process else "",
            failures=memory.failures,
            retry_at_s=memory.retry_at_s,
            is_stopped=process is not None and self._is_stopped(process),
            is_writing=is_writing,
            quorum=look.quorum if look else None,
            disk_answers=self._disk.ask() if asks_disk else None,
            is_data_gone=process is not None and not self._control_file.exists(),
            has_old_settings=memory.has_old_settings and process is not None,
            limits=look.limits if look else (),
        )

    def _is_stopped(self, process: Process) -> bool:
        backend_pid = self.monitor.backend_pid if self.monitor is not None else None
        return is_stopped(process.pid) or (backend_pid is not None and is_stopped(backend_pid))

    def _note_death(self, now: float) -> None:
        memory = self.memory
        if memory.dead_since_s is None:
            memory.dead_since_s = now
            memory.opening_lsn = None
            if self.process is not None and not memory.answered:
                self.note_failure()  # it never got so far as to answer

    def _note_answer(self, look: Look, now: float) -> None:
        memory = self.memory
        if not memory.answered:
            self._segment = segment_of(self.directory)
        memory.answered = True
        if look.in_recovery:
            memory.opening_lsn = None
            if look.is_streaming:
                memory.unlinked_since_s = None
                memory.failures = 0
            elif memory.unlinked_since_s is None:
                memory.unlinked_since_s = now
        elif memory.opening_lsn is None:
            memory.opening_lsn = look.lsn
            memory.failures = 0

    def _position(self, look: Look) -> Position | None:
        timeline = look.timeline if look.timeline is not None else newest_timeline(self.pg_wal)
        if timeline is None or look.lsn is None:
            return None
        forks = read_forks(timeline, self.pg_wal, self._paths.history)
        return None if forks is None else Position(timeline, look.lsn, forks)

    def _is_history_kept(self, look: Look | None) -> bool:
        if look is None or look.in_recovery or look.timeline in (None, 1):
            return True
        return (self._paths.history / history_name(look.timeline or 0)).exists()
