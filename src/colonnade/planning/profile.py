"""What a recorded load was like: how much, when, how bursty, of what. From the lines of a log; pure.

Read next: `access_log` for the lines, `load_shape` for loads that nobody recorded.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from colonnade.core.errors import SpecError
from colonnade.planning.access_log import MOMENT_FIELDS, entry_of

LINES_MIN = 100
"""Fewer say nothing about a shape."""

LINES_MAX = 5_000_000
"""Read in a minute. A longer log is cut by its owner: which part is meant, nobody else knows."""

SLICES = 120
"""Of the whole recording: an hour in half minutes, a day in 12 minutes. Finer ones would show chance, not shape."""

WINDOWS_S = (1, 10, 60, 300, 3600)
"""Over which the busiest rate is told."""

ROUTES_MAX = 1_000
"""Different paths that are counted apart; the rest is told as one."""

PAIRS_MIN = 10
"""Of neighbouring windows, for their median."""

CHI_SQUARE_MEDIAN = 0.4549
"""Of one degree of freedom, whose mean is 1."""

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

KNOWN = f"known are the common and combined formats, HAProxy's, and JSON lines with {', '.join(MOMENT_FIELDS)}"


@dataclass(frozen=True, slots=True)
class Profile:
    """A recorded load."""

    requests: int
    begin_s: float
    end_s: float
    """Moments since the epoch."""
    rate_mean: float
    """Requests a second."""
    rate_max: dict[int, float]
    """Window in seconds → rate in the busiest of such windows, of those that the recording is longer than."""
    scv_arrivals: float
    """Burstiness beside the shape: variance over mean of the counts of ten seconds, its slow change taken off. 1 is
    chance alone (Poisson); more comes of visitors who come because of each other."""
    shape: tuple[float, ...]
    """Relative rate in equal parts of the recording, 1.0 on average."""
    write_share: float | None
    """None where the log does not say methods."""
    failed_share: float | None
    """Of those whose status is known, from 500 on."""
    response_s: tuple[float, float, float] | None
    """p50, p95, p99 as visitors saw it; None where the log does not say."""
    routes: tuple[tuple[str, float], ...]
    """The paths asked for most, with their shares."""

    @property
    def duration_s(self) -> float:
        return self.end_s - self.begin_s


def profile_of(lines: Iterable[str], *, subject: str) -> Profile:
    """Read a log. Raises SpecError when too few of its lines say when they were, or there are too many of them."""
    moments, took = array("d"), array("d")
    paths: Counter[str] = Counter()
    methods, writes, statuses, failed, seen = 0, 0, 0, 0, 0
    for line in bounded(lines, subject):
        seen += 1
        entry = entry_of(line)
        if entry is None:
            continue
        moments.append(entry.moment_s)
        if entry.took_s is not None:
            took.append(entry.took_s)
        if entry.method:
            methods += 1
            writes += entry.method in WRITES
        if entry.status is not None:
            statuses += 1
            failed += entry.status >= 500
        if entry.path and (entry.path in paths or len(paths) < ROUTES_MAX):
            paths[entry.path] += 1
    check_moments(moments, seen, subject)
    begin_s, end_s = min(moments), max(moments)
    counts = _per_second(moments, begin_s, end_s)
    return Profile(
        requests=len(moments),
        begin_s=begin_s,
        end_s=end_s,
        rate_mean=len(moments) / (end_s - begin_s),
        rate_max={window: _busiest(counts, window) for window in WINDOWS_S if window <= len(counts)},
        scv_arrivals=burstiness(counts),
        shape=shape_of(moments),
        write_share=writes / methods if methods else None,
        failed_share=failed / statuses if statuses else None,
        response_s=_percentiles(took) if len(took) >= LINES_MIN else None,
        routes=tuple((path, count / len(moments)) for path, count in paths.most_common(10)),
    )


def check_moments(moments: Sequence[float], lines: int, subject: str) -> None:
    """Raises SpecError where these are too few, or all the same, to say anything."""
    if lines and not moments:
        raise SpecError(f"none of its {lines} lines says when it was", subject=subject, hint=KNOWN)
    if len(moments) < LINES_MIN or min(moments) == max(moments):
        raise SpecError(
            f"has {len(moments)} lines whose moment can be read, at least {LINES_MIN} at different times are needed",
            subject=subject,
            hint=KNOWN,
        )


def shape_of(moments: Sequence[float], slices: int = SLICES) -> tuple[float, ...]:
    """How many of `moments` fall into each slice of their whole time, divided by the mean."""
    first, last = min(moments), max(moments)
    width_s = (last - first) / slices
    counts = [0] * slices
    for moment in moments:
        counts[min(int((moment - first) / width_s), slices - 1)] += 1
    mean = len(moments) / slices
    return tuple(count / mean for count in counts)


def burstiness(counts_per_s: Sequence[int], window_s: int = 10) -> float:
    """The index of dispersion for counts, variance over mean (D. Cox, P. Lewis, 1966), less what changes slowly: the
    usual value of (N₂ − N₁)²/(N₁ + N₂) over neighbouring windows, by its median, so that one step does not count.

    At least 0.1, as a log in whole seconds cannot show less; 1 where there is too little to say.
    """
    sums = [sum(counts_per_s[at : at + window_s]) for at in range(0, len(counts_per_s) - window_s + 1, window_s)]
    pairs = [(before, after) for before, after in pairwise(sums) if before + after]
    if len(pairs) < PAIRS_MIN or sum(sums) < LINES_MIN:
        return 1.0
    usual = median((after - before) ** 2 / (before + after) for before, after in pairs)
    return max(0.1, usual / CHI_SQUARE_MEDIAN)


def bounded(lines: Iterable[str], subject: str) -> Iterator[str]:
    """The lines; raises SpecError when there are over LINES_MAX."""
    for number, line in enumerate(lines, 1):
        if number > LINES_MAX:
            raise SpecError(f"has over {LINES_MAX:,} lines", subject=subject, hint="cut out the hours that are meant")
        yield line


def _per_second(moments: Sequence[float], begin_s: float, end_s: float) -> list[int]:
    counts = [0] * (int(end_s - begin_s) + 1)
    for moment in moments:
        counts[int(moment - begin_s)] += 1
    return counts


def _busiest(counts_per_s: Sequence[int], window_s: int) -> float:
    inside = sum(counts_per_s[:window_s])
    best = inside
    for at in range(window_s, len(counts_per_s)):
        inside += counts_per_s[at] - counts_per_s[at - window_s]
        best = max(best, inside)
    return best / window_s


def _percentiles(took: Sequence[float]) -> tuple[float, float, float]:
    ascending = sorted(took)
    p50, p95, p99 = (ascending[max(1, math.ceil(share * len(ascending))) - 1] for share in (0.5, 0.95, 0.99))
    return p50, p95, p99
