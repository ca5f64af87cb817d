"""What happened in a run: each request and each visit, counts, and who was there. Data, and what is read from it.

Arrays side by side, because a day has ten million requests. Intervals of confidence are `estimate.py`'s.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise


def _doubles() -> array[float]:
    return array("d")


@dataclass(slots=True)
class StationOutcome:
    """One station's run, visit by visit in the order of their arrival."""

    places: int
    """At the beginning."""
    arrived_s: array[float] = field(default_factory=_doubles)
    wait_s: array[float] = field(default_factory=_doubles)
    """Until a place was free; infinite for those that never got one."""
    busy_s: float = 0.0
    """Seconds that places were taken, of all of them together."""
    lost: Counter[str] = field(default_factory=Counter)
    """Visits without an answer, by reason: `refused` (the queue was full), `timed_out` (waited too long), `broken` (the
    replica died, or one that it needed gave no answer), `abandoned` (nobody waited for it any more)."""
    repeated: int = 0
    """Visits that the gateway sent on to another replica after theirs had died."""
    replica_s: float = 0.0
    """Seconds of replicas, from their start to their end: what one pays for."""
    changes: list[tuple[float, int]] = field(default_factory=list)
    """(moment, replicas asked for from then on)."""
    answered_by: list[int] = field(default_factory=list)
    """Visits that each replica answered."""

    def utilization(self, duration_s: float) -> float:
        """Share of the places that were taken, had there been as many all the time as in the beginning."""
        return self.busy_s / (self.places * duration_s)

    def reversals(self) -> int:
        """How often the number of replicas turned from rising to falling or back."""
        counts = [count for _, count in self.changes]
        steps = [after - before for before, after in pairwise(counts) if after != before]
        return sum(1 for one, next_one in pairwise(steps) if (one > 0) != (next_one > 0))


@dataclass(slots=True)
class Outcome:
    """A whole run."""

    stations: dict[str, StationOutcome]
    arrived_s: array[float] = field(default_factory=_doubles)
    latency_s: array[float] = field(default_factory=_doubles)
    """Of each request, seconds until its answer, every attempt included; infinite where there was none."""
    lost: Counter[str] = field(default_factory=Counter)
    """Requests without an answer, by what ended their last attempt, `gave_up` being the visitors' own patience."""
    retries: int = 0
    """Attempts of visitors after their first."""

    def answered_s(self) -> array[float]:
        """The latencies of those that got an answer."""
        return array("d", [latency_s for latency_s in self.latency_s if latency_s < math.inf])

    def quantile_by_interval(self, interval_s: float, quantile: float) -> list[float]:
        """That quantile of the latencies of each interval that had requests, by their arrival."""
        found: dict[int, array[float]] = {}
        for at_s, latency_s in zip(self.arrived_s, self.latency_s, strict=True):
            interval = int(at_s // interval_s)
            if interval not in found:
                found[interval] = array("d")
            found[interval].append(latency_s)
        return [rank(sorted(values), quantile) for _, values in sorted(found.items())]


def rank(ascending: Sequence[float], quantile: float) -> float:
    """The nearest rank: the smallest value that the share `quantile` does not exceed. ValueError without values."""
    if not ascending or not 0 < quantile <= 1:
        raise ValueError(f"no quantile {quantile} of {len(ascending)} values")
    return ascending[max(1, math.ceil(round(quantile * len(ascending), 9))) - 1]


def steps_of(changes: Sequence[tuple[float, int]], at_s: Sequence[float]) -> list[int]:
    """The number of replicas asked for at each of these moments."""
    moments = [moment for moment, _ in changes]
    return [changes[max(0, bisect_right(moments, each) - 1)][1] for each in at_s]
