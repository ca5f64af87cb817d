"""Run a write so that it happens once, or is known not to have happened, or is said to be unknown.

Never repeats a transaction that may have been committed, unless repeating it is harmless because an idempotency key
travels in the same transaction. Never reports success on the word of a COMMIT that came with a warning.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from backend.backoff import Backoff
from backend.database import session_until
from backend.failures import DATABASE_ERRORS, Failure, Fate, NotReplicated, fate

Result = TypeVar("Result")

WRITE = Backoff(deadline_s=8.0)
"""A failover takes about 0.4 s; eight seconds outlive one that goes badly and stay below a gateway's patience."""

log = logging.getLogger("backend.writing")


class Unavailable(Exception):
    """Time is up. The write did not happen, or has a key that makes repeating it harmless: it may be sent again."""


class OutcomeUnknown(Exception):
    """The connection broke after COMMIT was sent, and no key makes a repetition safe. Only looking can tell."""


class Attempt:
    """How far one attempt got; kept outside of the transaction, which may end in an exception."""

    commit_sent = False


def write(engine: Engine, work: Callable[[Session], Result], *, keyed: bool, backoff: Backoff = WRITE) -> Result:
    """Commit `work` on the primary and return its result, trying again while that is safe and time is left.

    `work` gets a fresh session for each attempt and must have no effect outside of it. `keyed` says that it records an
    idempotency key in the same transaction, so that a second run finds what a first one may have done.

    Raises Unavailable, OutcomeUnknown, or whatever `work` or the database objects to.
    """
    last: Exception | None = None
    for number, deadline in enumerate(backoff.attempts(), start=1):
        attempt = Attempt()
        try:
            return _once(engine, work, deadline, attempt)
        except DATABASE_ERRORS as error:
            failure = Failure.of(error)
            if failure is None:
                raise
            outcome = fate(failure, commit_sent=attempt.commit_sent)
            if outcome is Fate.UNDONE_FOR_GOOD:
                raise
            if outcome is Fate.UNKNOWN and not keyed:
                log.warning("write: outcome unknown, attempt=%d sqlstate=%s", number, failure.sqlstate)
                raise OutcomeUnknown from error
            log.info("write: trying again, attempt=%d sqlstate=%s %s", number, failure.sqlstate, outcome.name)
            last = error
    raise Unavailable from last


def _once(engine: Engine, work: Callable[[Session], Result], deadline: float, attempt: Attempt) -> Result:
    with session_until(engine, deadline) as (session, connection):
        result = work(session)
        session.flush()
        attempt.commit_sent = True
        session.commit()
        if connection.warnings:
            raise NotReplicated("; ".join(connection.warnings))
        return result
