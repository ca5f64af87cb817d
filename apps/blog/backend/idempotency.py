"""Idempotency keys: the same request sent twice has one effect and gets one answer.

The key's row is written in the same transaction as the effect, so both exist or neither does. That is what lets a
client, a gateway or we ourselves repeat a write whose outcome is unknown. Keys live in the database and not in a
process, because the repetition usually reaches another replica.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.models import IdempotencyKey

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
    def of(cls, status: int, content: dict[str, Any]) -> "Answer":
        return cls(status, json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


def is_valid_key(key: str) -> bool:
    """1 to 255 visible ASCII characters."""
    return _KEY.fullmatch(key) is not None


def hash_request(method: str, path: str, content: dict[str, str]) -> bytes:
    """Identifies a request: equal for the same wish, however its JSON was spelled."""
    canonical = json.dumps([method, path, content], sort_keys=True)
    return hashlib.sha256(canonical.encode()).digest()


def claim(session: Session, key: str, request_hash: bytes) -> Answer | None:
    """Take `key` for this transaction, or return the answer already given under it. Raises KeyReused.

    While another transaction holds the key this waits for its end (bounded by lock_timeout): if that one commits, its
    answer is found; if it fails, the key is ours.
    """
    fresh = insert(IdempotencyKey).values(
        key=key, request_hash=request_hash, status=0, body="", expires_at=func.now() + LIFETIME
    )
    taken = session.execute(
        fresh.on_conflict_do_update(
            index_elements=[IdempotencyKey.key],
            set_={
                "request_hash": fresh.excluded.request_hash,
                "created_at": func.now(),
                "replayed_at": None,
                "expires_at": fresh.excluded.expires_at,
            },
            where=IdempotencyKey.expires_at < func.now(),
        ).returning(IdempotencyKey.key)
    ).first()
    return None if taken else _replay(session, key, request_hash)


def _replay(session: Session, key: str, request_hash: bytes) -> Answer:
    # An update, not a select, though nobody needs the time: the row may be visible here and nowhere else yet (its
    # COMMIT was interrupted while waiting for the standbys). The COMMIT of a transaction that writes waits for
    # everything before it as well, so what we repeat as done is as durable as if it had been acknowledged at first.
    # (The lock that the refused insert took on the row has the same effect today; that is not a promise to build on.)
    row = session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.key == key)
        .values(replayed_at=func.clock_timestamp())
        .returning(IdempotencyKey.request_hash, IdempotencyKey.status, IdempotencyKey.body)
    ).one()
    if row.request_hash != request_hash:
        raise KeyReused(key)
    return Answer(row.status, row.body, replayed=True)


def record(session: Session, key: str, answer: Answer) -> None:
    """Keep `answer` under the claimed `key`, and bury some expired ones."""
    session.execute(
        update(IdempotencyKey).where(IdempotencyKey.key == key).values(status=answer.status, body=answer.body)
    )
    expired = (
        select(IdempotencyKey.key)
        .where(IdempotencyKey.expires_at < func.now())
        .order_by(IdempotencyKey.expires_at)
        .limit(PURGED_PER_WRITE)
        .with_for_update(skip_locked=True)  # whoever else is burying these may have them
    )
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.key.in_(expired.scalar_subquery())))
