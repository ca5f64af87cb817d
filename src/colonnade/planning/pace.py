"""How fast a whole system answers with so many requests inside, and what follows for a load that comes by chance. Pure.

Everything that makes requests wait for each other on one machine (cores and who gets them, places, locks, disks, work
that is cheaper in a crowd) shows in one curve: X(n), the answers a second with n requests inside. A system that is as
fast as that with n inside, whoever they are, is a *flow-equivalent server* (K. Chandy, U. Herzog, L. Woo, 1975; exact
for product-form networks, and good for others). Arrivals at λ that know nothing of each other make it a chain of births
and deaths, whose steady state is

    P(n) = P(0) · Π λ/X(k), k = 1 … n        L = Σ n·P(n)        T = L/λ   (Little)

*A mix* of kinds of requests that was never measured: each kind r is measured alone, with n of it inside. Where n share
the system evenly, one of kind r takes its n-th part, so an answer costs the system D_r(n) = 1/X_r(n) of its time, and

    1/X(n) = Σ share_r · D_r(n)        T_r(n) = n · D_r(n)

*Percentiles*: who comes finds n inside with probability P(n) (Poisson arrivals see time averages) and takes as long as
its kind did with n + 1 inside: the times that were measured there, stretched to T_r(n + 1). Their mean is L/λ again, as
P(n)·(n + 1)/X(n + 1) = (n + 1)·P(n + 1)/λ. That n changes meanwhile is left out.

Says nothing about other numbers of replicas, or other machines: that is what `predict` is for.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from colonnade.planning.errors import Unstable

TIMES_KEPT = 200
"""Of the times of a pace, at even shares of all of them."""

NEGLIGIBLE = 1e-12
"""Probability of a state, relative to the likeliest, beyond which states are left out."""

STATES_MAX = 100_000
"""So many inside are less likely than NEGLIGIBLE up to 99.97 % of the capacity."""

ROUNDS_MAX, SETTLED = 50, 1e-6
"""For how often somebody is inside and how fast one who is alone is served, which depend on each other."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a system does with so many requests of a kind inside."""

    present: float
    """n, on average."""
    rate_per_s: float
    """X(n)."""
    times_s: tuple[float, ...] = ()
    """How long they took, ascending: TIMES_KEPT of them at even shares."""

    @property
    def mean_s(self) -> float:
        """By Little's law."""
        return self.present / self.rate_per_s


@dataclass(frozen=True, slots=True)
class Paced:
    """One kind of request in a mix."""

    share: float
    alone: Pace
    """Asked so slowly that hardly two meet, on a system that is asleep in between."""
    crowd: tuple[Pace, ...]
    """With always some inside, one on average at first, ascending."""


@dataclass(frozen=True, slots=True)
class PacedPrediction:
    """A load's steady state."""

    present_mean: float
    times_s: dict[str, float]
    """`mean`, `p50`, `p95`, `p99`."""


def kept(times_s: Sequence[float]) -> tuple[float, ...]:
    """TIMES_KEPT of them, at the middles of equal shares; all where there are fewer."""
    ascending = sorted(times_s)
    if len(ascending) <= TIMES_KEPT:
        return tuple(ascending)
    return tuple(ascending[int((part + 0.5) * len(ascending) / TIMES_KEPT)] for part in range(TIMES_KEPT))


def answer_s(paces: Sequence[Pace], present: float) -> float:
    """D(n) = 1/X(n): X straight in the logarithm of n between those measured, as at the first below it, as at the last
    beyond it.

    The first is measured with one inside at most: 0.9 on average if it took a tenth of the time to send the next.
    """
    first, last = paces[0], paces[-1]
    if present <= max(1.0, first.present):
        return first.mean_s / max(1.0, present)
    if present >= last.present:
        return 1 / last.rate_per_s
    for one, other in pairwise(paces):
        if present <= other.present:
            part = math.log(present / one.present) / math.log(other.present / one.present)
            return 1 / (one.rate_per_s + part * (other.rate_per_s - one.rate_per_s))
    return 1 / last.rate_per_s


def capacity_of(mix: Sequence[Paced]) -> float:
    """Answers a second with as many inside as were ever measured."""
    return 1 / math.fsum(each.share * answer_s(each.crowd, math.inf) for each in mix)


def paced(mix: Sequence[Paced], rate_per_s: float) -> PacedPrediction:
    """The steady state. Raises Unstable where more come than are ever answered."""
    capacity = capacity_of(mix)
    if rate_per_s >= capacity:
        raise Unstable(
            rate_per_s / capacity, arrival_rate=rate_per_s, capacity=capacity, subject="the system as it runs"
        )
    busy, before = 0.0, 1.0
    for _ in range(ROUNDS_MAX):
        if abs(busy - before) < SETTLED:
            break
        states = _states(mix, rate_per_s, busy)
        busy, before = 1 - states[0], busy
    present = math.fsum(count * share for count, share in enumerate(states))
    tail = _Tail(mix, states, busy)
    quantiles = {name: tail.quantile_s(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return PacedPrediction(present, {"mean": present / rate_per_s, **quantiles})


def _states(mix: Sequence[Paced], rate_per_s: float, busy: float) -> list[float]:
    """P(n), n = 0 …"""
    values, largest = [1.0], 1.0
    for count in range(1, STATES_MAX):
        values.append(values[-1] * rate_per_s * math.fsum(each.share * _shared_s(each, count, busy) for each in mix))
        largest = max(largest, values[-1])
        if values[-1] < NEGLIGIBLE * largest:
            break
    total = math.fsum(values)
    return [value / total for value in values]


def _shared_s(kind: Paced, present: int, busy: float) -> float:
    """D_r(n). One who is alone is served the faster, the shorter the system slept: straight between how long it took
    asked slowly, and with one always inside, by the share of time in which somebody is inside."""
    if present > 1:
        return answer_s(kind.crowd, present)
    slow, one = kind.alone, kind.crowd[0]
    if one.present <= slow.present:
        return one.mean_s
    part = min(1.0, max(0.0, (busy - slow.present) / (one.present - slow.present)))
    return slow.mean_s + part * (one.mean_s - slow.mean_s)


class _Tail:
    """Shares of times, over all states and kinds."""

    def __init__(self, mix: Sequence[Paced], states: Sequence[float], busy: float) -> None:
        self._parts: list[tuple[float, float, tuple[float, ...]]] = []
        """(probability, what its times are to be multiplied by, times)."""
        for found, probability in enumerate(states):
            for kind in mix:
                time_s = (found + 1) * _shared_s(kind, found + 1, busy)
                pace = _nearest(kind.crowd, found + 1)
                mean_s = math.fsum(pace.times_s) / len(pace.times_s)
                self._parts.append((probability * kind.share, time_s / mean_s, pace.times_s))
        self._longest_s = max(factor * times_s[-1] for _, factor, times_s in self._parts)

    def quantile_s(self, share: float) -> float:
        """By halving: to 1e−9 of the longest."""
        low, high = 0.0, self._longest_s
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self._within(middle) < share else (low, middle)
        return high

    def _within(self, time_s: float) -> float:
        return math.fsum(
            weight * bisect_right(times_s, time_s / factor) / len(times_s) for weight, factor, times_s in self._parts
        )


def _nearest(paces: Sequence[Pace], present: int) -> Pace:
    """Whose number is nearest as a ratio: from 1 to 2 is as far as from 10 to 20."""
    return min(paces, key=lambda each: abs(math.log(each.present / present)))
