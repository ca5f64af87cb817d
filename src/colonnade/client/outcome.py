"""What follows from a failed write: another attempt, or the exception that tells its caller the truth. Pure, but for
what is counted and logged.

Never repeats a transaction that may have been committed, unless its author has declared that repeating is harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from colonnade.client import counts
from colonnade.client.errors import CommitUnknown, Unavailable
from colonnade.client.failures import Failure, Fate, fate
from colonnade.client.token import Token
from colonnade.client.tracing import note

Work = TypeVar("Work", bound=Callable[..., Any])

_MARK = "__colonnade_idempotent__"

log = logging.getLogger("colonnade.client")


def idempotent(work: Work) -> Work:
    """Declare that running `work` twice, each time committed, is the same as running it once.

    True of "set the price to 5", of an upsert, and of anything that records an idempotency key in its transaction;
    not of "add 5", nor of an INSERT without a key.
    """
    setattr(work, _MARK, True)
    return work


def is_declared_idempotent(work: Callable[..., Any]) -> bool:
    return bool(getattr(work, _MARK, False))


class Attempts:
    """What is known about one write while it is tried."""

    def __init__(self, token: Token, *, is_repeatable: bool) -> None:
        self.token = token
        self.is_repeatable = is_repeatable
        self.commit_sent = False
        self._number = 0
        self._was_unknown = False
        self._last: Exception | None = None

    def begin(self) -> None:
        self._number += 1
        self.commit_sent = False

    def failed(self, error: Exception) -> None:
        """Returns when another attempt is right. Raises CommitUnknown, or `error` when it is the last word."""
        failure = Failure.of(error)
        if failure is None:
            raise error
        outcome = fate(failure, commit_sent=self.commit_sent)
        if outcome is Fate.UNKNOWN:
            self._was_unknown = True
        if outcome is Fate.UNKNOWN and not self.is_repeatable:
            log.warning("write: outcome unknown, attempt=%d sqlstate=%s", self._number, failure.sqlstate)
            note("outcome unknown", attempt=self._number, sqlstate=str(failure.sqlstate))
            raise self._unknown() from error
        if outcome is Fate.UNDONE_FOR_GOOD:
            raise error
        log.info("write: trying again, attempt=%d sqlstate=%s %s", self._number, failure.sqlstate, outcome.name)
        counts.WRITE_RETRIES.inc()
        note("trying again", attempt=self._number, sqlstate=str(failure.sqlstate), fate=outcome.name.lower())
        self._last = error

    def give_up(self) -> CommitUnknown | Unavailable:
        """The exception for when time is up."""
        if not self._was_unknown:
            counts.WRITES.labels("unavailable").inc()
        error = self._unknown() if self._was_unknown else Unavailable(token=self.token.with_primary())
        error.__cause__ = self._last
        return error

    def _unknown(self) -> CommitUnknown:
        counts.WRITES.labels("unknown").inc()
        return CommitUnknown(
            "the connection was lost during COMMIT: the write may or may not have happened",
            token=self.token.with_primary(),
            is_repeatable=self.is_repeatable,
        )
