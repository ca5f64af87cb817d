"""The operational laws: by worked examples, and as identities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.planning import laws

rates = st.floats(min_value=1e-3, max_value=1e6)
times = st.floats(min_value=1e-6, max_value=1e3)


def test_a_disk_is_busy_as_in_the_worked_example() -> None:
    """Lazowska, "Quantitative System Performance", 3.2: 40 requests a second of 0.0225 s keep a disk busy for 90 %;
    with 4 requests inside on average, one takes 0.1 s (3.3); 15 users who think 5 s at 0.45/s wait 28.3 s (3.4)."""
    assert laws.utilization(40, 0.0225) == pytest.approx(0.9)
    assert laws.time_s_mean(4, 40) == pytest.approx(0.1)
    assert laws.response_s_of_users(15, 0.45, 5) == pytest.approx(28.33, abs=0.01)


def test_the_article_s_first_example_is_twice_too_much() -> None:
    assert laws.utilization(100, 0.1, 5) == pytest.approx(2)


@given(rates, times)
def test_little_s_law_goes_both_ways(rate: float, time_s: float) -> None:
    assert laws.time_s_mean(laws.present_mean(rate, time_s), rate) == pytest.approx(time_s)
    assert laws.demand_s(laws.utilization(rate, time_s), rate) == pytest.approx(time_s)


@given(st.lists(times, min_size=1, max_size=5), st.floats(min_value=0, max_value=100))
def test_bounds_meet_at_the_knee(demands: list[float], think_s: float) -> None:
    knee = laws.users_at_knee(demands, think_s)
    assert laws.throughput_bound(knee, demands, think_s) == pytest.approx(laws.throughput_max(demands))
    assert laws.throughput_bound(2 * knee, demands, think_s) == pytest.approx(laws.throughput_max(demands))
    assert laws.throughput_bound(knee / 2, demands, think_s) == pytest.approx(laws.throughput_max(demands) / 2)


def test_limits_and_forced_flow() -> None:
    assert laws.throughput_max([]) == math.inf
    assert laws.throughput_bound(3, []) == math.inf
    assert laws.visits_rate(3, 20) == 60


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: laws.utilization(-1, 1),
        lambda: laws.time_s_mean(1, 0),
        lambda: laws.demand_s(0.5, 0),
        lambda: laws.response_s_of_users(1, 0),
        lambda: laws.users_at_knee([0.0]),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()  # type: ignore[operator]
