"""What a link does to its traffic: pure data, and the one piece of arithmetic that follows from it.

A way that loses a direction behaves as TCP does over a cable that carries nothing: bytes wait where they are and arrive
after the healing, new connections get no answer at all. Nothing is ever dropped from the middle of a stream.
Read next: `pump`, which moves bytes by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite
from random import Random
from typing import Any

from colonnade.core.errors import SpecError

DELAY_S_MAX = 60.0
"""Beyond it a link is cut rather than slow: no part of a system waits so long for another."""


class Direction(StrEnum):
    TOWARDS = "towards"
    """From who connects to whom it connects to."""
    BACK = "back"


class DoorState(StrEnum):
    """What a new connection meets."""

    OPEN = "open"
    SILENT = "silent"
    """No answer, as from a machine that is not there."""
    SHUT = "shut"
    """Refused, as by a machine where nobody listens."""


@dataclass(frozen=True, slots=True)
class LinkRule:
    """How a link treats what goes over it. The default forwards at once."""

    delay_s: float = 0.0
    """Each way, so that an exchange takes twice as long more."""
    jitter_s: float = 0.0
    """Up to this much more for each piece; order is kept."""
    loses_towards: bool = False
    loses_back: bool = False
    """Nothing arrives in this direction. Without either, no connection comes about."""
    bytes_per_s: float = 0.0
    """Each way, for all connections together; 0 is no limit."""
    is_refusing: bool = False
    """New connections are refused; those that are there go on."""
    is_hanging: bool = False
    """Connections are accepted and nothing moves on any, as by a process that stands still."""
    http_error: int = 0
    """Each request gets this status instead of an answer; 0 is none. Only for ways that carry HTTP."""

    def __post_init__(self) -> None:
        for name in ("delay_s", "jitter_s", "bytes_per_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise _refusal(name, f"must be 0 or more and finite, got {value}")
        if max(self.delay_s, self.jitter_s) > DELAY_S_MAX:
            raise _refusal("delay_s", f"must be {DELAY_S_MAX:.0f} at most, got {max(self.delay_s, self.jitter_s)}")
        if self.http_error and not 400 <= self.http_error <= 599:
            raise _refusal("http_error", f"must be a status from 400 to 599, got {self.http_error}")

    @property
    def is_shaping(self) -> bool:
        """Bytes leave later than they came."""
        return self.delay_s > 0 or self.jitter_s > 0 or self.bytes_per_s > 0

    def holds(self, direction: Direction) -> bool:
        """Nothing moves in this direction."""
        return self.is_hanging or (self.loses_towards if direction is Direction.TOWARDS else self.loses_back)

    def door(self, *, is_dead_end: bool) -> DoorState:
        """What a new connection meets. `is_dead_end`: nobody listens where the link leads."""
        if self.loses_towards or self.loses_back:
            return DoorState.SILENT
        return DoorState.SHUT if self.is_refusing or is_dead_end else DoorState.OPEN

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> LinkRule:
        """Read back what `to_json` gave. Raises TypeError for anything else."""
        return LinkRule(**fields)


CLEAR = LinkRule()
CUT = LinkRule(loses_towards=True, loses_back=True)


def together(rules: Iterable[LinkRule]) -> LinkRule:
    """Several rules on one link at a time: what two faults do to it when they overlap."""
    all_of = tuple(rules)
    limits = [rule.bytes_per_s for rule in all_of if rule.bytes_per_s]
    return LinkRule(
        delay_s=min(DELAY_S_MAX, sum(rule.delay_s for rule in all_of)),
        jitter_s=min(DELAY_S_MAX, sum(rule.jitter_s for rule in all_of)),
        loses_towards=any(rule.loses_towards for rule in all_of),
        loses_back=any(rule.loses_back for rule in all_of),
        bytes_per_s=min(limits, default=0.0),
        is_refusing=any(rule.is_refusing for rule in all_of),
        is_hanging=any(rule.is_hanging for rule in all_of),
        http_error=max((rule.http_error for rule in all_of), default=0),
    )


PIECE_S = 0.02
"""A limited link sends pieces of this length: a whole buffer at once would come in bursts."""


class Lane:
    """One direction of a link, shared by its connections: when what comes now will have got through."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._busy_until_s = 0.0

    def due_s(self, rule: LinkRule, size: int, now_s: float) -> float:
        """When `size` bytes that come at `now_s` arrive, and notes that they take up the lane until then."""
        passed_s = now_s
        if rule.bytes_per_s:
            self._busy_until_s = passed_s = max(now_s, self._busy_until_s) + size / rule.bytes_per_s
        return passed_s + rule.delay_s + (self._random.uniform(0, rule.jitter_s) if rule.jitter_s else 0.0)

    def rest(self) -> None:
        """Forget what took it up: the rule has changed, and what waits is asked about again."""
        self._busy_until_s = 0.0

    @staticmethod
    def piece_bytes(rule: LinkRule) -> int:
        """How many bytes go at a time; 0 for all that there are."""
        return max(1, int(rule.bytes_per_s * PIECE_S)) if rule.bytes_per_s else 0


def _refusal(name: str, problem: str) -> SpecError:
    return SpecError(f"{name} {problem}", subject="link", hint="change the settings of this fault in the scenario")
