"""The universal scalability law: how much more comes of more, and from where on less. With its fit and intervals.

Symbols: N users or servers at once, X(N) throughput, λ throughput of one, σ contention (the share that is done one at a
time), κ coherency (what each pair costs to agree). σ = κ = 0 is linear, κ = 0 is Amdahl's law.

Source: N. J. Gunther, "Guerrilla Capacity Planning" (2007, eq. 4.32, and 5 on the fit); the peak is eq. 4.33. The fit
is least squares on the throughput, as in R's package `usl` (S. Möding): Gauss–Newton from where the linear form
N/X = 1/λ·(1 + σ(N−1) + κN(N−1)) has its least squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.planning.student import t_quantile

POINTS_MIN = 3
"""For three coefficients. With three points the law goes through all of them and there is no interval."""

STEPS_MAX = 100
"""Of Gauss–Newton; a handful is usual."""


@dataclass(frozen=True, slots=True)
class Law:
    """X(N) = λN/(1 + σ(N−1) + κN(N−1))."""

    rate_of_one: float
    contention: float
    coherency: float

    def throughput(self, users: float) -> float:
        return self.rate_of_one * users / self._burden(users)

    def speedup(self, users: float) -> float:
        """X(N)/X(1)."""
        return users / self._burden(users)

    @property
    def peak_users(self) -> float:
        """N* = √((1 − σ)/κ), beyond which more is less; infinite without coherency."""
        if self.coherency == 0:
            return math.inf
        return math.sqrt(max(0.0, 1 - self.contention) / self.coherency)

    @property
    def throughput_max(self) -> float:
        """At the peak; λ/σ where there is none (Amdahl's limit), and infinite where it is linear."""
        if self.coherency > 0:
            return self.throughput(max(1.0, self.peak_users))
        return self.rate_of_one / self.contention if self.contention > 0 else math.inf

    def _burden(self, users: float) -> float:
        return 1 + self.contention * (users - 1) + self.coherency * users * (users - 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, and between which bounds it lies with the confidence asked for."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The law that fits best, and how well. Intervals are None where there are as many coefficients as points."""

    law: Law
    rate_of_one: Interval | None
    contention: Interval | None
    coherency: Interval | None
    error_max: float
    """The largest relative deviation of a measured throughput from the law."""


def fit(points: Sequence[tuple[float, float]], confidence: float = 0.95) -> Fit:
    """The law through (N, X) with N ≥ 1 and X > 0, σ and κ at least 0.

    Where least squares would make a coefficient negative it is 0 and the rest is fitted anew (there is no negative
    contention, only too few points). Raises ValueError for fewer than three different N.
    """
    if len({users for users, _ in points}) < POINTS_MIN or any(users < 1 or rate <= 0 for users, rate in points):
        raise ValueError(f"expected {POINTS_MIN} different N from 1 on, each with a throughput above 0")
    active: tuple[int, ...] = (0, 1, 2)
    while True:
        found = _gauss_newton(points, active)
        lowest = min(active[1:], key=lambda each: found[each], default=0)
        if lowest == 0 or found[lowest] >= 0:
            break
        active = tuple(each for each in active if each != lowest)
    law = Law(*found)
    deviations = [abs(law.throughput(users) / rate - 1) for users, rate in points]
    return Fit(law, *_intervals(points, active, found, confidence), error_max=max(deviations))


def _gauss_newton(points: Sequence[tuple[float, float]], active: tuple[int, ...]) -> list[float]:
    """(λ, σ, κ) with those that are not active at 0."""
    rows = [[_columns(users)[each] * rate / users for each in active] for users, rate in points]
    beta = _solve(rows, [1.0] * len(points))
    found = [0.0, 0.0, 0.0]
    for each, value in zip(active, beta, strict=True):
        found[each] = 1 / value if each == 0 else value / beta[0]
    for _ in range(STEPS_MAX):
        law = Law(*found)
        step = _solve(_jacobian(points, active, law), [rate - law.throughput(users) for users, rate in points])
        before, size = _squares(points, found), 1.0
        trial = found
        while size > 1e-9:
            trial = list(found)
            for each, value in zip(active, step, strict=True):
                trial[each] += size * value
            if _is_law(points, trial) and _squares(points, trial) <= before:
                break
            size /= 2
        else:
            return found
        done = abs(_squares(points, trial) - before) <= 1e-14 * before
        found = trial
        if done:
            break
    return found


def _is_law(points: Sequence[tuple[float, float]], found: Sequence[float]) -> bool:
    return found[0] > 0 and all(1 + found[1] * (users - 1) + found[2] * users * (users - 1) > 0 for users, _ in points)


def _squares(points: Sequence[tuple[float, float]], found: Sequence[float]) -> float:
    law = Law(*found)
    return math.fsum((law.throughput(users) - rate) ** 2 for users, rate in points)


def _columns(users: float) -> tuple[float, float, float]:
    return 1.0, users - 1, users * (users - 1)


def _jacobian(points: Sequence[tuple[float, float]], active: tuple[int, ...], law: Law) -> list[list[float]]:
    """∂X/∂λ = X/λ, ∂X/∂σ = −X·(N−1)/burden, ∂X/∂κ = −X·N(N−1)/burden; one row a point."""
    rows = []
    for users, _ in points:
        value = law.throughput(users)
        burden = law.rate_of_one * users / value
        row = (value / law.rate_of_one, *(-value * column / burden for column in _columns(users)[1:]))
        rows.append([row[each] for each in active])
    return rows


def _solve(rows: list[list[float]], right: Sequence[float]) -> list[float]:
    """The coefficients whose combination of the columns is nearest to `right`."""
    inverse = _inverse(_normal(rows))
    size = len(rows[0])
    against = [math.fsum(row[i] * value for row, value in zip(rows, right, strict=True)) for i in range(size)]
    return [math.fsum(inverse[i][j] * against[j] for j in range(size)) for i in range(size)]


def _normal(rows: list[list[float]]) -> list[list[float]]:
    size = len(rows[0])
    return [[math.fsum(row[i] * row[j] for row in rows) for j in range(size)] for i in range(size)]


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """By Gauss and Jordan. The columns are scaled first: N² and 1 are far apart."""
    size = len(matrix)
    scale = [math.sqrt(matrix[i][i]) for i in range(size)]
    rows = [
        [matrix[i][j] / scale[i] / scale[j] for j in range(size)] + [float(i == j) for j in range(size)]
        for i in range(size)
    ]
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        factor = rows[column][column]
        rows[column] = [value / factor for value in rows[column]]
        for row in range(size):
            if row != column:
                factor = rows[row][column]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
    return [[rows[i][size + j] / scale[i] / scale[j] for j in range(size)] for i in range(size)]


def _intervals(
    points: Sequence[tuple[float, float]], active: tuple[int, ...], found: Sequence[float], confidence: float
) -> tuple[Interval | None, Interval | None, Interval | None]:
    """t·s·√((JᵀJ)⁻¹), s² the mean square of what is left. A coefficient that was put to 0 is given as [0, 0]."""
    freedom = len(points) - len(active)
    if freedom < 1:
        return None, None, None
    inverse = _inverse(_normal(_jacobian(points, active, Law(*found))))
    factor = t_quantile((1 + confidence) / 2, freedom) * math.sqrt(_squares(points, found) / freedom)
    halves = [0.0, 0.0, 0.0]
    for place, each in enumerate(active):
        halves[each] = factor * math.sqrt(inverse[place][place])
    of_rate, contention, coherency = (
        Interval(value, max(0.0, value - half), value + half) for value, half in zip(found, halves, strict=True)
    )
    return of_rate, contention, coherency
