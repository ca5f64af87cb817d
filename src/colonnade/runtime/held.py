"""A replica as its controller holds it: the last observation, the process, and the task that is at work on it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from colonnade.core.processes import Process
from colonnade.runtime.registry import RegisteredReplica
from colonnade.runtime.state import ObservedReplica, ReplicaState


@dataclass(slots=True)
class HeldReplica:
    observed: ObservedReplica
    process: Process | None = None
    task: asyncio.Task[None] | None = None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Instead of what was being done to it."""
        self.cancel()
        self.task = asyncio.create_task(work)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None

    def end_group(self) -> None:
        """The leader is dead; its workers may not be, and they still hold the port."""
        if self.process is not None:
            self.process.send_group(signal.SIGKILL)
            self.process.close()
            self.process = None

    def registered(self) -> RegisteredReplica | None:
        """What a next controller needs to adopt it; None while no process of it runs."""
        seen = self.observed
        if self.process is None or seen.port is None:
            return None
        return RegisteredReplica(
            seen.id,
            self.process.identity,
            seen.port,
            is_ready=seen.state is ReplicaState.READY,
            total_restarts=seen.history.total_restarts,
            version=seen.version,
            is_draining=seen.state is ReplicaState.DRAINING,
            is_held=seen.is_held,
        )
