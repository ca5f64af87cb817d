"""One PostgreSQL connection that never waits past its deadline and never hides a warning.

The deadline is kept by closing the socket, never by cancelling. A COMMIT that waits for its standbys and is cancelled
answers success with a warning; the same COMMIT cut off leaves us knowing that we do not know. Read next: `failures.py`.
"""

import select
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.errors import Diagnostic

Result = TypeVar("Result")


class DeadlinePassed(psycopg.OperationalError):
    """The server did not answer in time; the connection was closed, and with it whatever it was doing."""


class BoundedConnection(psycopg.Connection[Any]):
    """A psycopg connection with a deadline for each wait and a record of the server's warnings."""

    deadline: float | None = None
    """On the clock of `time.monotonic`; None waits for ever. Whoever takes the connection from a pool sets it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.warnings: list[str] = []
        self.add_notice_handler(self._note_warning)

    def _note_warning(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            # Bounded: a transaction of ours sees none in a normal life, and the list is cleared at each checkout.
            self.warnings = [*self.warnings[-9:], f"{notice.sqlstate}: {notice.message_primary}"]

    def wait(self, gen: Generator[Any, Any, Result], *args: Any, **kwargs: Any) -> Result:
        """Drive `gen` as psycopg does, and give up at the deadline. Raises DeadlinePassed."""
        return super().wait(self._until_deadline(gen), *args, **kwargs)

    def _until_deadline(self, gen: Generator[Any, Any, Result]) -> Generator[Any, Any, Result]:
        """`gen`, stopped once the deadline has passed.

        psycopg resumes us when the socket is ready and otherwise every 0.1 s, which is how late we may be.
        """
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and self.deadline is not None and time.monotonic() > self.deadline:
                    self.close()
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
        poll.register(self.fileno(), select.POLLIN | select.POLLRDHUP)
        return bool(poll.poll(0))
