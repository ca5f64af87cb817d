"""When operations are meant to be sent."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.drill.load.arrivals import Arrivals, intended_offsets


def test_constant_arrivals_are_equally_far_apart_and_do_not_drift() -> None:
    offsets = list(intended_offsets(Arrivals.CONSTANT, 10, 1_000, Random(1)))

    assert len(offsets) == 10_000
    assert offsets[0] == 0.0
    assert offsets[9_999] == 999.9


@given(
    arrivals=st.sampled_from(Arrivals),
    rate_per_s=st.floats(0.1, 500),
    duration_s=st.floats(0.01, 5),
    seed=st.integers(),
)
def test_send_times_ascend_and_stay_within_the_run(
    arrivals: Arrivals, rate_per_s: float, duration_s: float, seed: int
) -> None:
    offsets = list(intended_offsets(arrivals, rate_per_s, duration_s, Random(seed)))

    assert all(0 <= offset < duration_s for offset in offsets)
    assert all(earlier <= later for earlier, later in pairwise(offsets))


def test_the_same_seed_gives_the_same_times_and_another_seed_others() -> None:
    def times(seed: int) -> list[float]:
        return list(intended_offsets(Arrivals.POISSON, 50, 10, Random(seed)))

    assert times(1) == times(1)
    assert times(1) != times(2)


def test_poisson_arrivals_keep_the_rate_and_come_in_bursts() -> None:
    offsets = list(intended_offsets(Arrivals.POISSON, 100, 100, Random(7)))
    distances = [later - earlier for earlier, later in pairwise(offsets)]

    assert len(offsets) == pytest.approx(10_000, rel=0.05)
    # Of exponential distances a share of 1 - 1/e is shorter than the mean.
    assert sum(distance < 0.01 for distance in distances) / len(distances) == pytest.approx(0.632, abs=0.02)


@pytest.mark.parametrize(("rate_per_s", "duration_s"), [(0, 1), (-1, 1), (1, 0)])
def test_a_rate_or_duration_that_is_not_positive_is_refused(rate_per_s: float, duration_s: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        intended_offsets(Arrivals.CONSTANT, rate_per_s, duration_s, Random(1))


@given(
    arrivals=st.sampled_from(Arrivals),
    shape=st.lists(st.floats(0, 5), min_size=1, max_size=20).filter(lambda rates: sum(rates) > 0.1),
    seed=st.integers(),
)
def test_a_shape_moves_arrivals_and_neither_adds_nor_drops_any(
    arrivals: Arrivals, shape: list[float], seed: int
) -> None:
    mean = sum(shape) / len(shape)
    even = list(intended_offsets(arrivals, 50, 3, Random(seed)))
    moved = list(intended_offsets(arrivals, 50, 3, Random(seed), [rate / mean for rate in shape]))

    assert len(moved) == len(even)
    assert all(0 <= offset < 3 for offset in moved)
    assert all(earlier <= later for earlier, later in pairwise(moved))


def test_a_shape_gives_each_part_of_the_run_its_share() -> None:
    offsets = list(intended_offsets(Arrivals.POISSON, 100, 40, Random(3), (0.4, 0.0, 2.6, 1.0)))
    by_part = [sum(part * 10 <= offset < (part + 1) * 10 for offset in offsets) for part in range(4)]

    assert by_part == [
        pytest.approx(400, rel=0.15),
        0,
        pytest.approx(2_600, rel=0.1),
        pytest.approx(1_000, rel=0.1),
    ]
