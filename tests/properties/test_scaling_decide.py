"""What scaling must never do, whatever the load."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.planning.model import Station, Work
from colonnade.planning.simulation.arrivals import Steady
from colonnade.planning.simulation.scenario import Scaling, Traits, of_one
from colonnade.planning.simulation.simulate import simulate
from colonnade.scaling.decide import step
from colonnade.scaling.demand import read_demand, replicas_for
from colonnade.scaling.limits import Bound, Machine
from colonnade.scaling.simulated import SimulatedScaling
from colonnade.scaling.state import Look, Memory, ScalingPolicy

PACE_S = 0.5

policies = st.builds(
    lambda low, more, threads, target, p99_s, down_after_s: ScalingPolicy(
        "web", low, low + more, threads, target, p99_s, down_after_s
    ),
    st.integers(min_value=1, max_value=4),
    st.integers(min_value=1, max_value=20),
    st.integers(min_value=1, max_value=16),
    st.floats(min_value=0.2, max_value=0.95),
    st.none() | st.floats(min_value=0.01, max_value=2.0),
    st.sampled_from([5.0, 12.0, 60.0]),
)
machines = st.none() | st.builds(
    Machine,
    st.integers(min_value=1, max_value=16),
    st.just(8_000_000_000),
    st.integers(min_value=0, max_value=8_000_000_000),
    st.none() | st.integers(min_value=1_000_000, max_value=500_000_000),
)
phases = st.lists(
    st.tuples(st.floats(min_value=0, max_value=300), st.integers(min_value=0, max_value=40)), min_size=1, max_size=8
)
"""(arrivals a second, looks)."""


class Told:
    """Looks with any numbers in them, not only with such as belong together."""

    def __init__(self, random: Random, policy: ScalingPolicy) -> None:
        self.random = random
        self.now = 0.0
        self.arrived = 0
        self.desired = random.randint(1, policy.replicas_max + 2)

    def look(self, rate: float) -> Look:
        self.now += PACE_S * self.random.choice([1.0, 1.0, 1.1, 2.0])
        self.arrived += int(rate * PACE_S * self.random.uniform(0.5, 1.5))
        ready = self.random.randint(0, self.desired)
        return Look(
            self.now,
            self.arrived,
            in_service=self.random.randint(0, 40),
            queued=self.random.choice([0, 0, 0, 5, 200]),
            service_time_s=self.random.choice([0.0, 0.001, 0.05, 0.3]),
            desired=self.desired,
            ready=ready,
            cores_used=self.random.choice([None, 0.0, 0.5, 3.0]),
            latency_p99_s=self.random.choice([None, 0.01, 3.0]),
            startup_s=self.random.choice([0.5, 5.0]),
            ready_in_s=self.random.choice([0.0, 0.5, 5.0]),
        )


@given(policies, machines, phases, st.integers(min_value=0, max_value=2**32), st.integers(min_value=0, max_value=40))
@settings(max_examples=60, deadline=None)
def test_never_outside_its_bounds_and_never_without_a_reason(
    policy: ScalingPolicy, machine: Machine | None, load: list[tuple[float, int]], seed: int, floor: int
) -> None:
    told, memory = Told(Random(seed), policy), Memory()
    floors = [Bound(floor, "schedule", "the schedule asks")] if floor else []
    for rate, looks in load:
        for _ in range(looks):
            memory, decision = step(memory, told.look(rate), policy, machine, floors)
            assert decision.reason
            assert decision.message.startswith("web ")
            for action in decision.actions:
                assert policy.replicas_min <= action.count <= policy.replicas_max
                assert action.count != told.desired
                told.desired = action.count


@given(policies, phases, st.integers(min_value=0, max_value=2**32))
@settings(max_examples=60, deadline=None)
def test_never_down_within_down_after_of_a_time_that_needed_more(
    policy: ScalingPolicy, load: list[tuple[float, int]], seed: int
) -> None:
    told, memory = Told(Random(seed), policy), Memory()
    told.desired = min(told.desired, policy.replicas_max)
    needed: list[tuple[float, int]] = []
    for rate, looks in load:
        for _ in range(looks):
            look = told.look(rate)
            memory, decision = step(memory, look, policy)
            demand = read_demand(memory.looks, policy)
            needed.append((look.at_s, max(demand.grow, demand.stay or 1)))
            for action in decision.actions:
                if action.count < look.desired:
                    of_late = [count for at_s, count in needed if at_s >= look.at_s - policy.down_after_s]
                    assert action.count >= min(policy.replicas_max, max(of_late))
                told.desired = action.count


@given(
    policies,
    st.floats(min_value=0, max_value=2_000),
    st.floats(min_value=0, max_value=2_000),
    st.floats(min_value=0.0005, max_value=2.0),
    st.floats(min_value=0, max_value=1_000),
    st.floats(min_value=0, max_value=1_000),
)
def test_more_load_or_more_queue_never_needs_less(
    policy: ScalingPolicy, rate: float, more: float, service_s: float, backlog: float, more_backlog: float
) -> None:
    few = replicas_for(rate, service_s, policy, backlog=backlog)
    assert replicas_for(rate + more, service_s, policy, backlog=backlog) >= few
    assert replicas_for(rate, service_s, policy, backlog=backlog + more_backlog) >= few


@given(policies, phases, st.integers(min_value=0, max_value=2**32), st.integers(min_value=1, max_value=400))
@settings(max_examples=60, deadline=None)
def test_a_history_with_more_arrivals_never_asks_for_less(
    policy: ScalingPolicy, load: list[tuple[float, int]], seed: int, more: int
) -> None:
    told, looks = Told(Random(seed), policy), list[Look]()
    for rate, count in load:
        looks += [told.look(rate) for _ in range(count)]
    # The same places busy, so that the service time is the same.
    looks = [replace(look, in_service=0, queued=0, service_time_s=0.05) for look in looks[-60:]]
    busier = [replace(look, arrived_total=look.arrived_total + index * more) for index, look in enumerate(looks)]
    calm_demand, busy_demand = read_demand(tuple(looks), policy), read_demand(tuple(busier), policy)
    assert busy_demand.grow >= calm_demand.grow
    assert (busy_demand.stay or 0) >= (calm_demand.stay or 0)


@pytest.mark.slow
@given(
    st.floats(min_value=5, max_value=60),
    st.sampled_from([0.02, 0.05, 0.2]),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(min_value=0, max_value=2**32),
)
@settings(max_examples=30, deadline=None)
def test_a_constant_load_is_settled_once(rate: float, service_s: float, threads: int, seed: int) -> None:
    """Real arrivals, random as they are, for five minutes: up once, down once at most (what came first was little to go
    by), and then nothing more."""
    policy = ScalingPolicy("web", 1, 60, threads, 0.7, None, 20.0)
    station = Station("web", 2, threads, queue_max=200, queue_timeout_s=10.0)
    traits = Traits(scaling=Scaling(lambda: SimulatedScaling(policy)))
    outcome = simulate(of_one(station, Work(service_s), Steady(rate), 300.0, traits), seed).stations["web"]
    assert outcome.reversals() <= 1, outcome.changes
