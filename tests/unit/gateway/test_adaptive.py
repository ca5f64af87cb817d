"""Shares that follow measured times: the table of single steps."""

from __future__ import annotations

import pytest

from colonnade.core.histogram import BOUNDS_MS, Histogram
from colonnade.gateway.adaptive import (
    ANSWERS_MIN,
    UNKNOWN_AFTER_S,
    Measured,
    mean_s,
    next_factors,
)


def step(odd: Measured, normal_s: float | None = 0.05) -> float:
    others = [Measured(slot, 1.0, normal_s) for slot in (2, 3, 4)]
    factors = next_factors([odd, *others])
    assert {factors[other.slot] for other in others} == {1.0}
    return factors[1]


@pytest.mark.parametrize(
    ("factor", "time_s", "expected"),
    [
        (1.0, 0.05, 1.0),
        (1.0, 0.06, 1.0),  # alike
        (1.0, 0.065, 1.0),  # a change of less than a quarter
        (1.0, 0.1, 0.5),  # halved on its way to 0.15
        (0.5, 0.1, 0.25),
        (0.25, 0.1, 0.1526),
        (0.18, 0.1, 0.18),  # near enough
        (1.0, 0.25, 0.5),
        (0.03, 0.25, 0.015),
        (0.012, 5.0, 0.01),  # never out
        (0.01, 0.05, 0.015),  # and never stuck
        (0.5, 0.05, 0.75),
        (0.9, 0.05, 1.0),
        (1.0, 0.001, 1.0),  # who fails at once gets no more than the others
    ],
)
def test_one_step(factor: float, time_s: float, expected: float) -> None:
    assert step(Measured(1, factor, time_s)) == pytest.approx(expected, abs=0.0001)


def test_one_of_two_is_compared_with_the_faster() -> None:
    assert next_factors([Measured(1, 1.0, 0.05), Measured(2, 1.0, 0.25)]) == {1: 1.0, 2: 0.5}


def test_without_anybody_to_compare_with_nothing_changes() -> None:
    assert next_factors([Measured(1, 0.3, 0.05)]) == {1: 0.3}
    assert next_factors([Measured(1, 0.3, None), Measured(2, 1.0, 0.05)]) == {1: 0.3, 2: 1.0}


def test_who_is_not_heard_of_gains_weight_until_it_is() -> None:
    assert step(Measured(1, 0.01, None, unheard_s=UNKNOWN_AFTER_S - 1)) == 0.01
    assert step(Measured(1, 0.01, None, unheard_s=UNKNOWN_AFTER_S)) == 0.015
    assert step(Measured(1, 0.9, None, unheard_s=UNKNOWN_AFTER_S)) == 1.0


def test_a_mean_is_of_the_middles_of_the_buckets_and_of_enough_answers() -> None:
    counts = [0] * (len(BOUNDS_MS) + 1)
    counts[1] = ANSWERS_MIN
    middle_s = (BOUNDS_MS[0] + BOUNDS_MS[1]) / 2000
    assert mean_s(Histogram(tuple(counts))) == pytest.approx(middle_s)
    counts[1] -= 1
    assert mean_s(Histogram(tuple(counts))) is None
    counts[-1] = 1
    assert mean_s(Histogram(tuple(counts))) == pytest.approx((9 * middle_s + 1.5 * BOUNDS_MS[-1] / 1000) / 10)
