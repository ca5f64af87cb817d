"""Quantiles over time, from a histogram's buckets as the history keeps them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from colonnade.observe.history.levels import Point
from colonnade.observe.history.reader import Line


def quantile_points(buckets: Sequence[Line], q: float) -> list[Point]:
    """For each step in which anything was counted, the value within which a share `q` (0 to 1) was. `buckets` are the
    lines of one `<metric>_bucket`, which differ in `le` alone. Each bucket is taken as evenly filled; in the open one
    it is that one's lower bound."""
    by_bound = sorted((_bound(line), line) for line in buckets)
    counts: dict[int, list[tuple[float, float]]] = {}
    for bound, line in by_bound:
        for point in line.points:
            counts.setdefault(point.at_s, []).append((bound, point.mean))
    found = []
    for at_s in sorted(counts):
        value = _quantile(counts[at_s], q)
        if value is not None:
            found.append(Point(at_s, value, value, value, value))
    return found


def _bound(line: Line) -> float:
    return float(dict(line.series.labels)["le"])  # "+Inf" is a float as well


def _quantile(cumulated: Sequence[tuple[float, float]], q: float) -> float | None:
    total = cumulated[-1][1]
    if total <= 0:
        return None
    wanted = q * total
    for (lower, below), (upper, within) in pairwise([(0.0, 0.0), *cumulated]):
        if within >= wanted and within > below:
            return lower if upper == float("inf") else lower + (upper - lower) * (wanted - below) / (within - below)
    return cumulated[-1][0]
