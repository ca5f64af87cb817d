"""How long the requests of a mix take, by how long each kind takes in another mix on a system that is as busy. Pure.

Of each kind of request is measured X_r, the answers a second when it is alone and many are inside at once. And in some
mix, in which all kinds have their part, how long each takes at some shares of what that mix gets. Of a mix that was
never measured, with `share_r` of kind r at λ requests a second, then follow

    1/X = Σ share_r / X_r        u = λ/X        T = Σ share_r · T_r(u)

and its times are those of the kinds at u, each by its share. That mixed kinds cost more than alone is read off the mix
that was measured (`mixing_of`), and makes X so much less, the more often kinds meet others in a mix (`variety_of`).

*Why.* A request takes what nobody can take from it (waiting for a disk, for another machine), and the processor time
c_r that it shares with others. Who shares has his turn the more seldom, the more others are there: it takes
T_r(u) = I_r + c_r·f(u), where f says what being busy means on this machine: 1/(1 − u) for one processor shared by any
times at all (M/G/1-PS: L. Kleinrock, Queueing Systems II, 4.4), something else for two cores, for locks and for
places, and for a machine that falters at times. It need not be known: each kind was slowed down by it in the mix that
was measured, and in another mix that makes the system as busy it is taken to be the same.

Not measured alone, though that would do where only processors are shared: writes alone at 60 % of what they can are
several times as many as in any mix, and wait for each other at the disk.

Exact for processors that are shared, but for what mixing costs: times have as much of it in them as there was in the
mix in which they were measured. Where requests are served one after the other, the short ones wait for the long ones,
and it is off by what the lengths in the two mixes differ. Says nothing about other numbers of replicas, or other
machines: that is what `predict` is for.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from colonnade.planning.errors import Unstable

DEARER_MAX = 1.0
"""Twice as much as alone, in the mix that was measured: beyond it, something else went wrong."""

TIMES_KEPT = 200
"""Of the times of a load, at even shares of all of them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How long one kind of request took, at one load."""

    utilization: float
    """λ/X, of whatever came then."""
    mean_s: float
    times_s: tuple[float, ...]
    """Ascending: TIMES_KEPT of them at even shares."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of request in a mix."""

    share: float
    capacity_per_s: float
    """X_r."""
    seen: tuple[Seen, ...]
    """By utilization, ascending, at least one."""


def kept(times_s: Sequence[float]) -> tuple[float, ...]:
    """TIMES_KEPT of them, at the middles of equal shares; all where there are fewer."""
    ascending = sorted(times_s)
    if len(ascending) <= TIMES_KEPT:
        return tuple(ascending)
    return tuple(ascending[int((part + 0.5) * len(ascending) / TIMES_KEPT)] for part in range(TIMES_KEPT))


def capacity_of(mix: Sequence[Part]) -> float:
    """X, answers a second."""
    return 1 / math.fsum(each.share / each.capacity_per_s for each in mix)


def variety_of(alone: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """How likely two requests of a mix, of which the one is worked on beside or after the other, are of different
    kinds: 1 − Σ w², with w the share of the work that a kind makes. 0 with one kind, 1 − 1/k with k that are the same
    work each. `alone`: answers a second of each kind, which at least those with a share have.
    """
    works = [share / alone[name] for name, share in shares.items() if share > 0]
    if len(works) < 2:
        return 0.0
    return 1 - math.fsum(work**2 for work in works) / math.fsum(works) ** 2


def mixing_of(alone: Mapping[str, float], shares: Mapping[str, float], together: float) -> float:
    """By which share more a request costs among none but those of other kinds than among its own: by the answers a
    second of each kind alone, and of some mix of them. Caches, an interpreter and a database have to keep several
    things at hand there, fewer writes find each other for one flush, and what was just changed is read. In a mix it
    meets others as often as `variety_of` says. Never less than 0: nothing is gained by it, and where it seems so, a
    kind alone came as often as it could be sent, and no more.
    """
    if (variety := variety_of(alone, shares)) <= 0:
        return 0.0
    dearer = 1 / (together * math.fsum(share / alone[name] for name, share in shares.items())) - 1
    return min(DEARER_MAX, max(0.0, dearer)) / variety


def mean_s_at(seen: Sequence[Seen], utilization: float) -> float:
    """T(u): straight in u/(1 − u), as queues grow, between two loads that were seen, and on beyond the last; as at the
    first below it."""
    if len(seen) == 1 or utilization <= seen[0].utilization:
        return seen[0].mean_s
    below, above = next((pair for pair in pairwise(seen) if utilization <= pair[1].utilization), seen[-2:])
    crowd, least, most = (_crowd(each) for each in (utilization, below.utilization, above.utilization))
    grown_s = above.mean_s + (crowd - most) / (most - least) * (above.mean_s - below.mean_s)
    return max(grown_s, above.mean_s) if crowd > most else grown_s


def times_of(mix: Sequence[Part], rate_per_s: float) -> dict[str, float]:
    """`mean`, `p50`, `p95`, `p99`, in seconds. Raises Unstable where more come than are ever answered."""
    capacity = capacity_of(mix)
    if rate_per_s >= capacity:
        raise Unstable(
            rate_per_s / capacity, arrival_rate=rate_per_s, capacity=capacity, subject="the system as it runs"
        )
    utilization = rate_per_s / capacity
    means_s = [mean_s_at(each.seen, utilization) for each in mix]
    tail = _Tail([_times(each, mean_s, utilization) for each, mean_s in zip(mix, means_s, strict=True)])
    quantiles = {name: tail.quantile_s(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return {"mean": math.fsum(each.share * mean_s for each, mean_s in zip(mix, means_s, strict=True)), **quantiles}


def _crowd(utilization: float) -> float:
    """Who is inside on average, of one processor that is shared; no more than a hundred near its capacity."""
    return utilization / (1 - min(utilization, 0.99))


def _times(part: Part, mean_s: float, utilization: float) -> tuple[float, float, tuple[float, ...]]:
    """(share, what the times are to be multiplied by, times): those of the load that is nearest, stretched."""
    nearest = min(part.seen, key=lambda each: abs(each.utilization - utilization))
    return part.share, mean_s / nearest.mean_s, nearest.times_s


class _Tail:
    """Shares of times, over all kinds."""

    def __init__(self, parts: Sequence[tuple[float, float, tuple[float, ...]]]) -> None:
        self._parts = parts
        self._longest_s = max(factor * times_s[-1] for _, factor, times_s in parts)

    def quantile_s(self, share: float) -> float:
        """By halving: to 1e-9 of the longest."""
        low, high = 0.0, self._longest_s
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self._within(middle) < share else (low, middle)
        return high

    def _within(self, time_s: float) -> float:
        return math.fsum(
            weight * bisect_right(times_s, time_s / factor) / len(times_s) for weight, factor, times_s in self._parts
        )
