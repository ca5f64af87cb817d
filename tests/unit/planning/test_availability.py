"""Availability: closed forms, published budgets, and the chain solved another way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.planning import availability
from colonnade.planning.availability import DAY_S, Part

parts = st.builds(Part, st.floats(1e3, 1e8), st.floats(0.1, 1e3))
availabilities = st.floats(0.0, 1.0)


def test_budgets_are_as_published() -> None:
    """ "Site Reliability Engineering", appendix A: 99.9 % leaves 43.2 minutes in thirty days, 99.99 % 4.32 minutes."""
    assert availability.budget_s(0.999) == pytest.approx(43.2 * 60)
    assert availability.budget_s(0.9999) == pytest.approx(4.32 * 60)
    assert availability.budget_s(0.99, DAY_S) == pytest.approx(14.4 * 60)


def test_two_with_one_repairer_have_their_closed_form() -> None:
    """Trivedi 8.2: A = (μ² + 2λμ)/(μ² + 2λμ + 2λ²), and the mean time to the first outage is (3λ + μ)/(2λ²)."""
    part = Part(1000.0, 10.0)
    fail, fix = 1 / part.mttf_s, 1 / part.mttr_s
    found = availability.repaired(1, 2, part, repairers=1)
    assert found.availability == pytest.approx((fix**2 + 2 * fail * fix) / (fix**2 + 2 * fail * fix + 2 * fail**2))
    assert found.first_outage_s_mean == pytest.approx((3 * fail + fix) / (2 * fail**2))


@given(st.integers(1, 12), st.integers(0, 6), parts)
def test_with_a_repairer_each_the_chain_is_the_binomial(needed: int, spare: int, part: Part) -> None:
    found = availability.repaired(needed, needed + spare, part)
    assert found.availability == pytest.approx(availability.k_of_n(needed, needed + spare, part.availability))


@given(st.integers(1, 8), st.integers(0, 4), parts)
def test_outages_times_their_length_are_the_time_that_is_missing(needed: int, spare: int, part: Part) -> None:
    found = availability.repaired(needed, needed + spare, part, repairers=1)
    missing_s = found.outages_per_year * found.outage_s_mean
    assert missing_s == pytest.approx((1 - found.availability) * 365 * DAY_S, rel=1e-4, abs=1e-3)


@given(st.lists(availabilities, min_size=1, max_size=6))
def test_series_is_worse_than_the_worst_and_parallel_better_than_the_best(each: list[float]) -> None:
    assert availability.in_series(each) <= min(each)
    assert availability.in_parallel(each) >= max(each) - 1e-12


@given(st.integers(1, 30), st.integers(0, 5), availabilities)
def test_one_more_spare_is_never_worse(needed: int, spare: int, each: float) -> None:
    less = availability.k_of_n(needed, needed + spare, each)
    assert availability.k_of_n(needed, needed + spare + 1, each) >= less - 1e-9
    assert 0 <= less <= 1


def test_one_of_n_is_parallel_and_all_of_n_is_series() -> None:
    assert availability.k_of_n(1, 3, 0.9) == pytest.approx(availability.in_parallel([0.9] * 3))
    assert availability.k_of_n(3, 3, 0.9) == pytest.approx(availability.in_series([0.9] * 3))
    assert availability.k_of_n(0, 3, 0.0) == 1


def test_thousands_of_parts_are_no_more_difficult() -> None:
    found = availability.repaired(990, 1_000, Part(30 * DAY_S, 600.0))
    assert 0.999_999 < found.availability < 1
    assert 0 < availability.k_of_n(4_900, 5_000, 0.985) < 1


def test_what_never_fails_or_is_repaired_at_once() -> None:
    assert availability.repaired(1, 1, Part(math.inf, 1.0)).first_outage_s_mean == math.inf
    assert availability.repaired(1, 1, Part(100.0, 0.0)).availability == 1
    assert availability.repaired(1, 2, Part(100.0, 0.0)).first_outage_s_mean == math.inf
    assert Part(math.inf, 1.0).availability == 1
    assert availability.repaired(0, 2, Part(100.0, 1.0)).availability == 1


def test_failovers_take_of_the_budget() -> None:
    """Four failovers a month of half a second each, which writes alone notice, a fifth of all requests."""
    cost = availability.failover_cost(0.9995, 0.5, 4, affected=0.2)
    assert cost.lost_s == pytest.approx(0.4)
    assert cost.share == pytest.approx(0.4 / 1296)
    assert availability.failover_cost(1.0, 1.0, 1).share == math.inf


def test_as_many_as_an_objective_needs() -> None:
    part = Part(DAY_S, 60.0)
    count = availability.count_for(4, 0.999_99, part)
    assert availability.repaired(4, count, part).availability >= 0.999_99
    assert availability.repaired(4, count - 1, part).availability < 0.999_99


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Part(0, 1),
        lambda: availability.k_of_n(3, 2, 0.5),
        lambda: availability.in_series([1.5]),
        lambda: availability.repaired(1, 1, Part(1, 1), repairers=0),
        lambda: availability.failover_cost(0.9, -1, 1),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"expected|between"):
        wrong()  # type: ignore[operator]
