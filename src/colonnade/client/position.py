"""Where a node stands in the history of its cluster, as `colonnade.position()` tells it. Pure.

A timeline's number says nothing about how it came about, so a node has a point only if the list of its forks leads
there. Read next: `token.py` for what a user carries, `routing.py` for what follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

POSITION_SQL = (
    "SELECT system_identifier, timeline, lsn, in_recovery, history, received, lag_s FROM colonnade.position()"
)
"""One round trip. Colonnade makes the function in the application's database (`database/prepare.py`)."""

NO_POSITION_STATES = frozenset({"3F000", "42883", "42703", "42501"})
"""No such schema, function or column, or no right to it: a database that Colonnade did not make."""


@dataclass(frozen=True, slots=True)
class Fork:
    """`timeline` ended at the LSN `ends_at`, in bytes, and the next one began there."""

    timeline: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the history of one cluster; `lsn` in bytes since the beginning of the log."""

    system: str
    timeline: int
    lsn: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far one node has come, and on which history.

    Invariant: timelines and LSNs of `forks` rise, and all their timelines are below `timeline`.
    """

    system: str
    timeline: int
    lsn: int
    """Of a primary what is flushed, of a standby what is replayed."""

    forks: tuple[Fork, ...] = ()
    in_recovery: bool = False
    received: int = 0
    """The end of the log that this node knows of, in bytes; never below `lsn`."""

    lag_s: float | None = 0.0
    """Age of the last replayed commit while the node is behind, else 0; None when it is behind and cannot tell."""

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Position | None:
        """None when the node does not know its history: a standby that is not streaming, or that is still starting."""
        system, timeline, lsn, in_recovery, history, received, lag_s = row
        if timeline is None or lsn is None or (timeline > 1 and not history):
            return None
        return cls(system, timeline, lsn, parse_history(history), in_recovery, max(lsn, received or 0), lag_s)

    @property
    def point(self) -> Point:
        """For somebody who has just written on this node, with the position taken after COMMIT."""
        return Point(self.system, self.timeline, self.lsn)

    @property
    def seen(self) -> Point:
        """For somebody who has just read on this node, with the position taken after the query.

        A commit becomes visible on a standby a moment before the replayed LSN moves past its record. So if there is
        anything left to replay, the point is one byte further: reached only by whoever has replayed the next record.
        """
        half_replayed = self.in_recovery and self.received > self.lsn
        return Point(self.system, self.timeline, self.lsn + half_replayed)

    def is_on_history(self, point: Point) -> bool:
        """True when `point` lies on the way that led, or will lead, this node to where it is."""
        begins = 0
        for timeline, ends_at in (*((fork.timeline, fork.ends_at) for fork in self.forks), (self.timeline, None)):
            if timeline == point.timeline:
                return begins <= point.lsn and (ends_at is None or point.lsn <= ends_at)
            begins = begins if ends_at is None else ends_at
        return False

    def contains(self, point: Point) -> bool:
        """True when everything that led to `point` has been replayed here."""
        return self.system == point.system and self.lsn >= point.lsn and self.is_on_history(point)


def parse_history(text: str) -> tuple[Fork, ...]:
    """The forks in a timeline's history file: lines of `timeline <tab> lsn <tab> reason`."""
    forks = []
    for line in text.splitlines():
        fields = line.split("#")[0].split("\t")
        if len(fields) >= 2 and fields[0].strip():
            high, _, low = fields[1].strip().partition("/")
            forks.append(Fork(int(fields[0]), (int(high, 16) << 32) + int(low, 16)))
    return tuple(forks)
