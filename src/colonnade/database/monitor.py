"""Looking at one server and asking it to act, on connections that stay open.

A question that is not answered in time stays asked: the caller learns "no answer" now and the answer, if it comes, at
the next look. To act there is another connection, so that neither waits for the other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from colonnade.core.errors import DriverUnavailable
from colonnade.database.config import CHECKED_BY_STANDBYS
from colonnade.database.session import Rows, Session
from colonnade.database.state import Follower
from colonnade.database.write_probe import READ_ROUNDS, WriteProbe

ANSWER_S_MAX = 1.0
"""How long one look waits for one node. A machine that is merely busy answers within tenths."""

PAUSE_S = 0.25
"""The event loop is never this late by itself: then the whole process stood still, and nobody can be blamed."""

STATEMENT_S_MAX = 5.0
"""How long a statement that takes milliseconds is waited for before the server counts as not answering."""

_LIMITS: LiteralString = ", ".join(f"current_setting('{name}')::int" for name in CHECKED_BY_STANDBYS)

LOOK: LiteralString = f"""
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
       NOT pg_is_in_recovery() AND pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn(),
       ARRAY[{_LIMITS}]
"""  # noqa: S608 — of our own constants: as a parameter they would be written out anew for each look

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
    has_unflushed: bool
    """Of a primary: somebody has written what is not on its disk yet."""
    limits: tuple[int, ...]
    """The settings that a standby may not have below its primary's, in the order of CHECKED_BY_STANDBYS."""


class Monitor:
    """The connections to one run of one server: one to look, one to act, one to try whether a primary writes.

    Made anew for each run."""

    def __init__(self, sockets: Path, port: int, password: str) -> None:
        self._port = port
        self._looking = Session(sockets, port, password)
        self._acting = Session(sockets, port, password)
        self._probe = WriteProbe(Session(sockets, port, password))
        self._apart = partial(Session, sockets, port, password)
        self._pending: asyncio.Task[Rows] | None = None
        self._asked_s: float | None = None
        """When the question was asked that has no answer yet, by the event loop's clock; a silent server's next
        question inherits it."""

    async def look(self) -> Look | None:
        """What the server says of itself; None when it does not answer (yet).

        Waits until ANSWER_S_MAX after the question: a server that is silent for longer costs its neighbours nothing."""
        if self._asked_s is None:
            self._asked_s = asyncio.get_running_loop().time()
        if self._pending is None:
            self._pending = self._looking.begin(LOOK)
        if not await self._is_answered(self._pending):
            return None
        task, self._pending = self._pending, None
        try:
            (row,) = task.result()
        except (psycopg.Error, OSError):
            if not self._is_overdue():
                self._asked_s = None
            return None
        self._asked_s = None
        return look_from_row(row)

    async def _is_answered(self, question: asyncio.Task[Rows]) -> bool:
        """Wait for what is left of the question's time; it has all of it again when we stood still meanwhile."""
        loop = asyncio.get_running_loop()
        while self._asked_s is not None and (left_s := self._asked_s + ANSWER_S_MAX - loop.time()) > 0:
            began_s = loop.time()
            if (await asyncio.wait({question}, timeout=left_s))[0]:
                return True
            if loop.time() - began_s - left_s > PAUSE_S:
                self._asked_s = loop.time()
        for _ in range(READ_ROUNDS):
            if question.done():
                break
            await asyncio.sleep(0)
        return question.done()

    def _is_overdue(self) -> bool:
        return self._asked_s is not None and asyncio.get_running_loop().time() - self._asked_s >= ANSWER_S_MAX

    @property
    def backend_pid(self) -> int | None:
        """The server's process that answers looks; None while there is no connection."""
        return self._looking.backend_pid

    async def is_writing(self, look: Look) -> bool | None:
        """Whether this primary, as it was just seen, still writes; None: not known, or not a primary."""
        return (
            None
            if look.in_recovery or look.lsn is None
            else await self._probe.judge(look.lsn, is_awaited=look.has_unflushed)
        )

    async def execute(
        self, statement: LiteralString, parameters: Sequence[object] = (), *, time_limit_s: float = STATEMENT_S_MAX
    ) -> Rows:
        """Run a short statement in its own transaction. Raises DriverUnavailable when the server does not answer
        within the limit; it may then still do it."""
        return await self._run(self._acting, statement, parameters, time_limit_s)

    async def execute_apart(self, statement: LiteralString, *, time_limit_s: float) -> None:
        """As `execute` for a statement that takes long: on a connection of its own, so nothing waits behind it."""
        session = self._apart()
        try:
            await self._run(session, statement, (), time_limit_s)
        finally:
            await session.close()

    async def close(self) -> None:
        """Let go of all connections; bounded, also when the server is frozen."""
        self._pending = None
        await asyncio.gather(self._looking.close(), self._acting.close(), self._probe.close())

    async def _run(
        self, session: Session, statement: LiteralString, parameters: Sequence[object], time_limit_s: float
    ) -> Rows:
        try:
            return await session.ask(statement, parameters, time_limit_s=time_limit_s)
        except (psycopg.Error, OSError) as error:  # TimeoutError is an OSError
            raise DriverUnavailable(
                f"the server did not do it: {str(error).strip()}", subject=f"port {self._port}", hint="read its log"
            ) from error


def look_from_row(row: Sequence[Any]) -> Look:
    in_recovery, lsn, replay, walfile, received_timeline, receivers, wait_event, conninfo, followers, *rest = row
    quorum, has_unflushed, limits = rest
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
        has_unflushed=bool(has_unflushed),
        limits=tuple(limits),
    )
