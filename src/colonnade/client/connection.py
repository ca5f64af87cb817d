"""PostgreSQL connections that never wait past their deadline, never cancel, and never hide a warning.

The deadline is kept by closing the socket. A COMMIT that waits for its standbys and is cancelled answers success with a
warning; the same COMMIT cut off leaves us knowing that we do not know. Read next: `failures.py`.
"""

from __future__ import annotations

import select
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.errors import Diagnostic

Result = TypeVar("Result")

CHECK_S = 0.1
"""How often a wait looks at its deadline; psycopg's own interval for looking at signals."""

WARNINGS_MAX = 10
"""A transaction sees none in a normal life; the list is cleared at each checkout."""


class DeadlinePassed(psycopg.OperationalError):
    """The server did not answer in time; the connection was closed, and with it whatever it was doing."""


class Bounded:
    """What both kinds of connection add to psycopg: a deadline for each wait, and a record of the server's warnings."""

    deadline: float | None = None
    """On the clock of `time.monotonic`; None waits for ever. Whoever takes the connection from a pool sets it."""

    pgconn: Any
    closed: bool
    warnings: list[str]

    def note_warning(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warnings = [*self.warnings[-WARNINGS_MAX + 1 :], f"{notice.sqlstate}: {notice.message_primary}"]

    def begin_use(self, deadline: float) -> None:
        """For the next user out of the pool."""
        self.deadline = deadline
        self.warnings = []

    def until_deadline(self, gen: Generator[Any, Any, Result]) -> Generator[Any, Any, Result]:
        """`gen`, stopped once the deadline has passed. Raises DeadlinePassed.

        psycopg resumes us when the socket is ready and otherwise every CHECK_S, which is how late we may be.
        """
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and self.deadline is not None and time.monotonic() > self.deadline:
                    self.pgconn.finish()
                    raise DeadlinePassed("the server did not answer before the deadline; connection closed")
                wanted = gen.send(ready)
        except StopIteration as finished:
            result: Result = finished.value
            return result

    def is_stale(self) -> bool:
        """True when the server has hung up on this idle connection.

        One poll() without waiting, about a microsecond, where `SELECT 1` would cost a round trip. A healthy idle
        connection has nothing to read: end of file, or a last word such as "terminating connection", both mean that
        it is over.
        """
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN | select.POLLRDHUP)
        return bool(poll.poll(0))


class BoundedConnection(Bounded, psycopg.Connection[Any]):
    """For threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.warnings = []
        self.add_notice_handler(self.note_warning)

    def wait(self, gen: Generator[Any, Any, Result], *args: Any, **kwargs: Any) -> Result:
        """Drive `gen`, and give up at the deadline. Raises DeadlinePassed. The arguments are psycopg's own.

        psycopg answers an interruption (Ctrl-C) by asking the server to cancel. We hang up instead.
        """
        if not args:
            kwargs.setdefault("interval", CHECK_S)
        try:
            return waiting.wait(self.until_deadline(gen), self.pgconn.socket, *args, **kwargs)
        except Exception:
            raise
        except BaseException:
            self.pgconn.finish()
            raise


class AsyncBoundedConnection(Bounded, psycopg.AsyncConnection[Any]):
    """For event loops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.warnings = []
        self.add_notice_handler(self.note_warning)

    async def wait(self, gen: Generator[Any, Any, Result], *args: Any, **kwargs: Any) -> Result:
        """As `BoundedConnection.wait`; a cancelled task is the interruption here."""
        if not args:
            kwargs.setdefault("interval", CHECK_S)
        try:
            return await waiting.wait_async(self.until_deadline(gen), self.pgconn.socket, *args, **kwargs)
        except Exception:
            raise
        except BaseException:
            self.pgconn.finish()
            raise
