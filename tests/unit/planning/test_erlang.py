"""Erlang's formulas against published tables, against closed forms, and against each other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.planning.erlang import (
    SERVERS_MAX,
    Objective,
    erlang_b,
    erlang_c,
    servers_needed,
    variability,
    wait_s_mean,
    wait_s_quantile,
)

offers = st.floats(min_value=0.0, max_value=500.0)
counts = st.integers(min_value=1, max_value=600)
times = st.floats(min_value=1e-4, max_value=10.0)


@pytest.mark.parametrize(
    ("servers", "offered", "blocking"),
    [
        # The usual Erlang B table (as in the ITU-D SG 2 Teletraffic Handbook and any table of trunk capacities):
        # erlangs that so many lines carry at a blocking of 1 % and of 0.1 %.
        (1, 0.0101, 0.01),
        (2, 0.1526, 0.01),
        (5, 1.361, 0.01),
        (10, 4.461, 0.01),
        (15, 8.108, 0.01),
        (20, 12.03, 0.01),
        (50, 37.90, 0.01),
        (100, 84.06, 0.01),
        (5, 0.762, 0.001),
        (10, 3.092, 0.001),
        (20, 9.411, 0.001),
        (50, 32.51, 0.001),
        (100, 75.24, 0.001),
    ],
)
def test_blocking_is_as_in_the_published_table(servers: int, offered: float, blocking: float) -> None:
    assert erlang_b(servers, offered) == pytest.approx(blocking, rel=0.01)


def test_a_call_centre_waits_as_in_the_worked_example() -> None:
    """Tanner, "The Call Center Handbook": 360 calls in half an hour, 4 minutes each, 55 agents, target 15 seconds."""
    rate, time_s, agents = 360 / 1800, 240.0, 55
    assert erlang_c(agents, rate * time_s) == pytest.approx(0.239, abs=0.001)
    assert wait_s_mean(agents, rate, time_s) == pytest.approx(8.2, abs=0.05)
    share_within_15_s = 1 - erlang_c(agents, rate * time_s) * math.exp(-(agents - rate * time_s) * 15 / time_s)
    assert wait_s_quantile(agents, rate, time_s, share_within_15_s) == pytest.approx(15.0)


@given(st.floats(min_value=0.001, max_value=0.999), times, st.floats(min_value=0.01, max_value=0.999))
def test_one_server_is_the_textbook_queue(utilization: float, time_s: float, quantile: float) -> None:
    """M/M/1: C = ρ, mean wait ρS/(1−ρ), and P(W > t) = ρ·exp(−(1−ρ)t/S)."""
    rate = utilization / time_s
    assert erlang_c(1, utilization) == pytest.approx(utilization)
    assert wait_s_mean(1, rate, time_s) == pytest.approx(utilization * time_s / (1 - utilization), rel=1e-6)
    expected_s = max(0.0, time_s * math.log(utilization / (1 - quantile)) / (1 - utilization))
    assert wait_s_quantile(1, rate, time_s, quantile) == pytest.approx(expected_s, rel=1e-6, abs=1e-9)


@given(st.floats(min_value=0.001, max_value=1.998))
def test_two_servers_have_their_closed_form(offered: float) -> None:
    """M/M/2: C = 2ρ²/(1+ρ)."""
    utilization = offered / 2
    assert erlang_c(2, offered) == pytest.approx(2 * utilization**2 / (1 + utilization))


@given(counts, offers)
def test_probabilities_are_probabilities_and_waiting_is_likelier_than_blocking(servers: int, offered: float) -> None:
    assert 0 <= erlang_b(servers, offered) <= erlang_c(servers, offered) <= 1


@given(counts, offers, st.floats(min_value=0.0, max_value=50.0))
def test_more_load_never_blocks_less_nor_waits_less(servers: int, offered: float, more: float) -> None:
    assert erlang_b(servers, offered + more) >= erlang_b(servers, offered) - 1e-12
    assert wait_s_quantile(servers, offered + more, 1.0, 0.99) >= wait_s_quantile(servers, offered, 1.0, 0.99) - 1e-9


@given(counts, offers)
def test_one_more_server_never_makes_anybody_wait_longer(servers: int, offered: float) -> None:
    assert erlang_c(servers + 1, offered) <= erlang_c(servers, offered) + 1e-12
    assert wait_s_mean(servers + 1, offered, 1.0) <= wait_s_mean(servers, offered, 1.0)


@given(
    st.floats(min_value=0.0, max_value=300.0),
    times,
    st.floats(min_value=0.0, max_value=1.0),
    st.floats(min_value=0.3, max_value=1.0),
    st.floats(min_value=0.0, max_value=4.0),
)
def test_what_is_needed_is_enough_and_one_less_is_not(
    offered: float, time_s: float, wait_s_max: float, utilization_max: float, scv: float
) -> None:
    rate = offered / time_s
    objective = Objective(wait_s_max, 0.99, utilization_max)
    found = servers_needed(rate, time_s, objective, scv_service=scv)

    def is_enough(servers: int) -> bool:
        load = rate * time_s
        if load > servers * utilization_max or load >= servers:
            return False
        return wait_s_quantile(servers, rate, time_s, 0.99, scv_service=scv) <= wait_s_max

    assert is_enough(found)
    assert found == 1 or not is_enough(found - 1)


@given(offers, st.floats(min_value=0.0, max_value=100.0), st.floats(min_value=0.0, max_value=0.5))
def test_more_load_never_needs_fewer_servers(offered: float, more: float, wait_s_max: float) -> None:
    objective = Objective(wait_s_max, 0.99, 0.8)
    assert servers_needed(offered + more, 1.0, objective) >= servers_needed(offered, 1.0, objective)


def test_thousands_of_servers_are_no_more_difficult_than_two() -> None:
    assert 0 < erlang_c(5_000, 4_900.0) < 0.2
    assert erlang_b(20_000, 100.0) == 0.0
    assert 4_900 < servers_needed(49_000.0, 0.1, Objective(wait_s_max=0.01)) < 5_100


def test_equal_service_times_halve_the_wait() -> None:
    assert variability(0.0) == 0.5
    assert wait_s_mean(1, 0.8, 1.0, scv_service=0.0) == pytest.approx(0.8 / (2 * 0.2))  # M/D/1, Pollaczek–Khinchine
    assert wait_s_quantile(4, 3.0, 1.0, 0.99, scv_service=0.0) == wait_s_quantile(4, 3.0, 1.0, 0.99) / 2


def test_no_load_needs_one_server_and_waits_for_nothing() -> None:
    assert servers_needed(0.0, 1.0, Objective(wait_s_max=0.0, utilization_max=0.5)) == 1
    assert wait_s_mean(1, 0.0, 1.0) == 0
    assert erlang_b(0, 3.0) == 1


def test_overload_waits_for_ever() -> None:
    assert wait_s_mean(4, 4.0, 1.0) == math.inf
    assert wait_s_quantile(4, 5.0, 1.0, 0.5) == math.inf
    assert erlang_c(4, 4.0) == 1


@pytest.mark.parametrize("wrong", [-1.0, math.inf, math.nan])
def test_a_load_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="servers"):
        erlang_b(1, wrong)
    with pytest.raises(ValueError, match="servers"):
        servers_needed(wrong, 1.0, Objective())


def test_a_slip_of_units_is_told() -> None:
    with pytest.raises(ValueError, match="units"):
        servers_needed(SERVERS_MAX * 2.0, 1.0, Objective())
    with pytest.raises(ValueError, match="objective"):
        Objective(quantile=1.0)
