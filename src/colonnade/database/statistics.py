"""What servers count about their own work, every ten seconds, for those who look: sessions, transactions, locks, WAL.

Nothing is decided by it, so nothing waits for it: it has connections of its own, a server that does not answer within a
second has no statistics for now, and all is read from memory that PostgreSQL keeps anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from colonnade.core.clock import Clock
from colonnade.database.session import APPLICATION_NAME, Session
from colonnade.database.state import DatabaseView, NodeName, NodeView

READ_EVERY_S = 10.0

ANSWER_S_MAX = 1.0

SLOW_AFTER_S = 1.0
"""A statement that runs for longer is counted as slow."""

READ: LiteralString = """
WITH sessions AS (
    SELECT state, wait_event_type, now() - xact_start AS transaction, now() - query_start AS statement
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND application_name <> %(ours)s
), of_database AS (
    SELECT * FROM pg_stat_database WHERE datname = %(name)s
)
SELECT json_build_object(
    'active', (SELECT count(*) FROM sessions WHERE state = 'active'),
    'idle', (SELECT count(*) FROM sessions WHERE state = 'idle'),
    'idle_in_transaction', (SELECT count(*) FROM sessions WHERE state LIKE 'idle in transaction%%'),
    'waiting_for_lock', (SELECT count(*) FROM sessions WHERE wait_event_type = 'Lock'),
    'slow', (SELECT count(*) FROM sessions WHERE state = 'active' AND extract(epoch FROM statement) > %(slow_s)s),
    'longest_statement_s',
        (SELECT coalesce(max(extract(epoch FROM statement)), 0) FROM sessions WHERE state = 'active'),
    'longest_transaction_s', (SELECT coalesce(max(extract(epoch FROM transaction)), 0) FROM sessions),
    'locks', (SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid()),
    'commits', (SELECT xact_commit FROM of_database),
    'rollbacks', (SELECT xact_rollback FROM of_database),
    'deadlocks', (SELECT deadlocks FROM of_database),
    'conflicts', (SELECT conflicts FROM of_database),
    'blocks_read', (SELECT blks_read FROM of_database),
    'blocks_hit', (SELECT blks_hit FROM of_database),
    'temporary_bytes', (SELECT temp_bytes FROM of_database),
    'size_bytes', (SELECT pg_database_size(oid) FROM pg_database WHERE datname = %(name)s),
    'wal_kept_bytes', (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir()),
    'wal_position_bytes',
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn,
    'connections_max', current_setting('max_connections')::int,
    'lag_s', (SELECT coalesce(json_object_agg(application_name, extract(epoch FROM replay_lag)), '{}')
                FROM pg_stat_replication WHERE state = 'streaming')
)
"""
"""`lag_s`: how long ago the primary wrote what a standby has replayed last; null once nothing has been written for a
while, when a standby has all that there is."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The last answers, by node; nodes that do not answer are missing."""

    nodes: Mapping[NodeName, Mapping[str, Any]] = field(default_factory=dict)


class StatisticsReader:
    """Reads while `run` runs; `latest` is what was read last."""

    def __init__(
        self, database_name: str, sockets: Path, password: str, view: Callable[[], DatabaseView | None], clock: Clock
    ) -> None:
        self._parameters = {"name": database_name, "ours": APPLICATION_NAME, "slow_s": SLOW_AFTER_S}
        self._sockets = sockets
        self._password = password
        self._view = view
        self._clock = clock
        self._sessions: dict[tuple[NodeName, int], Session] = {}
        """By node and port: a node that was made anew has another one."""
        self.latest = Statistics()

    async def run(self) -> None:
        try:
            while True:
                view = self._view()
                self.latest = await self._read(view.nodes if view is not None else ())
                await self._clock.sleep(READ_EVERY_S)
        finally:
            await self._let_go_of(set(self._sessions))

    async def _read(self, nodes: Sequence[NodeView]) -> Statistics:
        running = {(node.name, node.port): node for node in nodes if node.port is not None and node.pid is not None}
        await self._let_go_of(self._sessions.keys() - running.keys())
        answers = await asyncio.gather(*(self._ask(name, port) for name, port in running))
        pairs = zip(running.values(), answers, strict=True)
        return Statistics({node.name: answer for node, answer in pairs if answer is not None})

    async def _ask(self, name: NodeName, port: int) -> Mapping[str, Any] | None:
        session = self._sessions.setdefault((name, port), Session(self._sockets, port, self._password))
        try:
            ((answer,),) = await session.ask(READ, self._parameters, time_limit_s=ANSWER_S_MAX)
        except (psycopg.Error, OSError):  # TimeoutError is an OSError
            return None
        found: Mapping[str, Any] = answer
        return found

    async def _let_go_of(self, keys: set[tuple[NodeName, int]]) -> None:
        await asyncio.gather(*(self._sessions.pop(key).close() for key in keys))
