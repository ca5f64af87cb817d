"""One way from one part to another: its door, the connections on it, and the rule in force.

A link is as good as invisible while its rule is clear: what comes goes on at once, and where it leads to nobody it
refuses in the other's name, so that whoever connects is told and may try elsewhere. One thing differs: a connection is
accepted before the other end was reached. In the moment between the other's death and our noticing (by a connection of
its that is closed, or the next one that is refused) it is reset where it would have been refused.
Read next: `process`, which has many.
"""

from __future__ import annotations

import asyncio
import errno
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
        self._way = Way(lambda: self._rule, Lane(random), Lane(random), self._look_soon)
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_dead_end = False
        self._looked_at_s = 0.0
        self._look: asyncio.TimerHandle | None = None
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
        self._cancel_look()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._door.close()
        self.reset()
        self._cancel_look()

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

    def _look_soon(self) -> None:
        """At once, but not more often than it makes sense: servers close connections for many reasons."""
        if self._look is None:
            loop = asyncio.get_running_loop()
            self._look = loop.call_at(max(loop.time(), self._looked_at_s + LOOK_AGAIN_S), self._look_now)

    def _look_now(self) -> None:
        self._look, self._looked_at_s = None, asyncio.get_running_loop().time()
        end = self._find_end()
        if end is not None and is_refused(end):
            self._note_dead_end()

    def _cancel_look(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

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


def is_refused(place: Place) -> bool:
    """Whether a connection to a place on loopback is refused at once; the kernel answers before it returns to us. One
    that is not refused is dropped again, which servers take for a client that changed its mind."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as probe:
        failed = probe.connect_ex(place)
        if failed == errno.EINPROGRESS:
            failed = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return failed == errno.ECONNREFUSED
