"""Two engines, one result: what the fast one computes ahead, the other one meets event by event."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from colonnade.planning.model import Call, Load, Route, Station, SystemModel, Work
from colonnade.planning.predict import predict
from colonnade.planning.simulation.arrivals import Steady
from colonnade.planning.simulation.distributions import Exponential, Sample
from colonnade.planning.simulation.events import run_events
from colonnade.planning.simulation.lanes import is_plain, run_lanes
from colonnade.planning.simulation.policies import Policy
from colonnade.planning.simulation.scenario import (
    Adapting,
    Failures,
    Keys,
    Outage,
    Scaling,
    Scenario,
    Slowdown,
    Traits,
    Visitors,
    of_one,
)
from colonnade.planning.simulation.simulate import figures, replicate, simulate
from colonnade.planning.simulation.streams import Streams

WEB = Station("web", 5, 2)
USUAL = Traits()


def busy(station: Station = WEB, traits: Traits = USUAL, *, rate: float = 850.0, scv: float = 1.0) -> Scenario:
    return of_one(station, Work(0.01, scv), Steady(rate), 3.0, traits)


def tandem(*, holds_place: bool = False) -> Scenario:
    stations = (Station("front", 2, 2, holds_place=holds_place), Station("back", 1, 3), Station("data", 1, 1))
    call = Call("front", Work(0.01), calls=(Call("back", Work(0.008, 0.0), calls=(Call("data", Work(0.002, 2.0)),)),))
    if not holds_place:
        stations = (stations[0], replace(stations[1], holds_place=False), stations[2])
    return Scenario(SystemModel(stations, (Route("all", call),)), Steady(300.0), 3.0)


PLAIN = {
    "one queue": busy(),
    "one queue by turns": busy(replace(WEB, balance="round-robin")),
    "one queue by weights": busy(replace(WEB, balance="weighted", weights=(2.0, 1.0, 1.0, 1.0, 1.0))),
    "constant times": busy(scv=0.0),
    "varying times": busy(scv=3.0),
    "a measured sample": busy(traits=Traits(shape=Sample((0.02, 0.05, 0.3)))),
    "a bound": busy(replace(WEB, queue_max=3), rate=1_100.0),
    "no room at all": busy(replace(WEB, queue_max=0), rate=1_100.0),
    "a time-out": busy(replace(WEB, queue_timeout_s=0.02), rate=1_100.0),
    "a bound and a time-out": busy(replace(WEB, queue_max=12, queue_timeout_s=0.01), rate=1_200.0),
    "hash at the gateway": busy(replace(WEB, balance="consistent-hash"), rate=500.0),
    "tandem": tandem(),
} | {
    f"{policy} at the replicas": busy(traits=Traits(policy, "replica", keys=Keys(50, 0.5)))
    for policy in ("round-robin", "least-connections", "consistent-hash", "power-of-two", "join-idle-queue", "random")
}


@pytest.mark.parametrize("name", PLAIN)
def test_both_engines_give_the_same_moments(name: str) -> None:
    scenario = PLAIN[name]
    assert is_plain(scenario)
    fast, full = run_lanes(scenario, Streams(3)), run_events(scenario, Streams(3))
    assert len(fast.arrived_s) > 500
    assert fast.arrived_s == full.arrived_s
    assert fast.latency_s == pytest.approx(full.latency_s, abs=1e-9)
    assert fast.lost == full.lost
    for station, one in fast.stations.items():
        other = full.stations[station]
        assert one.wait_s == pytest.approx(other.wait_s, abs=1e-9)
        assert one.busy_s == pytest.approx(other.busy_s)
        assert (one.lost, one.changes, one.replica_s) == (other.lost, other.changes, other.replica_s)
        assert not one.answered_by or one.answered_by == other.answered_by


def test_losses_are_seen_where_there_is_a_bound() -> None:
    lost = run_lanes(PLAIN["a bound and a time-out"], Streams(3)).lost
    assert min(lost["refused"], lost["timed_out"]) > 20


@pytest.mark.parametrize(
    "scenario",
    [
        busy(traits=Traits(failures=Failures(Exponential(10.0), Exponential(1.0)))),
        busy(traits=Traits(outages=(Outage(0, 0.5, 1.0),))),
        busy(traits=Traits(slowdowns=(Slowdown(0, 0.5, 1.0, 2.0),))),
        busy(traits=Traits(scaling=Scaling(lambda: lambda _: None))),
        busy(traits=Traits(adapting=Adapting(lambda: lambda *_: {}))),
        busy(traits=Traits(speeds=(2.0, 1.0, 1.0, 1.0, 1.0))),
        busy(traits=Traits("adaptive")),
        busy(replace(WEB, queue_max=3), Traits("round-robin", "replica")),
        busy(replace(WEB, cores_per_replica=1.0)),
        busy(replace(WEB, weights=(1.0, 1.0, 1.0, 1.0, 0.0))),
        replace(busy(), visitors=Visitors(patience_s=1.0)),
        tandem(holds_place=True),
    ],
)
def test_everything_else_goes_event_by_event(scenario: Scenario) -> None:
    assert not is_plain(scenario)
    outcome = simulate(scenario, 1)
    assert len(outcome.latency_s) > 500
    assert sum(latency_s < math.inf for latency_s in outcome.latency_s) + outcome.lost.total() == len(outcome.latency_s)


@pytest.mark.parametrize("name", ["one queue", "power-of-two at the replicas"])
def test_the_same_seed_gives_the_same_run(name: str) -> None:
    one, same, other = (simulate(PLAIN[name], seed).latency_s for seed in (5, 5, 6))
    assert one == same != other
    assert [run.latency_s for run in replicate(PLAIN[name], range(5, 7))] == [one, other]


def test_the_same_seed_gives_the_same_run_with_everything_that_may_happen() -> None:
    scenario = replace(
        tandem(holds_place=True),
        arrivals=Steady(60.0),
        traits={"front": Traits(failures=Failures(Exponential(1.0), Exponential(0.2), 0.05)), "back": Traits("random")},
        visitors=Visitors(0.5, 3, Exponential(0.05), budget_share=0.2),
    )
    one, same, other = (simulate(scenario, seed) for seed in (5, 5, 6))
    assert (one.latency_s, one.lost, one.retries) == (same.latency_s, same.lost, same.retries)
    assert one.latency_s != other.latency_s
    assert one.stations["front"].repeated > 0


def test_policies_meet_the_same_requests() -> None:
    policies: tuple[Policy, ...] = ("round-robin", "join-idle-queue")
    one, other = (run_lanes(busy(traits=Traits(policy, "replica")), Streams(3)) for policy in policies)
    assert one.arrived_s == other.arrived_s
    works = [sum(run.latency_s) - sum(run.stations["web"].wait_s) for run in (one, other)]
    assert works[0] == pytest.approx(works[1])


def test_figures_are_those_of_a_measurement() -> None:
    system = busy().system
    found = figures(system, Load(500.0), requests=20_000)
    assert found.keys() == {"mean", "p50", "p95", "p99"}
    assert found["mean"] == pytest.approx(predict(system, Load(500.0)).mean_s, rel=0.05)
    assert found["p50"] < found["mean"] < found["p95"] < found["p99"]
    full = SystemModel((replace(WEB, queue_max=0),), system.routes)
    assert figures(full, Load(2_000.0), requests=2_000)["mean"] == pytest.approx(0.01, rel=0.2)
