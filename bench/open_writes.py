"""One small write at each intended moment, whatever became of the earlier ones; and what was lost of it afterwards.

A gap cannot hide behind clients that wait: what is late counts from its intended moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg

RATE_PER_S = 100.0
IN_FLIGHT_MAX = 50
"""More are not sent: a server takes about a hundred connections."""

ATTEMPT_S_MAX = 5.0
"""A connection that says nothing for so long is given up; its write is unknown."""


@dataclass
class OpenWrites:
    dsn: str
    acknowledged_at_s: dict[int, float] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    _sent: int = 0
    _idle: list[psycopg.AsyncConnection[Any]] = field(default_factory=list)
    _in_flight: set[asyncio.Task[None]] = field(default_factory=set)

    async def during(self, body: Callable[[], Awaitable[None]]) -> int:
        """Write while `body` runs. Returns how many acknowledged writes are missing at the end."""
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS numbers (number bigint)")
        sending = asyncio.create_task(self._send())
        try:
            await body()
        finally:
            sending.cancel()
            for task in self._in_flight:
                task.cancel()
            await asyncio.gather(sending, *self._in_flight, return_exceptions=True)
            for connection in self._idle:
                await connection.close()
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            rows = await (await connection.execute("SELECT number FROM numbers")).fetchall()
        return len(self.acknowledged_at_s.keys() - {row[0] for row in rows})

    def gap_s(self, since_s: float) -> float:
        """The longest time without an acknowledgement, from the last one before `since_s` on."""
        times = sorted(self.acknowledged_at_s.values())
        before = max((at for at in times if at <= since_s), default=since_s)
        moments = [before, *(at for at in times if at > since_s)]
        return max((late - early for early, late in pairwise(moments)), default=0.0)

    async def until_acknowledged_after(self, at_s: float, within_s: float = 120.0) -> None:
        deadline_s = time.monotonic() + within_s
        while not any(at > at_s for at in reversed(self.acknowledged_at_s.values())):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"no write was acknowledged for {within_s:.0f} s")
            await asyncio.sleep(0.01)

    async def _send(self) -> None:
        began_s = time.monotonic()
        while True:
            self._sent += 1
            await asyncio.sleep(max(0.0, began_s + self._sent / RATE_PER_S - time.monotonic()))
            if len(self._in_flight) < IN_FLIGHT_MAX:
                task = asyncio.create_task(self._write(self._sent))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)

    async def _write(self, number: int) -> None:
        """Connecting is repeated, what was sent is not."""
        connection: psycopg.AsyncConnection[Any] | None = None
        while connection is None:
            connection = await self._connection()
        self.unknown.add(number)
        try:
            async with asyncio.timeout(ATTEMPT_S_MAX):
                await connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
        except psycopg.errors.ReadOnlySqlTransaction:
            self.unknown.discard(number)  # a standby said no: nothing was written
            await self._distrust(connection)
        except (psycopg.Error, OSError, TimeoutError):
            await self._distrust(connection)
        else:
            self.unknown.discard(number)
            self.acknowledged_at_s[number] = time.monotonic()
            self._idle.append(connection)

    async def _distrust(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """As pools do: the others lead to the same server."""
        for each in (connection, *self._idle):
            await each.close()
        self._idle.clear()

    async def _connection(self) -> psycopg.AsyncConnection[Any] | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
            async with asyncio.timeout(ATTEMPT_S_MAX):
                return await psycopg.AsyncConnection.connect(self.dsn, autocommit=True)
        await asyncio.sleep(0.02)
        return None
