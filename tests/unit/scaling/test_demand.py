"""From what was seen to what is needed."""

from __future__ import annotations

import math

import pytest

from colonnade.scaling.demand import (
    DRAIN_S,
    backlog_when_ready,
    count_bounds,
    load_over,
    replicas_for,
    service_time_s,
    wait_budget_s,
)
from colonnade.scaling.state import Look

from .builders import policy


def look(
    at_s: float, arrived: int, *, in_service: int = 0, queued: int = 0, service_s: float = 0.05, desired: int = 2
) -> Look:
    return Look(at_s, arrived, in_service, queued, service_s, desired, 2, startup_s=2.0, ready_in_s=1.0)


@pytest.mark.parametrize(
    ("rate", "service_s", "threads", "p99_s", "expected"),
    [
        (0.0, 0.05, 2, None, 1),
        (40.0, 0.05, 2, None, 2),  # 2 places busy at 70 % are 2.9
        (160.0, 0.05, 2, None, 6),  # 8 are 11.4
        (160.0, 0.05, 8, None, 2),
        (160.0, 0.05, 2, 0.25, 6),
        (160.0, 0.05, 2, 0.101, 8),  # nearly nobody may wait
        (1e9, 0.05, 2, None, 13),  # more than the maximum of 12
    ],
)
def test_replicas_for_a_load(rate: float, service_s: float, threads: int, p99_s: float | None, expected: int) -> None:
    assert replicas_for(rate, service_s, policy(threads=threads, p99_s=p99_s)) == expected


def test_a_queue_needs_what_drains_it_in_its_time() -> None:
    """200 requests in five seconds are 40/s more."""
    assert DRAIN_S == 5.0
    assert replicas_for(80.0, 0.05, policy(p99_s=None)) == 3
    assert (
        replicas_for(80.0, 0.05, policy(p99_s=None), backlog=200) == replicas_for(120.0, 0.05, policy(p99_s=None)) == 5
    )
    assert replicas_for(5.0, 0.02, policy(threads=1), backlog=1) == 1, "one that waits asks for nobody"


def test_an_objective_below_the_service_time_bounds_no_waiting() -> None:
    assert wait_budget_s(0.05, policy(p99_s=0.25)) == pytest.approx(0.15)
    assert wait_budget_s(0.4, policy(p99_s=0.25)) == math.inf
    assert wait_budget_s(0.4, policy(p99_s=None)) == math.inf


def test_a_rate_is_known_over_a_window_that_was_watched() -> None:
    looks = tuple(look(number * 0.5, number * 20) for number in range(9))
    load = load_over(looks, 2.0, 2.0, 0.05)
    assert load is not None
    assert (load.window_s, load.arrivals, load.rate, load.busy) == (2.0, 80, 40.0, 2.0)
    assert load.rate_low < 40 < load.rate_high
    assert load_over(looks, 30.0, 2.0, 0.05) is None


def test_a_look_that_comes_late_is_no_other_window() -> None:
    looks = (look(0.0, 0), look(0.53, 20), look(1.05, 40))
    load = load_over(looks[:2], 0.5, 2.0, 0.05)
    assert load is not None
    assert load.rate == pytest.approx(20 / 0.53)


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 4.0), (100, 81.9, 122.1), (10_000, 9_802, 10_202)])
def test_a_count_allows_a_range_of_rates(count: int, low: float, high: float) -> None:
    assert count_bounds(count, 2.0) == pytest.approx((low, high), rel=1e-3, abs=1e-9)


def test_places_that_stay_busy_after_the_answer_has_begun_count() -> None:
    """The gateway says 10 ms until an answer begins; half of twenty places are busy at 50/s, so they take 200 ms."""
    looks = tuple(look(number * 0.5, number * 25, in_service=10, service_s=0.01) for number in range(61))
    assert 0.15 < service_time_s(looks) < 0.2


def test_noise_of_busy_places_does_not_lengthen_the_service_time() -> None:
    looks = tuple(look(number * 0.5, number * 20, in_service=(1, 3, 2, 2)[number % 4]) for number in range(61))
    assert service_time_s(looks) == 0.05
    assert service_time_s((look(0.0, 0, service_s=0.0), look(0.5, 3, service_s=0.0))) == 0.0005


def test_a_queue_that_grows_while_replicas_start_is_foreseen() -> None:
    looks = (look(0.0, 0), look(1.0, 100, queued=30))
    load = load_over(looks, 1.0, 2.0, 0.05)
    assert load is not None
    # 100/s come, 2 replicas of 2 places serve 80/s; a start takes 2 s, one that is under way 1 s more.
    assert backlog_when_ready(looks[-1], load.rate, load, policy()) == pytest.approx(30 + 20 * 2)
    waiting = look(1.0, 100, queued=30, desired=3)
    assert backlog_when_ready(waiting, load.rate, load, policy()) == pytest.approx(30 + 20 * 1)
