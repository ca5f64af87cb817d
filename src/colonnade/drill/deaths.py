"""Holds a handle on every database server that is seen, and notes when the kernel says that it ended.

A server that is killed writes no last line; by its pidfd the moment of its end is known to the millisecond, whoever
killed it. Judges nothing. Read next: `sampler`, which finds the servers; `record.Death`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.processes import Process, ProcessId, adopt, start_ticks_of
from colonnade.drill.record import Death


class DeathWatch:
    """Give it each status that is seen. Close it before the event loop ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: dict[ProcessId, Process] = {}
        self.deaths: list[Death] = []

    def look(self, status: Mapping[str, Any]) -> None:
        """Watch the servers that this status names and that still live."""
        for node in (status.get("database") or {}).get("nodes", ()):
            pid = node["pid"]
            ticks = start_ticks_of(pid) if pid else None
            if ticks is None or (identity := ProcessId(pid, ticks)) in self._watched:
                continue
            process = adopt(identity)
            if process is not None:
                self._watched[identity] = process
                process.on_exit(partial(self._note, str(node["name"]), pid))

    def _note(self, node: str, pid: int) -> None:
        self.deaths.append(Death(node, pid, self._clock.monotonic()))

    def close(self) -> None:
        for process in self._watched.values():
            process.close()
        self._watched.clear()
