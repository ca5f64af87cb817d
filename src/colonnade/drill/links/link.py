"""One way from one part to another: its door, the connections on it, and the rule in force.

A link is as good as invisible while its rule is clear: what comes goes on at once, and where it leads to nobody it soon
refuses in the other's name, so that whoever connects is told and may try elsewhere. One thing differs: a connection is
accepted before the other end was reached. The first one after the other's death is reset where it would have been
refused.
Read next: `process`, which has many.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from colonnade.drill.links.connection import Connection, Way
from colonnade.drill.links.door import Door
from colonnade.drill.links.rule import CLEAR, DoorState, Lane, LinkRule

CONNECTIONS_MAX = 2000
"""More are reset. Each takes two sockets; a system under a drill opens some hundred."""

LOOK_AGAIN_S = 0.02
"""Between two looks whether anybody listens again where a link leads."""

LOOK_S_MAX = 1.0
"""For one that stands still and does not even refuse."""

Place = tuple[str, int]


class Link:
    """Open from the beginning. `find_end` tells where it leads now; None while that is not known. It is asked for each
    connection, so whoever moves is found at once."""

    def __init__(self, find_end: Callable[[], Place | None], random: Random) -> None:
        self._find_end = find_end
        self._rule = CLEAR
        self._way = Way(lambda: self._rule, Lane(random), Lane(random))
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_dead_end = False
        self._door = Door(self._enter)
        self._set_door()

    @property
    def port(self) -> int:
        return self._door.port

    @property
    def connections_count(self) -> int:
        return len(self._connections)

    @property
    def is_open(self) -> bool:
        """A new connection is let in."""
        return self._door.state is DoorState.OPEN

    @property
    def rule(self) -> LinkRule:
        return self._rule

    def set(self, rule: LinkRule) -> None:
        self._rule = rule
        self._set_door()
        self._way.towards.rest()
        self._way.back.rest()
        for connection in list(self._connections):
            connection.change()

    def reset(self) -> int:
        """End all connections at once; returns how many."""
        count = len(self._connections)
        for connection in list(self._connections):
            connection.reset()
        return count

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._door.close()
        self.reset()

    def _set_door(self) -> None:
        self._door.set(self._rule.door(is_dead_end=self._is_dead_end))

    def _enter(self, accepted: socket.socket) -> None:
        if len(self._connections) >= CONNECTIONS_MAX:
            accepted.close()
            return
        connection = Connection(self._way, self._connections.discard)
        self._connections.add(connection)
        self._spawn(self._connect(connection, accepted))

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        try:
            await connection.open(accepted)
            if not connection.needs_far:
                return
            end = self._find_end()
            if end is None:
                raise ConnectionRefusedError("nobody said yet where this leads")
            await connection.reach(*end)
        except OSError:
            connection.reset()
            self._note_dead_end()

    def _note_dead_end(self) -> None:
        if not self._is_dead_end:
            self._is_dead_end = True
            self._set_door()
            self._spawn(self._wait_for_somebody())

    async def _wait_for_somebody(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            end = self._find_end()
            if end is None:
                continue
            try:
                async with asyncio.timeout(LOOK_S_MAX):
                    _, writer = await asyncio.open_connection(*end)
            except (OSError, TimeoutError):
                continue
            writer.close()
            break
        self._is_dead_end = False
        self._set_door()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
