"""What a database error means for the transaction it broke. Pure: looks at facts, decides, does nothing.

The one question that matters after a failure is whether the write may have happened. Before COMMIT was sent it has
not, whatever broke. Afterwards only the server's word counts: an ERROR in answer to COMMIT means that it was rolled
back. A cut connection, a dying server or a warning mean nothing: the outcome is unknown, and saying anything else
would be a lie in one direction or the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import psycopg
import sqlalchemy.exc


class Fate(Enum):
    """What became of the transaction."""

    UNDONE_TRY_AGAIN = "nothing was written, and another try may succeed"
    UNDONE_FOR_GOOD = "nothing was written, and another try would fail alike"
    UNKNOWN = "it may or may not have been written"


class NotReplicated(Exception):
    """COMMIT came back with a warning: written on the primary, perhaps nowhere else, so perhaps soon nowhere."""


DATABASE_ERRORS = (psycopg.Error, sqlalchemy.exc.SQLAlchemyError, NotReplicated)
"""What a session can raise on account of the database; `Failure.of` tells which of it is the database's health."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The facts of one failed attempt."""

    sqlstate: str | None
    """As the server said it; None when no server said anything: refused, cut off, no free connection, too late."""

    severity: str | None = None
    """ERROR, FATAL or PANIC, untranslated; None when no server said anything."""

    not_replicated: bool = False

    @classmethod
    def of(cls, error: Exception) -> Failure | None:
        """The facts in `error`; None when it has nothing to do with the database's health (a bug, a validation)."""
        if isinstance(error, NotReplicated):
            return cls("01000", "WARNING", not_replicated=True)
        if isinstance(error, sqlalchemy.exc.TimeoutError):  # the pool had no free connection in time
            return cls(None)
        cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
        if isinstance(cause, psycopg.Error):
            if cause.sqlstate is None and not isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
                return None
            return cls(cause.sqlstate, cause.diag.severity_nonlocalized)
        return None


WRONG_OR_DYING_NODE = frozenset(
    {
        "25006",  # read_only_sql_transaction: this node is a standby now
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown: another process of the server crashed
        "57P03",  # cannot_connect_now: starting up or shutting down
        "57P05",  # idle_session_timeout
        "25P03",  # idle_in_transaction_session_timeout: we were frozen for too long
        "53300",  # too_many_connections
    }
)
"""After one of these no connection made earlier is to be trusted: the node changed its role or its life."""

PASSING = WRONG_OR_DYING_NODE | {
    "40001",  # serialization_failure; on a standby also: the replayed log conflicts with this read
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available: lock_timeout ran out behind another transaction
}
"""Errors that go away by themselves within seconds."""


RECOVERY_CONFLICTS = frozenset({"40001", "40P01"})
"""How a standby says that replaying the log was more important than this read."""


def fate(failure: Failure, *, commit_sent: bool) -> Fate:
    """What became of a transaction that failed thus; `commit_sent` as soon as COMMIT may have left this process."""
    if failure.not_replicated:
        return Fate.UNKNOWN
    state = failure.sqlstate
    connection_lost = state is None or state.startswith("08")
    if commit_sent and (connection_lost or failure.severity != "ERROR" or state == "40003"):
        return Fate.UNKNOWN
    if connection_lost or state in PASSING:
        return Fate.UNDONE_TRY_AGAIN
    return Fate.UNDONE_FOR_GOOD


def spoils_the_pool(failure: Failure) -> bool:
    """True when the idle connections beside the failed one lead to the same dead or demoted node."""
    return failure.sqlstate in WRONG_OR_DYING_NODE or (failure.sqlstate or "").startswith("08")
