"""Which node answers a read: decided here, step by step, without asking anybody. Pure but for the clock passed in.

Standbys first, twice, because the next connection usually leads to another one; then the primary. A standby is asked
for its position before the read, on the same connection, when something depends on it: a token, or a bound on its lag.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from colonnade.client.failures import RECOVERY_CONFLICTS, Failure, Fate, fate
from colonnade.client.position import Position
from colonnade.client.token import Token

Node = Literal["primary", "standby"]

STANDBY_TRIES = 2
"""One that was behind or dying and one that is hopefully not; more would only delay the primary's answer."""


class NotFresh(Exception):
    """This standby may not have what the reader has seen already, or is too far behind."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader asks for."""

    token: Token
    strict: bool = False
    """The primary and nobody else."""

    lag_s_max: float | None = None
    """A standby that is behind, and whose last replayed commit is older than this, is not used. None: no bound."""

    stale_after_s: float | None = None
    """For so long the wish is insisted on; then a standby may answer that may not fulfil it. None: never."""

    @property
    def depends_on_position(self) -> bool:
        return self.token.point is not None or self.lag_s_max is not None


@dataclass(frozen=True, slots=True)
class Step:
    """Where to ask next, and what to look at first."""

    node: Node
    asks_position: bool = False
    is_fresh: bool = True
    """False: the answer may be older than what the reader has seen."""


class Route:
    """The way of one read from node to node."""

    def __init__(self, wish: Wish, *, has_standbys: bool, has_position: bool, now: float) -> None:
        self.wish = wish
        self.token = wish.token
        self.refused: object | None = None
        """The connection whose node was not fresh: to ask it again is a wasted round trip."""
        self._has_standbys = has_standbys
        self._has_position = has_position
        self._insists_until = None if wish.stale_after_s is None else now + wish.stale_after_s
        self._tries = 0
        self._after_conflict = False
        self._is_off_history = False

    def next(self, now: float) -> Step:
        """The node for the next attempt."""
        if not self._has_standbys or self.wish.strict or self._after_conflict:
            self._after_conflict = False
            return self._primary()
        insists = self._insists_until is None or now < self._insists_until
        if insists and self._wants_primary():
            return self._primary()
        self._tries += 1
        if self._tries % (STANDBY_TRIES + 1) == 0:
            return self._primary()
        asks = self.wish.depends_on_position and insists
        is_fresh = insists or not (self.wish.depends_on_position or self.token.demands_primary())
        return Step("standby", asks_position=asks, is_fresh=is_fresh)

    def met_position(self, position: Position | None) -> None:
        """Takes note of where the node stands that is about to answer. Raises NotFresh if it must not.

        On the primary nothing is refused. A token about a branch of history that no longer exists is replaced there:
        the new primary has everything that was acknowledged on the old one, wherever the old log ended.
        """
        point = self.token.point
        if position is None:
            raise NotFresh("it does not know its own history now")
        if point is not None and self.token.is_void_for(position):
            self.token = replace(self.token, point=None)
        elif point is not None and not position.contains(point):
            self._is_off_history = not position.is_on_history(point)
            if position.in_recovery:
                raise NotFresh(f"timeline {position.timeline} at {position.lsn}, needed {point.timeline} {point.lsn}")
            if self._is_off_history:
                self.token = replace(self.token, point=position.point)
        bound = self.wish.lag_s_max
        if position.in_recovery and bound is not None and (position.lag_s is None or position.lag_s > bound):
            raise NotFresh(f"its last commit is {position.lag_s} s old and it is behind")

    def without_position(self) -> None:
        """The database turned out to have no `colonnade.position()`."""
        self._has_position = False

    def failed(self, failure: Failure, step: Step) -> bool:
        """Takes note of a failed attempt; True when the next one should come at once. False means: after a pause."""
        if step.node == "standby" and failure.sqlstate in RECOVERY_CONFLICTS:
            self._after_conflict = True
            return True
        return False

    def _wants_primary(self) -> bool:
        return self.token.demands_primary() or (self.wish.depends_on_position and not self._has_position)

    def _primary(self) -> Step:
        return Step("primary", asks_position=self._is_off_history and self._has_position)


def is_for_good(failure: Failure | None) -> bool:
    """True when another attempt at a read would fail alike."""
    return failure is None or fate(failure, commit_sent=False) is Fate.UNDONE_FOR_GOOD
