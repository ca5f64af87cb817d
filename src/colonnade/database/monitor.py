"""One persistent connection per node, over its unix socket, as the superuser whose connections are reserved.

A question that is not answered in time stays asked: the caller learns "no answer" now and the answer, if it comes, at
the next look. Nothing is cancelled, because cancelling talks to the very server that does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from colonnade.core.errors import DriverUnavailable
from colonnade.database.config import CHECKED_BY_STANDBYS
from colonnade.database.secrets import SUPERUSER
from colonnade.database.state import Follower

ANSWER_S_MAX = 1.0
"""How long one look waits for one node. A machine that is merely busy answers within tenths."""

LOOK: LiteralString = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn,
       pg_last_wal_replay_lsn() - '0/0'::pg_lsn,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_flush_lsn()) END,
       (SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'),
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'),
       (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'),
       current_setting('primary_conninfo'),
       (SELECT coalesce(json_agg(json_build_array(application_name, state, sync_state,
               flush_lsn - '0/0'::pg_lsn, replay_lsn - '0/0'::pg_lsn, backend_start > pg_conf_load_time())), '[]')
          FROM pg_stat_replication),
       current_setting('synchronous_standby_names'),
       (SELECT array_agg(setting::int ORDER BY name) FROM unnest(%s::text[]) AS name, current_setting(name) AS setting)
"""

LOCAL_WAL_IS_REPLAYED = "RecoveryRetrieveRetryInterval"
"""What the startup process waits for once it has tried every source and found no further WAL."""


@dataclass(frozen=True, slots=True)
class Look:
    """One answer. LSNs in bytes."""

    in_recovery: bool
    lsn: int | None
    replay_lsn: int | None
    timeline: int | None
    is_receiving: bool
    is_streaming: bool
    is_replayed: bool
    upstream_port: int | None
    followers: tuple[Follower, ...]
    quorum: str
    limits: tuple[int, ...]
    """The settings that a standby may not have below its primary's, in the order of their names."""


class Monitor:
    """The connection to one run of one server. Made anew for each run."""

    def __init__(self, sockets: Path, port: int, password: str) -> None:
        self._sockets = sockets
        self._port = port
        self._password = password
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._pending: asyncio.Task[Look] | None = None

    async def look(self) -> Look | None:
        """What the server says of itself; None when it does not answer (yet)."""
        if self._pending is None:
            self._pending = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._pending}, timeout=ANSWER_S_MAX)
        if not done:
            return None
        task, self._pending = self._pending, None
        try:
            return task.result()
        except (psycopg.Error, OSError):
            await self._drop()
            return None

    async def execute(self, statement: LiteralString, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement in its own transaction. Raises DriverUnavailable when the server does not answer."""
        try:
            cursor = await (await self._connected()).execute(statement, parameters)
            return await cursor.fetchall() if cursor.description is not None else []
        except (psycopg.Error, OSError) as error:
            await self._drop()
            raise DriverUnavailable(
                f"the server did not do it: {str(error).strip()}", subject=f"port {self._port}", hint="read its log"
            ) from error

    async def close(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, psycopg.Error, OSError):
                await self._pending
            self._pending = None
        await self._drop()

    async def _ask(self) -> Look:
        cursor = await (await self._connected()).execute(LOOK, (list(CHECKED_BY_STANDBYS),))
        (row,) = await cursor.fetchall()
        return look_from_row(row)

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                host=str(self._sockets),
                port=self._port,
                user=SUPERUSER,
                password=self._password,
                dbname="postgres",
                application_name="colonnade-controller",
                autocommit=True,
                connect_timeout=5,
            )
            # A look must never wait for standbys, and its plan is worth nothing.
            await self._connection.execute("SET synchronous_commit = local")
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()


def look_from_row(row: Sequence[Any]) -> Look:
    in_recovery, lsn, replay, walfile, received_timeline, receivers, wait_event, conninfo, followers, quorum, limits = (
        row
    )
    port = re.search(r"port='?(\d+)", conninfo or "")
    positions = [int(at) for at in (lsn, replay) if at is not None]
    return Look(
        in_recovery=in_recovery,
        # A standby that was restarted reports less received than it has replayed.
        lsn=(max(positions, default=None) if in_recovery else int(lsn)),
        replay_lsn=None if replay is None else int(replay),
        timeline=int(walfile[:8], 16) if walfile else received_timeline,
        is_receiving=bool(receivers),
        is_streaming=received_timeline is not None,
        is_replayed=wait_event == LOCAL_WAL_IS_REPLAYED,
        upstream_port=int(port[1]) if port else None,
        followers=tuple(
            Follower(name, state, sync_state, int(flush or 0), int(replayed or 0), is_current)
            for name, state, sync_state, flush, replayed, is_current in followers
        ),
        quorum=quorum,
        limits=tuple(limits),
    )
