"""Queues, places, calls to other stations, and shared processors, by hand and against theory."""

from __future__ import annotations

import math
import statistics

import pytest

from colonnade.planning.model import Call, Route, Station, SystemModel, Work
from colonnade.planning.queues import mm1_ps_variance_s2, ps
from colonnade.planning.simulation.arrivals import Recorded, Steady
from colonnade.planning.simulation.estimate import mean_of
from colonnade.planning.simulation.events import run_events
from colonnade.planning.simulation.outcome import Outcome
from colonnade.planning.simulation.scenario import Outage, Scenario, Traits, of_one
from colonnade.planning.simulation.simulate import simulate
from colonnade.planning.simulation.streams import Streams

SECOND = Work(1.0, 0.0)


def run(*stations: Station, call: Call, at_s: tuple[float, ...], cores: float = math.inf) -> Outcome:
    return simulate(Scenario(SystemModel(stations, (Route("all", call),), cores), Recorded(at_s), 100.0), 1)


def test_a_full_queue_refuses_and_a_long_wait_ends() -> None:
    station = Station("web", 1, 1, queue_max=2, queue_timeout_s=1.5)
    outcome = run_events(of_one(station, SECOND, Recorded((0.0, 0.1, 0.2, 0.3, 1.8)), 9.0), Streams(1))
    # The third would be served at 2.0 and gives up at 1.7; the fourth finds two in the queue.
    assert list(outcome.latency_s) == pytest.approx([1.0, 1.9, math.inf, math.inf, 1.2])
    assert outcome.lost == {"timed_out": 1, "refused": 1}
    assert list(outcome.stations["web"].wait_s) == pytest.approx([0.0, 0.9, math.inf, math.inf, 0.2])


def test_a_hash_makes_wait_at_its_replica_though_others_are_idle() -> None:
    station = Station("web", 8, 1, balance="consistent-hash")
    outcome = run_events(of_one(station, SECOND, Steady(4.0), 50.0), Streams(1))
    shared = run_events(of_one(Station("web", 8, 1), SECOND, Steady(4.0), 50.0), Streams(1))
    assert sum(outcome.stations["web"].wait_s) > 3 * sum(shared.stations["web"].wait_s)


def test_a_caller_keeps_its_place_while_others_work() -> None:
    call = Call("front", SECOND, calls=(Call("back", SECOND),))
    front, back = Station("front", 1, 1), Station("back", 1, 2)
    held = run(front, back, call=call, at_s=(0.0, 0.1))
    assert list(held.latency_s) == pytest.approx([2.0, 3.9])
    assert held.stations["front"].busy_s == pytest.approx(4.0)
    let_go = run(Station("front", 1, 1, holds_place=False), back, call=call, at_s=(0.0, 0.1))
    assert list(let_go.latency_s) == pytest.approx([2.0, 2.9])
    assert let_go.stations["front"].busy_s == pytest.approx(2.0)


def test_calls_are_made_one_after_the_other_and_as_often_as_said() -> None:
    inner = (Call("back", SECOND, count=2.0), Call("data", Work(0.5, 0.0), count=0.5))
    stations = (Station("front", 1, 99), Station("back", 1, 99), Station("data", 1, 99))
    outcome = run(*stations, call=Call("front", SECOND, calls=inner), at_s=tuple(i / 10 for i in range(400)))
    counts = {name: len(each.wait_s) for name, each in outcome.stations.items()}
    assert (counts["front"], counts["back"]) == (400, 800)
    assert counts["data"] == pytest.approx(200, abs=40)
    assert {round(latency_s, 6) for latency_s in outcome.latency_s} == {3.0, 3.5}


def test_routes_come_in_their_shares() -> None:
    routes = (Route("read", Call("web", Work(0.001)), 9.0), Route("write", Call("web", Work(0.0)), 1.0))
    system = SystemModel((Station("web", 1, 99),), routes)
    outcome = simulate(Scenario(system, Steady(1_000.0), 4.0), 1)
    writes = sum(latency_s == 0 for latency_s in outcome.latency_s) / len(outcome.latency_s)
    assert writes == pytest.approx(0.1, abs=0.02)


def test_a_call_without_an_answer_fails_whoever_made_it() -> None:
    call = Call("front", SECOND, calls=(Call("back", SECOND),))
    outcome = run(Station("front", 1, 9), Station("back", 1, 1, queue_max=0), call=call, at_s=(0.0, 0.5))
    assert list(outcome.latency_s) == pytest.approx([2.0, math.inf])
    assert outcome.lost == {"broken": 1}
    assert outcome.stations["back"].lost == {"refused": 1}
    assert outcome.stations["front"].busy_s == pytest.approx(3.0), "its place is free as soon as the call has failed"


