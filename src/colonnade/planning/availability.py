"""How often enough of it is up: parts that fail and are repaired, alone, in series, in parallel, k of n.

Symbols: A availability (share of time), MTTF mean seconds until a part fails, MTTR mean seconds until it is repaired,
λ = 1/MTTF, μ = 1/MTTR, n parts of which k must be up. Failures are independent: a shared disk, a bad version or a
power supply is a part of its own, in series.

Sources: K. Trivedi, "Probability and Statistics with Reliability, Queuing, and Computer Science Applications" (2002,
8.2, birth–death processes with repair); E. Barlow, F. Proschan, "Mathematical Theory of Reliability" (1965) for series
and parallel; B. Beyer and others, "Site Reliability Engineering" (2016, 3) for the error budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

DAY_S = 86_400.0
WINDOW_S = 30 * DAY_S
"""Of an error budget: thirty days, as most objectives have it."""

PARTS_MAX = 10_000
"""More is a slip; bounds every loop here."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that fails and is repaired."""

    mttf_s: float
    mttr_s: float

    def __post_init__(self) -> None:
        if not self.mttf_s > 0 or not 0 <= self.mttr_s < math.inf:
            raise ValueError(f"expected a time to failure above 0 and a finite time to repair, got {self}")

    @property
    def availability(self) -> float:
        """A = MTTF/(MTTF + MTTR)."""
        return 1.0 if math.isinf(self.mttf_s) else self.mttf_s / (self.mttf_s + self.mttr_s)


def in_series(availabilities: Iterable[float]) -> float:
    """All are needed: ΠA."""
    return math.prod(_checked(availabilities))


def in_parallel(availabilities: Iterable[float]) -> float:
    """One is enough: 1 − Π(1 − A)."""
    return 1 - math.prod(1 - each for each in _checked(availabilities))


def k_of_n(needed: int, count: int, availability: float) -> float:
    """Σ C(n, i)·A^i·(1 − A)^(n−i) for i ≥ k: equal parts, each repaired by somebody of its own."""
    _check_count(needed, count)
    (each,) = _checked([availability])
    if each in (0.0, 1.0):
        return 1.0 if each == 1.0 or needed == 0 else 0.0
    logs = (
        math.lgamma(count + 1)
        - math.lgamma(i + 1)
        - math.lgamma(count - i + 1)
        + i * math.log(each)
        + (count - i) * math.log1p(-each)
        for i in range(needed)
    )
    return max(0.0, 1 - math.fsum(math.exp(value) for value in logs))


@dataclass(frozen=True, slots=True)
class Redundancy:
    """What n equal parts of which k must be up come to."""

    availability: float
    outages_per_year: float
    outage_s_mean: float
    """0 when there never is one."""
    first_outage_s_mean: float
    """From all up until too few are, for the first time."""


def repaired(needed: int, count: int, part: Part, repairers: int | None = None) -> Redundancy:
    """k of n with repair, as a Markov chain in the number of broken parts: it grows by (n − i)·λ, falls by
    min(i, repairers)·μ. Broken systems go on breaking, as they do. `repairers` None: one for each.

    The steady state is a product of ratios (Trivedi 8.2), the time to the first outage the sum of the times up from one
    number to the next: h_i = 1/(λ_i) + μ_i/λ_i·h_(i−1).
    """
    _check_count(needed, count)
    crew = count if repairers is None else repairers
    if crew < 1:
        raise ValueError(f"expected somebody who repairs, got {repairers}")
    spare = count - needed
    if math.isinf(part.mttf_s):
        return Redundancy(1.0, 0.0, 0.0, math.inf)
    failing = [(count - i) / part.mttf_s for i in range(count)]
    first_s, step_s = 0.0, 0.0
    for i in range(spare + 1):
        if i >= count:
            return Redundancy(1.0, 0.0, 0.0, math.inf)
        fixing = min(i, crew) / part.mttr_s if part.mttr_s > 0 else math.inf
        if math.isinf(fixing) and i > 0:
            return Redundancy(1.0, 0.0, 0.0, math.inf)
        step_s = 1 / failing[i] + (fixing / failing[i] * step_s if i else 0.0)
        first_s += step_s
    if part.mttr_s == 0:
        return Redundancy(1.0, failing[0] * DAY_S * 365, 0.0, first_s)
    shares = _shares(failing, crew, part.mttr_s)
    down = math.fsum(shares[spare + 1 :])
    outage_rate = shares[spare] * failing[spare]
    return Redundancy(
        availability=math.fsum(shares[: spare + 1]),
        outages_per_year=outage_rate * DAY_S * 365,
        outage_s_mean=down / outage_rate if outage_rate > 0 else 0.0,
        first_outage_s_mean=first_s,
    )


def budget_s(objective: float, window_s: float = WINDOW_S) -> float:
    """Seconds of outage that an availability objective leaves in a window: (1 − A)·window."""
    (objective,) = _checked([objective])
    return (1 - objective) * window_s


@dataclass(frozen=True, slots=True)
class FailoverCost:
    """What failovers take of the error budget of a window."""

    lost_s: float
    """Seconds of full outage that they come to, share for share."""
    budget_s: float

    @property
    def share(self) -> float:
        """Of the budget; above 1 the objective cannot be kept by failing over alone."""
        return self.lost_s / self.budget_s if self.budget_s > 0 else math.inf


def failover_cost(
    objective: float, outage_s: float, failovers: float, affected: float = 1.0, window_s: float = WINDOW_S
) -> FailoverCost:
    """`failovers` in the window, each of `outage_s` in which the share `affected` of all requests fails."""
    if outage_s < 0 or failovers < 0 or not 0 <= affected <= 1:
        raise ValueError(f"expected an outage, a count and a share, got {outage_s}, {failovers}, {affected}")
    return FailoverCost(outage_s * failovers * affected, budget_s(objective, window_s))


def count_for(needed: int, objective: float, part: Part, repairers: int | None = None) -> int:
    """The fewest parts n ≥ k that reach the availability. Raises ValueError beyond PARTS_MAX."""
    (objective,) = _checked([objective])
    for count in range(max(1, needed), PARTS_MAX + 1):
        if repaired(needed, count, part, repairers).availability >= objective:
            return count
    raise ValueError(f"no {PARTS_MAX} parts reach {objective:.6%}")


def _shares(failing: list[float], crew: int, mttr_s: float) -> list[float]:
    """The share of time with i parts broken, i = 0 … n: products of ratios, scaled by the largest on the way."""
    logs = [0.0]
    for i, rate in enumerate(failing, 1):
        logs.append(logs[-1] + math.log(rate) - math.log(min(i, crew) / mttr_s))
    highest = max(logs)
    weights = [math.exp(value - highest) for value in logs]
    whole = math.fsum(weights)
    return [weight / whole for weight in weights]


def _check_count(needed: int, count: int) -> None:
    if not 0 <= needed <= count <= PARTS_MAX or count < 1:
        raise ValueError(f"expected 0 ≤ k ≤ n ≤ {PARTS_MAX} and a part, got k = {needed}, n = {count}")


def _checked(availabilities: Iterable[float]) -> list[float]:
    known = list(availabilities)
    if any(not 0 <= each <= 1 for each in known):
        raise ValueError(f"an availability is between 0 and 1, got {known}")
    return known
