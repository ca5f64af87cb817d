"""Keeps connections open between requests, and hands out only those that still live.

A connection whose server has said goodbye while idle is dropped before use: using it would invent a failure that
no user of a browser would see. What it cannot see is a goodbye that crosses the request on the way; that ends as
`closed_on_reuse`, and `runner` decides whether it may be sent again.
"""

import asyncio

from colonnade.drill.load.connection import Connection, open_connection
from colonnade.drill.load.target import Target

IDLE_MAX = 1_024
"""Idle connections kept; more than any server in reach wants to hold. Those beyond it are closed."""
CLOSE_S = 1.0
"""How long closing waits for the event loop to let go of the sockets; it takes milliseconds."""


class Pool:
    """Connections to one target. The most recently used goes first, so that the number in use stays small."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self.opened_count = 0
        self.dead_idle_count = 0
        """Kept-alive connections found dead before use: failures that were not invented."""

    async def take(self) -> Connection:
        """A live connection, idle or new. Raises ExchangeFailed when no new one can be had."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable():
                return connection
            self.dead_idle_count += 1
            connection.cut()
        return await self.open()

    async def open(self) -> Connection:
        """A new connection. Raises ExchangeFailed."""
        connection = await open_connection(self._target.address, self._target.port)
        self.opened_count += 1
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next request if it can serve one."""
        if connection.is_reusable() and len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.cut()

    async def close(self) -> None:
        """Close everything and wait until the event loop has let go."""
        closing = [connection.closed for connection in self._open]
        for connection in tuple(self._open):
            connection.cut()
        self._idle.clear()
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_S)
