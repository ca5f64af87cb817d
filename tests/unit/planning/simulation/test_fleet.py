"""Replicas that come and go: scaling, failures, repairs, what is slow, and weights that follow it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from operator import add
from typing import Literal

import pytest

from colonnade.gateway.simulated import SimulatedShares
from colonnade.planning.model import Station, Work
from colonnade.planning.simulation.arrivals import Recorded, Steady, Trace
from colonnade.planning.simulation.distributions import Constant, Exponential
from colonnade.planning.simulation.outcome import Outcome
from colonnade.planning.simulation.policies import Policy
from colonnade.planning.simulation.scenario import (
    Adapting,
    Failures,
    Heard,
    Keys,
    Observation,
    Outage,
    Scaler,
    Scaling,
    Scenario,
    Slowdown,
    Traits,
    of_one,
)
from colonnade.planning.simulation.simulate import simulate

ONE = Station("web", 1, 1)
SECOND = Work(1.0, 0.0)


def scaled(scaler: Scaler, startup_s: float = 2.0, starts_at_once: int = 2) -> Traits:
    return Traits(scaling=Scaling(lambda: scaler, Constant(startup_s), starts_at_once))


def when(at_s: float, count: int) -> Callable[[Observation], int | None]:
    return lambda seen: count if seen.at_s >= at_s else None


def ends_s(outcome: Outcome) -> list[float]:
    return list(map(add, outcome.arrived_s, outcome.latency_s))


def test_a_new_replica_serves_what_waits_once_it_is_up() -> None:
    """One place, a second per request, and about ten of them within the first second."""
    scenario = of_one(ONE, SECOND, Trace([16.0, 16.0, 0.0, 0.0], 0.5), 1.5)
    alone = simulate(scenario, 5)
    helped = simulate(replace(scenario, traits={"web": scaled(when(1.0, 2))}), 5)
    assert len(alone.latency_s) == len(helped.latency_s) > 5
    assert max(ends_s(helped)) < max(ends_s(alone)) - 1.0
    assert helped.stations["web"].changes == [(0.0, 1), (1.0, 2)]
    assert helped.stations["web"].replica_s == pytest.approx(1.5 + 0.5)


def test_a_replica_that_leaves_finishes_and_takes_nothing_new() -> None:
    station = replace(ONE, replicas=2, queue_max=10, queue_timeout_s=5.0)
    outcome = simulate(of_one(station, SECOND, Steady(1.5), 60.0, scaled(when(1.0, 1))), 4)
    assert min(outcome.latency_s) >= 1.0
    assert outcome.lost.total() > 0, "one place cannot serve 1.5/s"
    assert 60.0 < outcome.stations["web"].replica_s <= 60.0 + 2.0
    left = outcome.stations["web"].answered_by
    assert left[1] <= 2 < left[0]


def test_starts_wait_for_each_other() -> None:
    seen: list[Observation] = []

    def grow(observation: Observation) -> int:
        seen.append(observation)
        return 6

    simulate(of_one(ONE, Work(0.01), Steady(1.0), 10.0, scaled(grow)), 1)
    ready = {observation.at_s: observation.ready for observation in seen}
    assert [ready[at] for at in (2.0, 3.0, 5.0, 7.0)] == [1, 3, 5, 6]
    assert seen[1].ready_in_s == pytest.approx(5.5)
    assert seen[-1].ready_in_s == 0


def test_what_a_scaler_sees_is_what_a_gateway_would_show() -> None:
    seen: list[Observation] = []
    scenario = of_one(ONE, SECOND, Recorded((0.1, 0.2, 0.3)), 3.0, scaled(seen.append))
    simulate(scenario, 1)
    assert [(each.at_s, each.arrived_total, each.in_service, each.queued) for each in seen[:3]] == [
        (0.5, 3, 1, 2),
        (1.0, 3, 1, 2),
        (1.5, 3, 1, 1),
    ]
    assert [each.service_time_s for each in seen[1:3]] == [0.0, pytest.approx(1.0)]


def test_a_replica_that_starts_is_given_up_at_once() -> None:
    def up_and_down(seen: Observation) -> int:
        return 2 if seen.at_s < 2.0 else 1

    outcome = simulate(of_one(ONE, Work(0.01), Steady(1.0), 10.0, scaled(up_and_down, startup_s=5.0)), 1)
    assert outcome.stations["web"].replica_s == pytest.approx(10.0 + 1.5)
    assert outcome.stations["web"].answered_by[1] == 0
    assert outcome.stations["web"].reversals() == 1


# Failures


def test_what_a_dead_replica_held_is_sent_to_another() -> None:
    station = replace(ONE, replicas=2, balance="round-robin")
    traits = Traits(outages=(Outage(0, 0.5, 5.0),))
    scenario = of_one(station, SECOND, Recorded((0.0, 0.1, 2.0, 2.1)), 6.0, traits)
    outcome = simulate(scenario, 1)
    # Who was at the dead one begins anew when the other is free, at 1.1.
    assert list(outcome.latency_s) == pytest.approx([2.1, 1.0, 1.1, 2.0])
    assert (outcome.stations["web"].repeated, outcome.stations["web"].answered_by) == (1, [0, 4])
    once = simulate(replace(scenario, traits={"web": replace(traits, retries=0)}), 1)
    assert (once.latency_s[0], once.lost) == (math.inf, {"broken": 1})
    unsafe = simulate(replace(scenario, traits={"web": replace(traits, repeatable_share=0.0)}), 1)
    assert unsafe.lost == {"broken": 1}


def test_no_replays_while_others_wait() -> None:
    station = replace(ONE, replicas=2, balance="round-robin")
    traits = Traits(outages=(Outage(0, 0.5, 5.0),))
    outcome = simulate(of_one(station, SECOND, Recorded((0.0, 0.1, 0.2)), 6.0, traits), 1)
    assert outcome.lost == {"broken": 1}


def test_with_nobody_left_all_wait_until_one_is_back() -> None:
    outcome = simulate(of_one(ONE, SECOND, Recorded((1.0, 1.5)), 6.0, Traits(outages=(Outage(0, 0.5, 3.0),))), 1)
    assert list(outcome.latency_s) == pytest.approx([3.0, 3.5])


def test_a_replica_that_hangs_takes_requests_until_it_is_noticed() -> None:
    station = replace(ONE, replicas=2, concurrency=4, balance="round-robin")
    traits = Traits(outages=(Outage(0, 0.5, 5.0, noticed_after_s=1.0),))
    outcome = simulate(of_one(station, Work(0.1, 0.0), Recorded((0.45, 0.6, 0.7, 1.6)), 6.0, traits), 1)
    # The first is at the one that hangs, the third as well; at 1.5 both are sent on.
    assert list(outcome.latency_s) == pytest.approx([1.15, 0.1, 0.9, 0.1])


def test_an_outage_that_nobody_notices_ends_with_a_new_process() -> None:
    traits = Traits(outages=(Outage(0, 0.5, 2.5, noticed_after_s=2.0),))
    outcome = simulate(of_one(ONE, SECOND, Recorded((0.0,)), 6.0, traits), 1)
    assert list(outcome.latency_s) == pytest.approx([3.5])


@pytest.mark.parametrize("queue_at", ["gateway", "replica"])
@pytest.mark.parametrize("policy", ["least-connections", "consistent-hash", "adaptive", "join-idle-queue"])
def test_nobody_is_forgotten_while_replicas_die_and_come_back(
    policy: Policy, queue_at: Literal["gateway", "replica"]
) -> None:
    failures = Failures(Exponential(2.0), Exponential(0.5), 0.1)
    traits = Traits(policy, queue_at, failures=failures, retries=1)
    station = Station("web", 4, 2, queue_timeout_s=0.3)
    outcome = simulate(of_one(station, Work(0.01), Steady(400.0), 20.0, traits), 3)
    answered = sum(latency_s < math.inf for latency_s in outcome.latency_s)
    assert answered + outcome.lost.total() == len(outcome.latency_s)
    assert answered > 0.9 * len(outcome.latency_s)
    assert sum(outcome.stations["web"].answered_by) == answered
    assert outcome.stations["web"].repeated > 0


@pytest.mark.slow
def test_replicas_are_away_for_as_long_as_declared() -> None:
    """Availability of one: up / (up + down), and what comes meanwhile has nowhere to go."""
    traits = Traits(failures=Failures(Exponential(9.0), Exponential(1.0)), retries=0)
    outcome = simulate(of_one(replace(ONE, concurrency=50, queue_max=0), Work(1e-4), Steady(10.0), 20_000.0, traits), 1)
    assert outcome.lost["refused"] / len(outcome.latency_s) == pytest.approx(0.1, abs=0.01)


# Slow ones


def test_what_is_begun_while_slow_takes_longer() -> None:
    traits = Traits(slowdowns=(Slowdown(0, 1.0, 2.0, 3.0),), speeds=(2.0,))
    outcome = simulate(of_one(ONE, SECOND, Recorded((0.0, 1.0, 4.0)), 6.0, traits), 1)
    assert list(outcome.latency_s) == pytest.approx([0.5, 1.5, 0.5])


@pytest.mark.slow
def test_adaptive_sends_a_slow_replica_little_and_more_when_it_is_well() -> None:
    """The rule that runs in a system, in a closed loop: one of four is five times slower, for half of the time."""
    adapting = Adapting(SimulatedShares)
    traits = Traits("adaptive", adapting=adapting, slowdowns=(Slowdown(0, 0.0, 200.0, 5.0),))
    scenario = of_one(Station("web", 4, 4), Work(0.03), Steady(100.0), 200.0, traits)
    slow = simulate(scenario, 1).stations["web"].answered_by
    assert slow[0] / sum(slow) < 0.05
    for other in slow[1:]:
        assert other / sum(slow) == pytest.approx(1 / 3, abs=0.05)
    longer = simulate(replace(scenario, duration_s=800.0), 1).stations["web"].answered_by
    assert (longer[0] - slow[0]) / (sum(longer) - sum(slow)) > 0.15


def test_weights_are_what_the_weigher_says() -> None:
    heard: list[list[Heard]] = []

    def first_only(_: float, replicas: object) -> dict[int, float]:
        assert isinstance(replicas, list)
        heard.append(replicas)
        return {0: 1.0, 1: 1e-9}

    traits = Traits("adaptive", adapting=Adapting(lambda: first_only, step_s=1.0))
    outcome = simulate(of_one(replace(ONE, replicas=2, concurrency=9), Work(0.01, 0.0), Steady(100.0), 5.5, traits), 1)
    assert [[one.factor for one in step] for step in heard[:2]] == [[1.0, 1.0], [1.0, 1e-9]]
    assert heard[-1][1].latency.total() <= heard[0][1].latency.total() + 5
    assert outcome.stations["web"].answered_by[0] > 400


@pytest.mark.parametrize(
    "make",
    [
        lambda: Outage(0, 1.0, 1.0),
        lambda: Outage(-1, 1.0, 2.0),
        lambda: Outage(0, 1.0, 2.0, noticed_after_s=1.5),
        lambda: Slowdown(0, 1.0, 2.0, 0.0),
        lambda: Traits(repeatable_share=1.5),
        lambda: Scaling(lambda: lambda _: None, tick_s=0.0),
        lambda: Scaling(lambda: lambda _: None, starts_at_once=0),
        lambda: Adapting(SimulatedShares, step_s=0.0),
        lambda: Failures(Constant(0.0), Constant(1.0)),
        lambda: Failures(Constant(1.0), Constant(1.0), noticed_after_s=-1.0),
        lambda: Keys(-1),
        lambda: Traits(speeds=(0.0,)),
        lambda: of_one(ONE, SECOND, Steady(1.0), 0.0),
        lambda: of_one(ONE, SECOND, Steady(1.0), 1.0, Traits(speeds=(1.0, 2.0))),
        lambda: of_one(ONE, SECOND, Steady(1.0), 1.0, Traits(outages=(Outage(1, 0.0, 1.0),))),
        lambda: Scenario(of_one(ONE, SECOND, Steady(1.0), 1.0).system, Steady(1.0), 1.0, {"wob": Traits()}),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"expected|traits of|replicas"):
        make()
