"""Rewinds and clones: they take long and run beside everything else; how they ended is seen by the next look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import ColonnadeError
from colonnade.core.events import EventLog
from colonnade.database.node import Node
from colonnade.database.state import NodeName


class Operations:
    """One at a time for each node. `ended` is called when one has ended."""

    def __init__(self, events: EventLog, clock: Clock, ended: Callable[[], None]) -> None:
        self._events = events
        self._clock = clock
        self._ended = ended
        self._tasks: dict[NodeName, asyncio.Task[None]] = {}

    def begin(self, node: Node, name: str, generation: int, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, a `clone` or a `rewind`; no-op while one is under way for this node."""
        if node.memory.operation:
            work.close()
            return
        node.memory.operation = name
        task = asyncio.create_task(self._run(node, name, generation, work), name=f"database-{name}-{node.name}")
        self._tasks[node.name] = task

    async def cancel(self, node: Node) -> None:
        """End what is under way for the node, tools included."""
        if (task := self._tasks.pop(node.name, None)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, node: Node, name: str, generation: int, work: Coroutine[Any, Any, None]) -> None:
        started_s = self._clock.monotonic()
        subject = f"database/{node.name}"
        try:
            await work
        except ColonnadeError as error:
            node.note_failure()
            self._events.emit(f"node_{name}_failed", subject, reason=f"{name}_failed", message=str(error))
        else:
            node.memory.restored_generation = generation
            node.memory.failures = 0
            took_s = self._clock.monotonic() - started_s
            message = f"{node.name} was {'cloned' if name == 'clone' else 'rewound'} in {took_s:.2f} s"
            self._events.emit(f"node_{name}_done", subject, reason=f"{name}_done", message=message)
        finally:
            node.memory.operation = ""
            self._ended()
