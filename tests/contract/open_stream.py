"""Writes at a fixed rate, whatever becomes of the earlier ones: a gap cannot hide behind clients that wait."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
from tests.contract.database_kit import Stream

IN_FLIGHT_MAX = 60
"""More are not sent but counted: a gateway admits fewer connections than max_connections."""


@dataclass
class OpenStream(Stream):
    """One row per intended moment. `not_sent`: there were too many in flight; `failed`: refused before COMMIT."""

    rate_per_s: float = 100.0
    not_sent: int = 0
    intended: dict[int, float] = field(default_factory=dict)
    _idle: list[psycopg.AsyncConnection[Any]] = field(default_factory=list)
    _in_flight: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> OpenStream:
        async with await self.harness.client() as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS numbers (number bigint)")
        self._tasks = [asyncio.create_task(self._send())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in [*self._tasks, *self._in_flight]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._in_flight, return_exceptions=True)
        for connection in self._idle:
            await connection.close()

    async def _send(self) -> None:
        began_s, count = time.monotonic(), 0
        while True:
            count += 1
            at_s = began_s + count / self.rate_per_s
            await asyncio.sleep(max(0.0, at_s - time.monotonic()))
            if len(self._in_flight) >= IN_FLIGHT_MAX:
                self.not_sent += 1
                continue
            number = len(self.attempted)
            self.attempted.append(number)
            self.intended[number] = at_s
            task = asyncio.create_task(self._write_number(number))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _write_number(self, number: int) -> None:
        """Connecting is repeated; what was sent is not."""
        connection: psycopg.AsyncConnection[Any] | None = None
        while connection is None:
            connection = await self._connection()
        self.unknown.add(number)
        try:
            await connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
        except (psycopg.Error, OSError):
            # As pools do: the others lead to the same server, and would only make more unknown outcomes.
            for other in (connection, *self._idle):
                await other.close()
            self._idle.clear()
            return
        except asyncio.CancelledError:
            await connection.close()
            raise
        self.unknown.discard(number)
        self.acknowledged[number] = time.monotonic()
        self._idle.append(connection)

    async def _connection(self) -> psycopg.AsyncConnection[Any] | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        with contextlib.suppress(psycopg.Error, OSError):
            return await self.harness.client()
        await asyncio.sleep(0.02)
        return None