def test_what_a_dead_caller_had_asked_for_is_done_for_nobody() -> None:
    call = Call("front", SECOND, calls=(Call("back", SECOND),))
    system = SystemModel((Station("front", 1, 1), Station("back", 1, 1)), (Route("all", call),))
    traits = {"front": Traits(outages=(Outage(0, 1.5, 3.0),))}
    outcome = simulate(Scenario(system, Recorded((0.0,)), 9.0, traits), 1)
    assert list(outcome.latency_s) == pytest.approx([5.0]), "sent on, and done when the replica is back"
    assert outcome.stations["back"].answered_by == [2]


# Processors


def test_threads_of_one_replica_share_its_core() -> None:
    station = Station("web", 1, 4, cores_per_replica=1.0)
    outcome = run(station, call=Call("web", SECOND), at_s=(0.0, 0.5, 5.0))
    # Alone until 0.5, then half as fast until 1.5; the other has half a second left.
    assert list(outcome.latency_s) == pytest.approx([1.5, 1.5, 1.0])


def test_only_computing_is_shared() -> None:
    station = Station("web", 1, 4, cores_per_replica=1.0)
    outcome = run(station, call=Call("web", Work(1.0, 0.0, cpu_share=0.2)), at_s=(0.0, 0.0))
    assert list(outcome.latency_s) == pytest.approx([1.2, 1.2])


def test_replicas_share_the_machine() -> None:
    station = Station("web", 3, 1, cores_per_replica=1.0)
    outcome = run(station, call=Call("web", SECOND), at_s=(0.0, 0.0, 0.0, 9.0), cores=2.0)
    assert list(outcome.latency_s) == pytest.approx([1.5, 1.5, 1.5, 1.0])


def test_a_replica_with_many_threads_gets_no_more_of_the_machine_than_another() -> None:
    stations = (Station("one", 1, 4, cores_per_replica=1.0), Station("two", 1, 1, cores_per_replica=1.0))
    routes = (Route("one", Call("one", SECOND)), Route("two", Call("two", SECOND)))
    outcome = simulate(Scenario(SystemModel(stations, routes, 1.0), Recorded((0.0,) * 4), 9.0), 2)
    counts = [len(outcome.stations[name].wait_s) for name in ("one", "two")]
    assert min(counts) > 0
    assert max(outcome.latency_s) == pytest.approx(4.0), "all work is done by one core"


def test_who_dies_gives_its_share_of_the_machine_to_the_others() -> None:
    station = Station("web", 2, 1, balance="round-robin", cores_per_replica=1.0)
    system = SystemModel((station,), (Route("all", Call("web", SECOND)),), cores=1.0)
    traits = {"web": Traits(outages=(Outage(0, 1.0, 9.0),), retries=0)}
    outcome = simulate(Scenario(system, Recorded((0.0, 0.0)), 9.0, traits), 1)
    assert list(outcome.latency_s) == pytest.approx([math.inf, 1.5])


@pytest.mark.slow
@pytest.mark.parametrize("scv", [0.0, 1.0, 3.0])
def test_processor_sharing_stretches_as_theory_says_whatever_the_distribution(scv: float) -> None:
    """M/G/1-PS, where the mean depends on the mean of the work alone (Kleinrock)."""
    station = Station("web", 1, 500, cores_per_replica=1.0)
    outcome = simulate(of_one(station, Work(0.01, scv), Steady(70.0), 1_500.0), 1)
    estimate = mean_of(outcome.latency_s, level=0.99)
    assert estimate.is_settled
    assert estimate.half_width < 0.1 * estimate.value
    assert estimate.holds(ps(70.0, 0.01).response_s_mean)


@pytest.mark.slow
def test_processor_sharing_varies_as_theory_says() -> None:
    """The time of those who need nearly the same, in M/M/1-PS (Coffman, Muntz and Trotter)."""
    station = Station("web", 1, 500, cores_per_replica=1.0)
    outcome = simulate(of_one(station, Work(0.01), Steady(70.0), 2_000.0), 2)
    works = Streams(2).works(of_one(station, Work(0.01), Steady(70.0), 1.0), Call("web", Work(0.01)), 0)
    alike = [
        latency_s for latency_s, work_s in zip(outcome.latency_s, works, strict=False) if 0.0095 <= work_s <= 0.0105
    ]
    assert statistics.fmean(alike) == pytest.approx(0.01 / 0.3, rel=0.05)
    assert statistics.pvariance(alike) == pytest.approx(mm1_ps_variance_s2(70.0, 0.01, 0.01), rel=0.15)


@pytest.mark.slow
def test_several_cores_are_shared_as_theory_says() -> None:
    """M/G/c-PS has the mean of M/M/c (Cohen)."""
    station = Station("web", 1, 500, cores_per_replica=3.0)
    outcome = simulate(of_one(station, Work(0.01, 1.0), Steady(250.0), 400.0), 3)
    assert mean_of(outcome.latency_s, level=0.99).holds(ps(250.0, 0.01, 3).response_s_mean)
