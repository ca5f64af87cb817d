"""Intervals that hold the truth as often as they say, and a warm-up that is found."""

from __future__ import annotations

import math
from random import Random

import pytest

from colonnade.planning.simulation.estimate import Estimate, across, mean_of, quantile_of, warm_up
from colonnade.planning.simulation.outcome import Outcome, StationOutcome, rank, steps_of


def autoregressive(random: Random, count: int, memory: float) -> list[float]:
    """Values of mean 10 each of which keeps a share of what the last one was off; of variance 1 over all."""
    found, off = [], random.gauss()
    for _ in range(count):
        off = memory * off + math.sqrt(1 - memory * memory) * random.gauss()
        found.append(10.0 + off)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("memory", [0.0, 0.9, 0.98])
def test_nine_of_ten_intervals_hold_the_truth(memory: float) -> None:
    found = [mean_of(autoregressive(Random(seed), 8_000, memory), level=0.9) for seed in range(60)]
    assert 48 <= sum(each.holds(10.0) for each in found) <= 60
    assert sum(each.is_settled for each in found) >= 55
    expected = 1.68 * math.sqrt((1 + memory) / (1 - memory) / 8_000)
    assert sorted(each.half_width for each in found)[30] == pytest.approx(expected, rel=0.4)


@pytest.mark.slow
def test_intervals_of_a_quantile_hold_the_truth() -> None:
    found = [
        quantile_of([random.expovariate(1.0) for _ in range(8_000)], 0.95, level=0.9)
        for random in map(Random, range(60))
    ]
    assert 47 <= sum(each.holds(-math.log(0.05)) for each in found) <= 60


def test_a_trend_is_not_called_settled() -> None:
    values = [number + Random(number).random() for number in range(2_000)]
    assert not mean_of(values).is_settled
    assert mean_of([value % 7 for value in values]).is_settled


def test_the_beginning_is_left_out_as_far_as_it_is_unlike_the_rest() -> None:
    rest = [Random(number).gauss(10.0) for number in range(4_000)]
    assert warm_up(rest) < 1_000
    assert 500 <= warm_up([0.0] * 500 + rest) < 1_500
    assert mean_of([0.0] * 500 + rest, level=0.99).holds(10.0)
    assert warm_up([1.0] * 200) == 0


def test_replications_are_values_that_know_nothing_of_each_other() -> None:
    estimate = across([9.0, 11.0, 10.0, 10.0])
    assert (estimate.value, estimate.batches) == (10.0, 4)
    # t of three degrees of freedom is 3.182 for 95 %, and the standard error √(2/3)/2.
    assert estimate.half_width == pytest.approx(3.182 * math.sqrt(2 / 3) / 2, rel=1e-3)
    assert (estimate.low, estimate.high) == (10.0 - estimate.half_width, 10.0 + estimate.half_width)


def test_without_chance_the_interval_has_no_width_and_still_holds() -> None:
    estimate = mean_of([0.1 + 0.2] * 300)
    assert estimate.half_width < 1e-12
    assert estimate.holds(0.3)


@pytest.mark.parametrize("values", [[1.0] * 99, [1.0] * 200 + [math.inf]])
def test_too_little_and_what_was_never_answered_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 100 finite values"):
        mean_of(values)
    with pytest.raises(ValueError, match="at least two"):
        across([1.0])
    with pytest.raises(ValueError, match="no quantile"):
        rank([], 0.5)


def test_reversals_and_quantiles_are_counted() -> None:
    station = StationOutcome(4, changes=[(0, 2), (1, 4), (2, 6), (3, 3), (4, 3), (5, 5)], busy_s=20.0)
    assert station.reversals() == 2
    assert station.utilization(10.0) == 0.5
    outcome = Outcome({"web": station})
    for arrived_s, latency_s in ((0.1, 1.0), (0.2, 3.0), (1.5, 2.0), (2.5, math.inf)):
        outcome.arrived_s.append(arrived_s)
        outcome.latency_s.append(latency_s)
    assert outcome.quantile_by_interval(1.0, 0.99) == [3.0, 2.0, math.inf]
    assert list(outcome.answered_s()) == [1.0, 3.0, 2.0]
    assert steps_of(station.changes, [0.0, 0.5, 1.0, 9.0]) == [2, 2, 4, 5]


def test_an_estimate_says_how_far_it_may_be_off() -> None:
    assert Estimate(1.0, 0.1, 0.95, 40).holds(1.05)
    assert not Estimate(1.0, 0.1, 0.95, 40).holds(1.2)
