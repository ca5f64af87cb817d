"""Whole systems by formulas: where they are exact, against the queue they are; elsewhere, what must hold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.planning import queues
from colonnade.planning.capacity import Objective, holds, knee, limits, rate_within, with_replicas
from colonnade.planning.errors import Impossible, Unstable
from colonnade.planning.limits import capacity
from colonnade.planning.model import Call, Load, Route, Station, SystemModel, Work, chain
from colonnade.planning.predict import apart_of, between, one_core, predict, shared
from colonnade.planning.sizing import Policy, size

OBJECTIVE = Objective(0.99, 0.25)


def one(station: Station, work: Work, cores: float = math.inf) -> SystemModel:
    return SystemModel((station,), (Route("/", Call(station.name, work)),), cores)


def site(frontend: int = 2, backend: int = 3, cores: float = 8) -> SystemModel:
    """Two services of Python and a database, on one machine."""
    query = Call("database", Work(0.002, 1.0, 0.5), count=3)
    call = Call("frontend", Work(0.005), calls=(Call("backend", Work(0.01), calls=(query,)),))
    stations = (
        Station("frontend", frontend, 8, cores_per_replica=1),
        Station("backend", backend, 8, cores_per_replica=1),
        Station("database", 1, 50),
    )
    return SystemModel(stations, (Route("/", call),), cores)


@given(st.integers(1, 20), st.floats(0.05, 0.95), st.floats(0.0, 3.0))
@settings(max_examples=30)
def test_one_station_with_places_is_the_queue_that_it_is(replicas: int, load: float, scv: float) -> None:
    rate = load * replicas / 0.1
    found = predict(one(Station("s", replicas), Work(0.1, scv)), Load(rate))
    queue = queues.ggc(rate, 0.1, replicas, scv_service=scv)
    assert found.mean_s == pytest.approx(queue.response_s_mean)
    expected = queues.response_s_quantile(rate, 0.1, replicas, 0.95, scv_service=scv)
    assert found.quantile_s(0.95) == pytest.approx(expected, rel=1e-4)
    assert found.present_mean == pytest.approx(queue.present_mean)


def test_one_replica_whose_threads_share_a_core_is_processor_sharing() -> None:
    found = predict(one(Station("s", 1, 50, cores_per_replica=1), Work(0.01)), Load(80))
    assert found.mean_s == pytest.approx(queues.ps(80, 0.01).response_s_mean)
    assert found.stations["s"].waits_for == "processors"


def test_a_machine_that_all_share_is_processor_sharing_among_them() -> None:
    """Two stations of 5 ms each on two cores are 10 ms of a core for a request."""
    model = SystemModel(
        (Station("a", 50), Station("b", 50)), (Route("/", chain(("a", Work(0.005)), ("b", Work(0.005)))),), 2
    )
    found = predict(model, Load(160))
    assert found.mean_s == pytest.approx(queues.ps(160, 0.01, 2).response_s_mean)
    assert found.cores_busy == pytest.approx(1.6)


def test_a_place_is_held_while_others_work() -> None:
    slow = Call("back", Work(0.09, 0.0), calls=())
    route = Route("/", Call("front", Work(0.01, 0.0), calls=(slow,)))
    model = SystemModel((Station("front", 1, 5), Station("back", 100)), (route,))
    assert capacity(model) == pytest.approx(5 / 0.1)
    free = replace(model, stations=(Station("front", 1, 5, holds_place=False), Station("back", 100)))
    assert capacity(free) == pytest.approx(5 / 0.01)


def test_what_is_too_much_is_named() -> None:
    with pytest.raises(Unstable, match=r"cores of machine: unstable: 900/s"):
        predict(site(20, 30), Load(900))
    with pytest.raises(Unstable, match="processors of backend"):
        predict(site(cores=64), Load(400))
    with pytest.raises(Unstable, match="places of s"):
        predict(one(Station("s", 5), Work(0.1)), Load(100))


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
@settings(max_examples=30)
def test_more_load_never_makes_it_faster(one_load: float, other: float) -> None:
    top = capacity(site())
    low, high = sorted((one_load, other))
    assert predict(site(), Load(low * top)).mean_s <= predict(site(), Load(high * top)).mean_s + 1e-12
    assert (
        predict(site(), Load(low * top)).quantile_s(0.9) <= predict(site(), Load(high * top)).quantile_s(0.9) * 1.0001
    )


@given(st.floats(0.1, 0.9), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=30)
def test_one_more_replica_never_makes_it_slower(load: float, frontend: int, backend: int) -> None:
    model = site(frontend, backend)
    rate = Load(load * capacity(model))
    assert predict(site(frontend + 1, backend), rate).mean_s <= predict(model, rate).mean_s + 1e-12
    assert predict(site(frontend, backend + 1), rate).mean_s <= predict(model, rate).mean_s + 1e-12


def test_without_load_a_request_takes_its_work() -> None:
    assert predict(site(), Load(1e-6)).mean_s == pytest.approx(0.005 + 0.01 + 3 * 0.002, rel=1e-6)


def test_limits_are_told_in_their_order() -> None:
    found = limits(site(), OBJECTIVE)
    assert [each.rate_per_s for each in found] == sorted(each.rate_per_s for each in found)
    assert found[0].kind == "objective"
    assert (found[1].kind, found[1].subject) == ("processors", "backend")
    assert found[1].rate_per_s == pytest.approx(300)
    assert "3 replicas" not in found[1].message
    kinds = {(each.kind, each.subject) for each in found}
    assert {("places", "database"), ("cores", "machine"), ("places", "frontend")} <= kinds


def test_the_objective_holds_up_to_its_rate_and_not_beyond() -> None:
    rate = rate_within(site(), OBJECTIVE)
    assert holds(site(), Load(rate * 0.999), OBJECTIVE)
    assert not holds(site(), Load(rate * 1.001), OBJECTIVE)
    assert rate < capacity(site())
    assert knee(site()) < capacity(site())
    assert rate_within(site(), Objective(0.99, 0.001)) == 0


@given(st.floats(1, 3_000), st.floats(0.15, 2.0))
@settings(max_examples=25, deadline=None)
def test_what_is_planned_keeps_the_objective_and_one_less_does_not_matter(rate: float, within_s: float) -> None:
    objective, load = Objective(0.99, within_s), Load(rate)
    found = size(site(), load, objective, Policy(spares=1), ("frontend", "backend"))
    planned = replace(with_replicas(site(), found.with_spares()), cores=found.cores)
    assert holds(planned, load, objective)
    for name in found.replicas:
        one_gone = {**found.with_spares(), name: found.replicas[name]}
        assert holds(replace(planned, stations=with_replicas(planned, one_gone).stations), load, objective)
    assert found.cores_busy <= found.cores


def test_an_objective_below_the_work_is_impossible_and_says_why() -> None:
    with pytest.raises(Impossible, match="whatever the number of replicas") as told:
        size(site(), Load(10), Objective(0.99, 0.02), Policy(), ("frontend", "backend"))
    assert "21 ms on average" in told.value.message


def test_what_cannot_grow_is_named_when_it_is_too_small() -> None:
    with pytest.raises(Impossible, match="database"):
        size(site(), Load(50_000), OBJECTIVE, Policy(), ("frontend", "backend"))


@given(st.floats(0.0, 1.0), st.lists(st.floats(0.51, 0.84), min_size=1, max_size=5), st.integers(2, 16))
def test_how_far_cores_are_apart_is_found_from_what_was_waited(share: float, loads: list[float], cores: int) -> None:
    work_s = 0.004
    crowds = []
    for load in loads:
        busy = load * cores
        waited_s = work_s * between(shared(busy, cores), one_core(busy, cores), share).extra
        crowds.append((busy, work_s, waited_s))
    assert apart_of(crowds, cores) == pytest.approx(share, abs=1e-6)


def test_loads_that_tell_nothing_of_how_cores_share_are_left_out() -> None:
    assert apart_of([], 2.0) == 0
    assert apart_of([(0.4, 0.004, 1.0), (2.1, 0.004, 1.0)], 2.0) == 0, "too idle, and too busy for a steady state"
    assert apart_of([(1.5, 0.004, 0.0)], 2.0) == 0, "never better than one queue"
    assert apart_of([(1.5, 0.004, 9.0)], 2.0) == 1, "never worse than a queue each"
    assert apart_of([(0.5, 0.004, 1.0)], 1.0) == 0, "one core is both"


@given(st.floats(0.05, 0.9), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_cores_that_are_further_apart_make_nobody_faster_and_carry_as_much(
    load: float, one_share: float, other: float
) -> None:
    low, high = sorted((one_share, other))
    near, far = (replace(site(cores=2), cores_apart=share) for share in (low, high))
    assert capacity(near) == capacity(far)
    rate = load * capacity(near)
    assert predict(near, Load(rate)).mean_s <= predict(far, Load(rate)).mean_s * (1 + 1e-12)


def test_cores_apart_by_more_than_all_are_refused() -> None:
    with pytest.raises(ValueError, match="cores are apart"):
        replace(site(), cores_apart=1.2)
