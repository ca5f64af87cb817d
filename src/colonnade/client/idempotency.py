"""Idempotency keys: the same request sent twice has one effect and gets one answer.

The key's row is written in the same transaction as the effect, so both exist or neither does. That is what lets a
client, a gateway or we ourselves repeat a write whose outcome is unknown. Keys live in the database and not in a
process, because the repetition usually reaches another replica. With an AsyncSession: `session.run_sync(lambda s:
keys.claim(s, …))`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

LIFETIME = timedelta(hours=24)
"""For this long a repetition is recognised; a form left open overnight is still safe."""

PURGED_PER_WRITE = 5
"""Each keyed write buries up to so many expired keys. More than it adds, so the table cannot grow without end, and few
enough not to be felt."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyReused(Exception):
    """The key has already been used for a different request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent for a request, now or again."""

    status: int
    body: str
    replayed: bool = False

    @classmethod
    def of(cls, status: int, content: dict[str, Any]) -> Answer:
        return cls(status, json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


def is_valid_key(key: str) -> bool:
    """1 to 255 visible ASCII characters."""
    return _KEY.fullmatch(key) is not None


def hash_request(method: str, path: str, content: Any) -> bytes:
    """Identifies a request: equal for the same wish, however its JSON was spelled. `content` is what JSON can hold."""
    canonical = json.dumps([method, path, content], sort_keys=True)
    return hashlib.sha256(canonical.encode()).digest()


def idempotency_table(metadata: MetaData, name: str = "idempotency_keys") -> Table:
    """The table of keys, as part of `metadata`; make it with your migrations. A row exists if and only if the write it
    stands for was committed. The key is the primary key: with several kinds of caller, put who it is into the key."""
    return Table(
        name,
        metadata,
        Column("key", String(255), primary_key=True),
        Column("request_hash", LargeBinary, nullable=False),
        Column("status", SmallInteger, nullable=False),
        Column("body", Text, nullable=False),  # the answer that was sent, byte for byte
        Column("created_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
        Column("replayed_at", DateTime(timezone=True)),
        Column("expires_at", DateTime(timezone=True), nullable=False),
        Index(f"{name}_expires_at", "expires_at"),
    )


@dataclass(frozen=True, slots=True)
class IdempotencyKeys:
    """The keys in one table. Call it inside of the work that you give to `Database.write(…, idempotent=True)`."""

    table: Table
    lifetime: timedelta = LIFETIME

    def once(self, session: Session, key: str, request_hash: bytes, effect: Callable[[Session], Answer]) -> Answer:
        """The answer of `effect`, had now, or the one that was recorded when it was had. Raises KeyReused."""
        earlier = self.claim(session, key, request_hash)
        if earlier is not None:
            return earlier
        answer = effect(session)
        self.record(session, key, answer)
        return answer

    def claim(self, session: Session, key: str, request_hash: bytes) -> Answer | None:
        """Take `key` for this transaction, or return the answer already given under it. Raises KeyReused.

        While another transaction holds the key this waits for its end (bounded by lock_timeout): if that one commits,
        its answer is found; if it fails, the key is ours.
        """
        keys = self.table.c
        fresh = insert(self.table).values(
            key=key, request_hash=request_hash, status=0, body="", expires_at=func.now() + self.lifetime
        )
        taken = session.execute(
            fresh.on_conflict_do_update(
                index_elements=[keys.key],
                set_={
                    "request_hash": fresh.excluded.request_hash,
                    "created_at": func.now(),
                    "replayed_at": None,
                    "expires_at": fresh.excluded.expires_at,
                },
                where=keys.expires_at < func.now(),
            ).returning(keys.key)
        ).first()
        return None if taken else self._replay(session, key, request_hash)

    def _replay(self, session: Session, key: str, request_hash: bytes) -> Answer:
        # An update, not a select, though nobody needs the time: the row may be visible here and nowhere else yet (its
        # COMMIT was interrupted while waiting for the standbys). The COMMIT of a transaction that writes waits for
        # everything before it as well, so what we repeat as done is as durable as if it had been acknowledged at
        # first. (The lock that the refused insert took on the row has the same effect today; that is not a promise to
        # build on.)
        keys = self.table.c
        row = session.execute(
            update(self.table)
            .where(keys.key == key)
            .values(replayed_at=func.clock_timestamp())
            .returning(keys.request_hash, keys.status, keys.body)
        ).one()
        if row.request_hash != request_hash:
            raise KeyReused(key)
        return Answer(row.status, row.body, replayed=True)

    def record(self, session: Session, key: str, answer: Answer) -> None:
        """Keep `answer` under the claimed `key`, and bury some expired ones."""
        session.execute(
            update(self.table).where(self.table.c.key == key).values(status=answer.status, body=answer.body)
        )
        self.purge(session, PURGED_PER_WRITE)

    def purge(self, session: Session, at_most: int) -> None:
        """Bury up to `at_most` expired keys, the oldest first."""
        keys = self.table.c
        expired = (
            select(keys.key)
            .where(keys.expires_at < func.now())
            .order_by(keys.expires_at)
            .limit(at_most)
            .with_for_update(skip_locked=True)  # whoever else is burying these may have them
        )
        session.execute(delete(self.table).where(keys.key.in_(expired.scalar_subquery())))
