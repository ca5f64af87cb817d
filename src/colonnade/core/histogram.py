"""Counts of durations by bucket: what can be added up over replicas and subtracted over time, and gives quantiles.

Pure. The gateway counts, everybody else compares two of these. What happened in a while is `now.since(before)`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

BOUNDS_MS = (1, 2, 4, 7, 12, 20, 35, 60, 100, 175, 300, 500, 900, 1600, 3000, 5000, 10_000, 30_000)
"""Upper bounds, exclusive. Each is 1.7 to 2 times the one before (3 at the very end), so a quantile is off by less than
that; from 1 ms, which is as exactly as a duration is measured, to the default of `request_timeout`."""

BUCKETS_COUNT = len(BOUNDS_MS) + 1
"""The last one is open: it has all that took longer."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many took how long. `counts` has one number per bucket, the quickest first, and never becomes smaller while
    one process counts."""

    counts: tuple[int, ...] = (0,) * BUCKETS_COUNT

    def total(self) -> int:
        return sum(self.counts)

    def since(self, earlier: Histogram) -> Histogram:
        """What came after `earlier`; never negative. A smaller count means that the counting began anew in between:
        then it is all that was counted since."""
        differences = tuple(now - before for now, before in zip(self.counts, earlier.counts, strict=True))
        return self if min(differences) < 0 else Histogram(differences)

    def plus(self, other: Histogram) -> Histogram:
        return Histogram(tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    def quantile_s(self, q: float) -> float | None:
        """The time within which a share `q` (0 to 1) ended, taking each bucket as evenly filled; None when nothing was
        counted. In the open bucket it is that bucket's lower bound: how much longer is not known."""
        wanted = q * self.total()
        below = 0
        lower_ms = 0
        for count, upper_ms in zip(self.counts, BOUNDS_MS, strict=False):
            if count and below + count >= wanted:
                return (lower_ms + (upper_ms - lower_ms) * (wanted - below) / count) / 1000
            below += count
            lower_ms = upper_ms
        return BOUNDS_MS[-1] / 1000 if self.total() else None

    def count_above(self, duration_s: float) -> float:
        """How many took longer than this, by the same reading. It never becomes smaller while the counts grow, whatever
        is rounded, so it is a counter itself."""
        duration_ms = duration_s * 1000
        bucket = bisect_right(BOUNDS_MS, duration_ms)
        above = float(sum(self.counts[bucket + 1 :]))
        if bucket == len(BOUNDS_MS):
            return above
        lower_ms = BOUNDS_MS[bucket - 1] if bucket else 0
        return above + self.counts[bucket] * ((BOUNDS_MS[bucket] - duration_ms) / (BOUNDS_MS[bucket] - lower_ms))

    def share_within(self, duration_s: float) -> float | None:
        """Which share took no longer than this, by the same reading; None when nothing was counted."""
        total = self.total()
        if not total:
            return None
        duration_ms = duration_s * 1000
        bucket = bisect_right(BOUNDS_MS, duration_ms)
        within = float(sum(self.counts[:bucket]))
        if bucket < len(BOUNDS_MS):
            lower_ms = BOUNDS_MS[bucket - 1] if bucket else 0
            within += self.counts[bucket] * (duration_ms - lower_ms) / (BOUNDS_MS[bucket] - lower_ms)
        return within / total


EMPTY = Histogram()
"""Nothing counted."""


def total_of(histograms: Iterable[Histogram]) -> Histogram:
    """All of them together; a sixth of the time that adding one after the other takes."""
    return Histogram(tuple(map(sum, zip(EMPTY.counts, *(each.counts for each in histograms), strict=True))))
