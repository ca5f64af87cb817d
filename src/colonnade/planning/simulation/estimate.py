"""How certain a simulated figure is: warm-up cut off, and an interval of confidence around what is left.

Waiting times that follow each other are alike, so the standard error of independent values would be far too small. Two
ways around it: *batch means* (one long run is cut into batches so long that their means are nearly independent) and
*replications* (runs from different seeds, each giving one value). Pure.

Sources: A. M. Law, "Simulation Modeling and Analysis" (9.5) for both; K. P. White, "An effective truncation heuristic
for bias reduction in simulation output" (1997) for the warm-up (MSER-5); S. Asmussen and P. Glynn, "Stochastic
Simulation" (IV.5) for intervals of quantiles by sectioning.
"""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from colonnade.planning.simulation.outcome import rank
from colonnade.planning.student import t_quantile

BATCHES_MAX = 40
BATCHES_MIN = 10
"""More than 40 gain nothing (Student's t is nearly normal by then); fewer than 10 make an interval of little use."""

ALIKE_MAX = 0.2
"""Correlation between the means of neighbouring batches above which the batches are too short, and are joined."""

UNSETTLED = 0.5
"""Above this with the fewest batches, there is a trend in the run, or it is too short."""

SERIES = 2_000
"""Groups of values over which a warm-up is looked for: fine enough to lose less than a thousandth, and fast."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`value`, and with the probability `level` the truth is no farther from it than `half_width`."""

    value: float
    half_width: float
    level: float
    batches: int
    is_settled: bool = True
    """Whether the batches were long enough. False: the run is too short for its load, or the load too much; then the
    interval is too narrow."""

    @property
    def low(self) -> float:
        return self.value - self.half_width

    @property
    def high(self) -> float:
        return self.value + self.half_width

    def holds(self, truth: float) -> bool:
        # Not `abs(…) <= …` alone: without randomness both are equal up to rounding, and the interval has no width.
        return abs(truth - self.value) <= self.half_width + 1e-9 * abs(truth)


def warm_up(values: Sequence[float]) -> int:
    """How many values to leave out at the beginning, half of them at most: as many as make the standard error of the
    mean of the rest smallest (MSER)."""
    size = max(5, len(values) // SERIES)
    groups = [math.fsum(values[begin : begin + size]) / size for begin in range(0, len(values) - size + 1, size)]
    best, error_min = 0, math.inf
    total, squares = 0.0, 0.0
    for left_out in range(len(groups) - 1, -1, -1):
        total += groups[left_out]
        squares += groups[left_out] ** 2
        count = len(groups) - left_out
        error = (squares - total * total / count) / (count * count)
        if left_out <= len(groups) // 2 and error <= error_min:
            best, error_min = left_out, error
    return best * size


def mean_of(values: Sequence[float], *, level: float = 0.95) -> Estimate:
    """The mean of a run's values in their order, its warm-up left out. ValueError for fewer than 100 values, or ones
    that are not finite."""
    steady = _steady(values)
    return _by_batches(steady, math.fsum(steady) / len(steady), _mean, level)


def quantile_of(values: Sequence[float], quantile: float, *, level: float = 0.95) -> Estimate:
    """The same of a quantile (nearest rank): that of all values, with an interval from those of the batches."""
    steady = _steady(values)
    return _by_batches(steady, rank(sorted(steady), quantile), lambda batch: rank(sorted(batch), quantile), level)


def across(values: Sequence[float], *, level: float = 0.95) -> Estimate:
    """The mean of what replications gave, one value for each. ValueError for fewer than two of them."""
    if len(values) < 2:
        raise ValueError(f"expected at least two replications, got {len(values)}")
    return Estimate(statistics.fmean(values), _half_width(values, level), level, len(values))


def _steady(values: Sequence[float]) -> Sequence[float]:
    if len(values) < 100 or not math.isfinite(math.fsum(values)):
        raise ValueError(
            f"expected at least 100 finite values, got {len(values)}: those without an answer do not count"
        )
    return values[warm_up(values) :]


def _by_batches(
    values: Sequence[float], value: float, statistic: Callable[[Sequence[float]], float], level: float
) -> Estimate:
    count = min(BATCHES_MAX, len(values) // 5)
    while True:
        size = len(values) // count
        found = [statistic(values[number * size : (number + 1) * size]) for number in range(count)]
        alike = _alike(found)
        if alike <= ALIKE_MAX or count // 2 < BATCHES_MIN:
            break
        count //= 2
    # What is left of the correlation widens the interval, as of an autoregressive process of the first order.
    widening = math.sqrt((1 + alike) / (1 - alike)) if 0 < alike < 1 else 1.0
    return Estimate(value, _half_width(found, level) * widening, level, count, alike <= UNSETTLED)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _alike(values: Sequence[float]) -> float:
    """Correlation of each value with the next one; 0 when they do not vary."""
    mean = statistics.fmean(values)
    off = [value - mean for value in values]
    square = math.fsum(each * each for each in off)
    return math.fsum(map(operator.mul, off, off[1:])) / square if square > 0 else 0.0


def _half_width(values: Sequence[float], level: float) -> float:
    t = t_quantile((1 + level) / 2, len(values) - 1)
    return t * statistics.stdev(values) / math.sqrt(len(values))
