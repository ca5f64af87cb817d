"""One connection to one server, over its unix socket, as the superuser whose connections are reserved.

Whatever is asked on it can be given up at any moment, by closing the socket: a cancel request would talk to the very
server that does not answer, and wait for it, and a cancelled COMMIT claims success. Who asks what, and how long it is
waited for, is for `monitor.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from colonnade.database.secrets import SUPERUSER

APPLICATION_NAME = "colonnade-controller"
"""By this and its user the controller's own sessions are told from those of clients."""

CONNECT_S_MAX = 5
"""For one attempt to connect; a frozen postmaster lets us in the queue and never answers."""

CLOSE_S_MAX = 1.0
"""How long `close` waits for what was asked to notice that its socket is closed: it takes a round of the loop."""

Rows = list[tuple[Any, ...]]
Parameters = Sequence[object] | Mapping[str, object]


class Session:
    """Connects when it is first asked something, and anew after an error. One statement at a time."""

    def __init__(self, sockets: Path, port: int, password: str) -> None:
        self._sockets = sockets
        self._port = port
        self._password = password
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Rows]] = set()
        self._asking: asyncio.Task[Any] | None = None
        self._is_closed = False

    @property
    def backend_pid(self) -> int | None:
        """The server's process behind this connection; None while there is no connection."""
        connection = self._connection
        return None if connection is None or connection.closed else connection.info.backend_pid

    def begin(self, statement: LiteralString, parameters: Parameters = ()) -> asyncio.Task[Rows]:
        """Ask in a transaction of its own; whoever cancels the task calls `close` instead. Raises, in the task,
        psycopg.Error or OSError."""
        task = asyncio.create_task(self._ask(statement, parameters))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def ask(self, statement: LiteralString, parameters: Parameters = (), *, time_limit_s: float) -> Rows:
        """The answer within the limit. Raises TimeoutError, psycopg.Error, OSError; after a time-out, or when the
        caller is cancelled, the connection is closed and the server may still do what it was asked."""
        task = self.begin(statement, parameters)
        try:
            done, _ = await asyncio.wait({task}, timeout=time_limit_s)
        finally:
            if not task.done():
                await self._let_go()
        if not done or task.cancelled():
            raise TimeoutError(f"no answer within {time_limit_s:g} s")
        return task.result()

    async def close(self) -> None:
        """For good: whoever was about to ask gets an error, instead of a connection that nobody would close."""
        self._is_closed = True
        await self._let_go()

    async def _let_go(self) -> None:
        """End the connection, and with it everything that was asked; never waits for the server."""
        tasks = set(self._tasks)
        connection, self._connection = self._connection, None
        for task in tasks:
            # A task that waits for the server is ended by its socket: cancelled, psycopg would ask the server to
            # cancel the statement, and wait for that. One that connects or waits for its turn can be cancelled.
            if task is not self._asking:
                task.cancel()
        if connection is not None:
            if tasks:
                _shut(connection)
            else:
                await connection.close()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=CLOSE_S_MAX)
            if connection is not None and not pending:
                # Whoever had its answer already saw nothing of the end, and left the connection as it was.
                connection.pgconn.finish()

    async def _ask(self, statement: LiteralString, parameters: Parameters) -> Rows:
        async with self._turn:
            connection = await self._connected()
            self._asking = asyncio.current_task()
            try:
                cursor = await connection.execute(statement, parameters or None)
                return await cursor.fetchall() if cursor.description is not None else []
            except BaseException:  # a cancelled one leaves a connection behind that is of no more use
                if self._connection is connection:
                    self._connection = None
                connection.pgconn.finish()
                raise
            finally:
                self._asking = None

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._is_closed:
            raise psycopg.InterfaceError("the session was closed")
        if self._connection is None or self._connection.closed:
            connection = await psycopg.AsyncConnection.connect(
                host=str(self._sockets),
                port=self._port,
                user=SUPERUSER,
                password=self._password,
                dbname="postgres",
                application_name=APPLICATION_NAME,
                autocommit=True,
                connect_timeout=CONNECT_S_MAX,
                # Nothing that is asked here may wait for standbys.
                options="-c synchronous_commit=local",
            )
            if self._is_closed:
                # Cancelled, and not told: up to Python 3.11 the wait_for that psycopg uses can lose a cancellation.
                connection.pgconn.finish()
                raise psycopg.InterfaceError("the session was closed while it connected")
            self._connection = connection
        return self._connection

    def _forget(self, task: asyncio.Task[Rows]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: nobody may be left who asks


def _shut(connection: psycopg.AsyncConnection[Any]) -> None:
    """End both directions of its socket; whoever waits for it reads the end. The descriptor stays open until then,
    so that nobody else gets its number while the event loop still watches it."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
