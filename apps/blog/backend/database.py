"""The two ways to the database: one endpoint for the primary, one for the standbys.

Owns engines and pools, nothing else: what to do about failures is decided in `writing.py` and `reading.py`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from backend.connection import BoundedConnection
from backend.failures import Failure, spoils_the_pool
from backend.settings import Settings

CONNECT_S = 2
"""libpq rounds anything shorter up to this. A refused connection fails at once; this is for one nobody answers."""

POOL_WAIT_S = 2.0
"""How long a thread waits for a free pooled connection before its attempt counts as failed."""

POOL_RECYCLE_S = 60
"""Connections are replaced once a minute, so that a standby that came back gets its share again."""

SESSION_OPTIONS = " ".join(
    [
        # A lock held by a replica that froze must not hold us longer than an attempt should take.
        "-c lock_timeout=2000",
        # The other side of it: a frozen replica's transaction, and with it its locks, ends.
        "-c idle_in_transaction_session_timeout=5000",
        # A statement whose client has gone is stopped, instead of being finished for nobody.
        "-c client_connection_check_interval=1000",
    ]
)
"""No statement_timeout: a cancelled COMMIT would report a success that may not survive the primary."""


class Database:
    """The engines for writing and for reading."""

    def __init__(self, settings: Settings) -> None:
        self.primary = _engine(settings.primary_url, settings)
        self.standbys = None if settings.standby_url is None else _engine(settings.standby_url, settings)
        # Autocommit: a read is one statement, and BEGIN and ROLLBACK around it would triple the round trips.
        self.primary_reads = self.primary.execution_options(isolation_level="AUTOCOMMIT")
        self.standby_reads = self.standbys and self.standbys.execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Close all idle connections."""
        self.primary.dispose()
        if self.standbys is not None:
            self.standbys.dispose()


@contextmanager
def session_until(engine: Engine, deadline: float) -> Iterator[tuple[Session, BoundedConnection]]:
    """A session on one connection that gives up at `deadline`, and that connection; rolled back unless committed."""
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        if not isinstance(raw, BoundedConnection):
            raise TypeError(f"the pool gave a {type(raw).__name__}, not a BoundedConnection")
        raw.deadline = deadline
        raw.warnings = []
        with Session(connection, expire_on_commit=False) as session:
            yield session, raw


def _engine(url: URL, settings: Settings) -> Engine:
    conninfo: dict[str, Any] = {
        "host": url.host or "127.0.0.1",
        "port": url.port or 5432,
        "dbname": url.database,
        "user": url.username,
        "password": url.password,
        **url.query,
        "application_name": settings.replica,
        "connect_timeout": CONNECT_S,
        "options": SESSION_OPTIONS,
        # A peer that vanished without a word is noticed within about five seconds, idle or not.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 5000,
    }

    def connect() -> psycopg.Connection[Any]:
        connection = BoundedConnection.connect(**conninfo)
        connection.deadline = time.monotonic() + CONNECT_S  # for what SQLAlchemy asks a new connection
        return connection

    engine = create_engine(
        url,
        creator=connect,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        pool_recycle=POOL_RECYCLE_S,
        pool_use_lifo=True,
        use_native_hstore=False,
        hide_parameters=True,
    )
    event.listen(engine, "checkout", _refuse_stale)
    event.listen(engine, "checkin", _forget_deadline)
    event.listen(engine, "handle_error", _distrust_after)
    return engine


def _refuse_stale(connection: Any, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    """Make the pool replace a connection whose server has gone, before a request stumbles over it."""
    if connection.is_stale():
        raise DisconnectionError("the server closed this idle connection")


def _forget_deadline(connection: Any, _entry: ConnectionPoolEntry) -> None:
    if connection is not None:  # None when it was invalidated while in use
        connection.deadline = None


def _distrust_after(context: ExceptionContext) -> None:
    """Throw away all older connections after an error that tells of a dead or demoted node.

    SQLAlchemy does so itself when the connection broke; a standby that refuses a write keeps the connection open.
    """
    cause = context.original_exception
    failure = Failure.of(cause) if isinstance(cause, Exception) else None
    if failure is not None and spoils_the_pool(failure):
        context.is_disconnect = True
