"""What a user carries from request to request, so that every node that answers knows what they have seen already.

Text and comparison only; signing is in `signing.py`. A token never goes backwards.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

from colonnade.client.position import Point, Position

PRIMARY_FOR_S = 5.0
"""How long reads go to the primary when nobody knows a point: after an unknown outcome, or without
`colonnade.position()`. Standbys are usually milliseconds behind; five seconds cover one that catches up after a
failover."""

_TEXT = re.compile(r"(?:(\d{1,20})\.([0-9a-f]{1,8})\.([0-9a-f]{1,16}))?\.([0-9a-f]{1,12})", re.ASCII)


def wall_s() -> float:
    """Seconds since 1970. Not monotonic on purpose: a token outlives the process that made it."""
    return time.time()


@dataclass(frozen=True, slots=True)
class Token:
    """A point that every further read must have passed, or the demand for the primary until a moment, or both."""

    point: Point | None = None
    primary_until_s: float = 0.0
    """Wall-clock time; until then nobody but the primary will do."""

    def demands_primary(self) -> bool:
        return wall_s() < self.primary_until_s

    def with_primary(self, for_s: float = PRIMARY_FOR_S) -> Token:
        """The same point, and the primary only for the next `for_s` seconds."""
        return replace(self, primary_until_s=max(self.primary_until_s, wall_s() + for_s))

    def merged(self, point: Point | None) -> Token:
        """This token after its user has also seen `point`: the later of the two.

        In one cluster a higher timeline number is a later one, and a point on it covers all that was acknowledged
        before. A point of another cluster replaces this one, whose cluster is gone.
        """
        if point is None or self.point is None:
            return replace(self, point=point or self.point)
        if point.system != self.point.system:
            return Token(point)
        return replace(self, point=max(point, self.point, key=lambda each: (each.timeline, each.lsn)))

    def is_void_for(self, position: Position) -> bool:
        """True when it is about another cluster altogether."""
        return self.point is not None and self.point.system != position.system

    def __str__(self) -> str:
        """At most 60 characters of `[0-9a-f.]`; `parse` reads it."""
        point = f"{self.point.system}.{self.point.timeline:x}.{self.point.lsn:x}" if self.point else ""
        # Rounded up: a demand must not end early.
        return f"{point}.{-int(-self.primary_until_s // 1):x}"

    @classmethod
    def parse(cls, text: str) -> Token | None:
        """None when it is not the text of a token."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        system, timeline, lsn, until = found.groups()
        point = None if system is None else Point(system, int(timeline, 16), int(lsn, 16))
        return cls(point, float(int(until, 16)))
