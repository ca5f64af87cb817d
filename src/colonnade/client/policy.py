"""How patient a Database is and what its reads may put up with: one small value, shared by both kinds of Database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from colonnade.client.backoff import Backoff
from colonnade.client.routing import Node, Wish
from colonnade.client.token import Token

Result = TypeVar("Result")

WRITE_PATIENCE = Backoff(deadline_s=8.0)
"""A failover takes about 0.4 s; eight seconds outlive one that goes badly and stay below a gateway's patience."""

READ_PATIENCE = Backoff(deadline_s=6.0)
"""Long enough for a failover, with a margin, and for two standbys that do not answer."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Patience and bounds."""

    write: Backoff = WRITE_PATIENCE
    read: Backoff = READ_PATIENCE
    standby_answer_s: float = 1.5
    """A standby that is silent for longer is given up; a hundred times what a page takes. Raise it for slow queries."""

    lag_s_max: float | None = None
    """A standby that is behind, and whose last replayed commit is older, is not used. None: no bound."""

    stale_after_s: float | None = None
    """When nobody can keep the promise of a token for so long, a standby may answer without it (`Read.is_fresh` is
    then False). None: the promise is kept, and Unavailable raised in the end."""

    snapshot: bool = False
    """Reads see one snapshot (REPEATABLE READ, read only) instead of one per statement. Costs two round trips."""

    def wish(self, token: Token | None, *, strict: bool) -> Wish:
        return Wish(token or Token(), strict, self.lag_s_max, self.stale_after_s)

    def with_(self, **changes: object) -> Policy:
        """This policy but for some of its fields."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Read(Generic[Result]):
    """What was found, which kind of node said so, and what its reader carries on."""

    value: Result
    node: Node
    token: Token
    is_fresh: bool = True
    """False only after `Policy.stale_after_s`: it may be older than what this reader has seen."""


@dataclass(frozen=True, slots=True)
class Written(Generic[Result]):
    """What the committed work returned, and what its writer carries on."""

    value: Result
    token: Token


NO_POSITION_FOR_S = 60.0
"""A database that has no `colonnade.position()` is asked again after a minute: it may have been given one."""


class PositionKnowledge:
    """Whether this database can tell where its nodes stand. One per Database; races between threads are harmless."""

    def __init__(self) -> None:
        self._missing_until = 0.0

    def is_available(self, now: float) -> bool:
        return now >= self._missing_until

    def is_missing(self, now: float) -> None:
        self._missing_until = now + NO_POSITION_FOR_S
