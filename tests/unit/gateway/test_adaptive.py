"""Weights that follow measured times: the table of single steps."""

from __future__ import annotations

import pytest

from colonnade.core.histogram import BOUNDS_MS, Histogram
from colonnade.gateway.adaptive import (
    ANSWERS_MIN,
    UNKNOWN_AFTER_S,
    WEIGHT_FULL,
    Measured,
    full_weight,
    mean_s,
    next_weights,
)


def step(odd: Measured, normal_s: float | None = 0.05) -> int:
    others = [Measured(slot, WEIGHT_FULL, normal_s) for slot in (2, 3, 4)]
    weights = next_weights([odd, *others])
    assert {weights[other.slot] for other in others} == {WEIGHT_FULL}
    return weights[1]


@pytest.mark.parametrize(
    ("weight", "time_s", "expected"),
    [
        (100, 0.05, 100),
        (100, 0.06, 100),  # alike
        (100, 0.065, 100),  # a change of less than a quarter
        (100, 0.1, 50),  # halved on its way to 24
        (50, 0.1, 25),
        (25, 0.1, 25),  # 24 is near enough
        (100, 0.25, 50),
        (2, 0.25, 1),
        (2, 5.0, 1),  # never out
        (1, 0.05, 2),  # and never stuck
        (50, 0.05, 75),
        (90, 0.05, 100),
        (100, 0.001, 100),  # who fails at once gets no more than the others
    ],
)
def test_one_step(weight: int, time_s: float, expected: int) -> None:
    assert step(Measured(1, weight, time_s)) == expected


def test_one_of_two_is_compared_with_the_faster() -> None:
    assert next_weights([Measured(1, 100, 0.05), Measured(2, 100, 0.25)]) == {1: 100, 2: 50}


def test_without_anybody_to_compare_with_nothing_changes() -> None:
    assert next_weights([Measured(1, 30, 0.05)]) == {1: 30}
    assert next_weights([Measured(1, 30, None), Measured(2, 100, 0.05)]) == {1: 30, 2: 100}


def test_who_is_not_heard_of_gains_weight_until_it_is() -> None:
    assert step(Measured(1, 1, None, unheard_s=UNKNOWN_AFTER_S - 1)) == 1
    assert step(Measured(1, 1, None, unheard_s=UNKNOWN_AFTER_S)) == 2
    assert step(Measured(1, 90, None, unheard_s=UNKNOWN_AFTER_S)) == 100


def test_who_is_declared_smaller_has_less_at_its_full_weight() -> None:
    assert [full_weight(declared, 3) for declared in (3, 1)] == [100, 33]
    assert step(Measured(1, 20, 0.05, full=33)) == 30
    assert step(Measured(1, 33, 0.05, full=33)) == 33


def test_a_mean_is_of_the_middles_of_the_buckets_and_of_enough_answers() -> None:
    counts = [0] * (len(BOUNDS_MS) + 1)
    counts[1] = ANSWERS_MIN
    middle_s = (BOUNDS_MS[0] + BOUNDS_MS[1]) / 2000
    assert mean_s(Histogram(tuple(counts))) == pytest.approx(middle_s)
    counts[1] -= 1
    assert mean_s(Histogram(tuple(counts))) is None
    counts[-1] = 1
    assert mean_s(Histogram(tuple(counts))) == pytest.approx((9 * middle_s + 1.5 * BOUNDS_MS[-1] / 1000) / 10)
