"""Networks of queues: product form against the chain itself, and fork-join where it is exact."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.planning import network
from colonnade.planning.errors import Unstable
from colonnade.planning.model import Call, Route, Station, SystemModel, Work, chain
from colonnade.planning.queues import mm1, mmc


def tandem(first_s: float, second_s: float) -> SystemModel:
    call = chain(("front", Work(first_s)), ("back", Work(second_s)))
    return SystemModel((Station("front"), Station("back")), (Route("r", call),))


def test_a_tandem_adds_its_times() -> None:
    found = network.jackson(tandem(0.01, 0.02), 30)
    assert found.response_s_mean == pytest.approx(mm1(30, 0.01).response_s_mean + mm1(30, 0.02).response_s_mean)
    assert found.present_mean == pytest.approx(30 * found.response_s_mean)


def test_a_network_with_a_way_back_is_its_markov_chain() -> None:
    """λ = 1 to station A (0.3 s, 1 server); from A to B with 0.6 (0.5 s, 2 servers), from B back to A with 0.5: the
    stationary distribution of the chain in (a, b), cut off at 14 each, by iteration."""
    visits = network.visits_by_routing([1.0, 0.0], [[0.0, 0.6], [0.5, 0.0]])
    assert visits == pytest.approx([1 / 0.7, 0.6 / 0.7])
    model = SystemModel(
        (Station("a"), Station("b", replicas=2)),
        (Route("r", Call("a", Work(0.3), count=visits[0], calls=(Call("b", Work(0.5), count=0.6),))),),
    )
    found = network.jackson(model, 1.0)
    assert found.present_mean == pytest.approx(_chain_mean(1.0, (0.3, 0.5), (1, 2), 0.6, 0.5), rel=1e-3)


def test_what_is_too_much_names_its_station() -> None:
    with pytest.raises(Unstable, match="back: unstable") as told:
        network.jackson(tandem(0.01, 0.02), 60)
    assert told.value.utilization == pytest.approx(1.2)


@given(st.floats(0.01, 0.95), st.floats(0.01, 0.95))
def test_stations_do_not_know_of_each_other(first: float, second: float) -> None:
    found = network.jackson(tandem(first, second), 1.0)
    assert found.stations["back"].wait_s_mean == pytest.approx(mmc(1.0, second, 1).wait_s_mean)


@pytest.mark.parametrize(
    ("outside", "routing", "complaint"),
    [([1.0], [[1.0]], "never leave"), ([1.0, 1.0], [[0.0, 0.0]], "expected"), ([1.0], [[1.2]], "expected")],
)
def test_a_routing_that_is_none_is_refused(outside: list[float], routing: list[list[float]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        network.visits_by_routing(outside, routing)


def test_two_branches_are_as_flatto_and_hahn_found() -> None:
    """(12 − ρ)/8 of one branch's time, exact."""
    assert network.fork_join_response_s_mean(0.5, 1.0, 2) == pytest.approx(11.5 / 8 * 2)
    assert network.fork_join_response_s_mean(0.5, 1.0, 1) == pytest.approx(2)


@given(st.integers(2, 32), st.floats(0.0, 0.9))
def test_waiting_for_the_last_takes_longer_than_for_one_and_less_than_for_all(branches: int, load: float) -> None:
    one = mm1(load, 1.0).response_s_mean
    found = network.fork_join_response_s_mean(load, 1.0, branches)
    assert one < found <= network.harmonic(branches) * one * (1 + 1e-9)


@given(st.integers(1, 32))
def test_without_load_it_is_the_longest_of_n(branches: int) -> None:
    """The mean maximum of n exponentials is Hₙ."""
    assert network.fork_join_response_s_mean(0.0, 1.0, branches) == pytest.approx(network.harmonic(branches))


def test_more_branches_than_were_checked_are_refused() -> None:
    with pytest.raises(ValueError, match="branches"):
        network.fork_join_response_s_mean(0.5, 1.0, 33)


def _chain_mean(rate: float, times: tuple[float, float], servers: tuple[int, int], on: float, back: float) -> float:
    """Requests inside, on average, by Gauss–Seidel on the balance equations."""
    size = 14
    share = [[1.0] * (size + 1) for _ in range(size + 1)]

    def pace(n: int, each: int) -> float:
        return min(n, servers[each]) / times[each]

    def at(a: int, b: int) -> float:
        return share[a][b] if 0 <= a <= size and 0 <= b <= size else 0.0

    for _ in range(150):
        for a in range(size + 1):
            for b in range(size + 1):
                out = (rate if a < size else 0) + (pace(a, 0) * ((1 - on) + (on if b < size else 0)))
                out += pace(b, 1) * ((1 - back) + (back if a < size else 0))
                into = rate * at(a - 1, b) + pace(a + 1, 0) * (1 - on) * at(a + 1, b)
                into += pace(a + 1, 0) * on * at(a + 1, b - 1) + pace(b + 1, 1) * (1 - back) * at(a, b + 1)
                into += pace(b + 1, 1) * back * at(a - 1, b + 1)
                share[a][b] = into / out
        whole = math.fsum(map(math.fsum, share))
        share = [[each / whole for each in row] for row in share]
    return sum((a + b) * share[a][b] for a in range(size + 1) for b in range(size + 1))
