"""Engines and pools for the two endpoints; `aio.py` has the one line more that event loops need.

Owns how a connection is made and when it is thrown away; what to do about failures is decided in `routing.py` and
`outcome.py`.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import URL, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from colonnade.client.connection import Bounded, BoundedConnection
from colonnade.client.failures import Failure, spoils_the_pool
from colonnade.client.settings import Settings
from colonnade.client.tracing import sql_comment

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


def make_engine(url: URL, settings: Settings, *, takes_turns: bool = False) -> Engine:
    """An engine of bounded connections. `takes_turns`: the connection that was idle longest is used next, so that
    consecutive attempts, and the load, reach the several nodes behind one endpoint."""
    conninfo = conninfo_of(url, settings)

    def connect() -> BoundedConnection:
        connection = BoundedConnection.connect(**conninfo)
        connection.deadline = time.monotonic() + CONNECT_S  # for what SQLAlchemy asks a new connection
        return connection

    engine = create_engine(url, creator=connect, **pool_options(settings, takes_turns=takes_turns))
    watch(engine, settings)
    return engine


def bounded(connection: Any) -> Bounded:
    """The psycopg connection under what SQLAlchemy hands out. Raises TypeError if it is not one of ours."""
    raw = getattr(connection, "driver_connection", connection)
    if not isinstance(raw, Bounded):
        raise TypeError(f"the pool gave a {type(raw).__name__}, not a bounded connection")
    return raw


def conninfo_of(url: URL, settings: Settings) -> dict[str, Any]:
    return {
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


def pool_options(settings: Settings, *, takes_turns: bool) -> dict[str, Any]:
    return {
        "pool_size": settings.pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_WAIT_S,
        "pool_recycle": POOL_RECYCLE_S,
        "pool_use_lifo": not takes_turns,
        "use_native_hstore": False,
        "hide_parameters": True,
    }


def watch(engine: Engine, settings: Settings) -> None:
    event.listen(engine, "checkout", _refuse_stale)
    event.listen(engine, "checkin", _forget_deadline)
    event.listen(engine, "handle_error", _distrust_after)
    if settings.sql_comments:
        event.listen(engine, "before_cursor_execute", _comment, retval=True)


def _refuse_stale(connection: Any, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    """Make the pool replace a connection whose server has gone, before a request stumbles over it."""
    if bounded(connection).is_stale():
        raise DisconnectionError("the server closed this idle connection")


def _comment(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    """Say in the statement which trace it belongs to, in the form of sqlcommenter."""
    comment = sql_comment()
    return f"{statement} /*{comment}*/" if comment else statement, parameters


def _forget_deadline(connection: Any, _entry: ConnectionPoolEntry) -> None:
    if connection is not None:  # None when it was invalidated while in use
        bounded(connection).deadline = None


def _distrust_after(context: ExceptionContext) -> None:
    """Throw away all older connections after an error that tells of a dead or demoted node.

    SQLAlchemy does so itself when the connection broke; a standby that refuses a write keeps the connection open.
    """
    cause = context.original_exception
    failure = Failure.of(cause) if isinstance(cause, Exception) else None
    if failure is not None and spoils_the_pool(failure):
        context.is_disconnect = True
