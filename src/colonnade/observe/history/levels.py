"""How finely what is kept for how long, and what that takes at most. Pure; no I/O.

The newest minutes are kept as they were seen, once a second. From these, every ten minutes, come points of 10 s, 1 min
and 10 min, and from the last ones points of an hour; each level forgets by its own age. A point says for its step the
least, the greatest, the mean and the last value, so a peak of one second is still seen after a week.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

HISTORY_FILE = "history.sqlite"

FOLD_S = 600
"""Sights of so many seconds become points together."""

SIGHTS_KEPT_S = 600
"""Folded sights are still kept for this long: with what is not folded yet, 10 to 20 minutes at full resolution."""


@dataclass(frozen=True, slots=True)
class Level:
    """Points of `step_s`, kept for `kept_s`; on disk `block_s` of one series in one row."""

    step_s: int
    kept_s: int
    block_s: int

    def start_of_block(self, at_s: float) -> int:
        return int(at_s) // self.block_s * self.block_s


LEVELS = (
    Level(step_s=10, kept_s=2 * 3600, block_s=600),
    Level(step_s=60, kept_s=24 * 3600, block_s=3600),
    Level(step_s=600, kept_s=8 * 86_400, block_s=6 * 3600),
    Level(step_s=3600, kept_s=35 * 86_400, block_s=2 * 86_400),
)
"""Finest first. A day by the minute is what one looks at after an incident; a week and a day by ten minutes lets one
compare with the same hour of last week; 35 days by the hour hold an objective's window of 30."""

FOLDED_LEVELS, COARSEST = LEVELS[:3], LEVELS[3]
"""Made of sights; made of points of the level before it."""

SERIES_MAX = 2_000
"""Series that are kept: 200 replicas with six each, and the rest of the system. More are refused and counted."""

EVENTS_MAX = 30_000
"""Three events a minute for a week; the oldest go first."""

EVENT_TEXT_MAX = 1_000
"""Characters of an event's sentence; and of its data as JSON, which is left out when it is longer."""


class Point(NamedTuple):
    """One step of one series. `at_s` is the step's beginning. Of a counter the values are its growth per second, and
    `mean` times the step is exactly by how much it grew; of a gauge they are what was seen."""

    at_s: int
    min: float
    max: float
    mean: float
    last: float


_POINT = struct.Struct("<Iffff")

POINT_BYTES = _POINT.size


def pack(points: Iterable[Point]) -> bytes:
    """Twenty bytes each. Single precision: seven digits, enough for a chart and for a budget; no timestamps."""
    return b"".join(_POINT.pack(*point) for point in points)


def unpack(raw: bytes) -> list[Point]:
    return [Point(*fields) for fields in _POINT.iter_unpack(raw)]


def bytes_max(series_count: int = SERIES_MAX) -> int:
    """What the points, sights and events of so many series take at most, on disk: rows at their longest, a quarter
    more for the pages between them, and SQLite's journal."""
    points = sum((level.kept_s + level.block_s) // level.step_s for level in LEVELS) * POINT_BYTES
    rows = sum(level.kept_s // level.block_s + 1 for level in LEVELS) * 48
    sights = (FOLD_S + SIGHTS_KEPT_S + 60) * 8
    events = EVENTS_MAX * (2 * EVENT_TEXT_MAX + 200)
    return int(1.25 * (series_count * (points + rows + sights) + events)) + JOURNAL_BYTES_MAX


JOURNAL_BYTES_MAX = 16 * 1024 * 1024
"""The write-ahead log is cut to this after each checkpoint."""


def level_for(age_s: float, duration_s: float, points_max: int) -> Level | None:
    """The finest level that still has what is `age_s` old and needs no more than `points_max` points for
    `duration_s`; None for the sights themselves."""
    if age_s <= SIGHTS_KEPT_S and duration_s <= points_max:
        return None
    for level in LEVELS:
        if age_s <= level.kept_s and duration_s / level.step_s <= points_max:
            return level
    return COARSEST


def coarsen(points: Sequence[Point], step_s: int, finer_s: int, *, is_counter: bool) -> list[Point]:
    """Points of `finer_s` (sorted) as points of `step_s`. A counter's mean goes over the whole step, so that what it
    grew by is kept; a gauge's goes over the part that was seen."""
    found: list[Point] = []
    begin = 0
    while begin < len(points):
        at_s = points[begin].at_s // step_s * step_s
        end = begin
        while end < len(points) and points[end].at_s < at_s + step_s:
            end += 1
        part = points[begin:end]
        total = sum(point.mean for point in part)
        found.append(
            Point(
                at_s,
                min(point.min for point in part),
                max(point.max for point in part),
                total * finer_s / step_s if is_counter else total / len(part),
                part[-1].last,
            )
        )
        begin = end
    return found
