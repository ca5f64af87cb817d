"""The simulator against the formulas, where those hold, and on what they cannot say."""

from __future__ import annotations

import math
from operator import add
from random import Random

import pytest

from colonnade.planning.erlang import wait_s_mean
from colonnade.planning.simulator import Observation, Outcome, ServiceTime, Setup, Trace, simulate, steps_of


def steady(rate: float, duration_s: float = 600.0) -> Trace:
    return Trace([rate, rate], duration_s)


def never(_: Observation) -> None:
    return None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scv", "time_s"),
    [
        pytest.param(1.0, lambda random: random.expovariate(20.0), id="exponential"),
        pytest.param(0.0, lambda _: 0.05, id="equal"),
    ],
)
def test_a_steady_load_waits_as_erlang_says(scv: float, time_s: ServiceTime) -> None:
    setup = Setup(steady(128.0, 3_600.0), time_s, threads=4, replicas=2, startup=lambda _: 1.0)
    outcome = simulate(setup, never, Random(7))
    waits = outcome.latency_s
    expected_s = wait_s_mean(8, 128.0, 0.05, scv_service=scv)
    assert sum(waits) / len(waits) - 0.05 == pytest.approx(expected_s, rel=0.15)


def test_arrivals_follow_the_trace() -> None:
    trace = Trace([0.0, 100.0, 100.0, 0.0], 50.0)
    found = list(trace.arrivals(Random(3)))
    assert found == sorted(found)
    by_part = [sum(begin <= at < begin + 50 for at in found) for begin in (0, 50, 100)]
    assert by_part == pytest.approx([2500, 5000, 2500], rel=0.08)
    assert (trace.rate(25.0), trace.rate(75.0), trace.rate(999.0), trace.duration_s) == (50.0, 100.0, 0.0, 150.0)


def test_the_same_seed_gives_the_same_run() -> None:
    setup = Setup(steady(50.0, 20.0), lambda random: random.expovariate(20.0), 2, 2, lambda _: 1.0)
    assert simulate(setup, never, Random(1)).latency_s == simulate(setup, never, Random(1)).latency_s
    assert simulate(setup, never, Random(1)).latency_s != simulate(setup, never, Random(2)).latency_s


def test_a_new_replica_serves_what_waits_once_it_is_up() -> None:
    """One place, a second per request, and about ten of them within the first second."""

    def grow(seen: Observation) -> int | None:
        return 2 if seen.at_s >= 1.0 else None

    setup = Setup(Trace([16.0, 16.0, 0.0, 0.0], 0.5), lambda _: 1.0, 1, 1, lambda _: 2.0)
    alone = simulate(setup, never, Random(5))
    helped = simulate(setup, grow, Random(5))
    assert len(alone.latency_s) == len(helped.latency_s) > 5
    last_alone, last_helped = (max(map(add, each.arrived_s, each.latency_s)) for each in (alone, helped))
    assert last_helped < last_alone - 1.0
    assert helped.changes == [(0.0, 1), (1.0, 2)]
    assert helped.replica_s == pytest.approx(1.5 + 0.5)


def test_a_replica_that_leaves_finishes_and_takes_nothing_new() -> None:
    def shrink(seen: Observation) -> int | None:
        return 1 if seen.at_s >= 1.0 else None

    setup = Setup(steady(1.5, 60.0), lambda _: 1.0, threads=1, replicas=2, startup=lambda _: 1.0)
    outcome = simulate(setup, shrink, Random(4))
    assert all(latency_s >= 1.0 for latency_s in outcome.latency_s)
    assert outcome.refused + outcome.timed_out > 0, "one place cannot serve 1.5/s"
    assert 60.0 < outcome.replica_s <= 60.0 + 2.0


def test_starts_wait_for_each_other() -> None:
    seen: list[Observation] = []

    def grow(observation: Observation) -> int | None:
        seen.append(observation)
        return 6

    setup = Setup(steady(1.0, 10.0), lambda _: 0.01, 1, 1, lambda _: 2.0, starts_at_once=2)
    simulate(setup, grow, Random(1))
    ready = {observation.at_s: observation.ready for observation in seen}
    assert [ready[at] for at in (2.0, 2.5, 4.5, 6.5)] == [1, 3, 5, 6]
    assert seen[1].ready_in_s == pytest.approx(5.5)
    assert seen[-1].ready_in_s == 0


def test_a_full_queue_refuses_and_a_long_wait_ends() -> None:
    setup = Setup(steady(50.0, 20.0), lambda _: 1.0, 1, 1, lambda _: 1.0, queue_max=5, queue_timeout_s=2.0)
    outcome = simulate(setup, never, Random(2))
    assert outcome.refused > 500
    assert outcome.timed_out > 10
    lost = sum(math.isinf(latency_s) for latency_s in outcome.latency_s)
    assert lost == outcome.refused + outcome.timed_out
    assert max(latency_s for latency_s in outcome.latency_s if latency_s < math.inf) <= 3.0


def test_reversals_and_quantiles_are_counted() -> None:
    outcome = Outcome(changes=[(0, 2), (1, 4), (2, 6), (3, 3), (4, 3), (5, 5)])
    assert outcome.reversals() == 2
    for arrived_s, latency_s in ((0.1, 1.0), (0.2, 3.0), (1.5, 2.0)):
        outcome.note(arrived_s, latency_s)
    assert outcome.quantile_by_interval(1.0, 0.99) == [3.0, 2.0]
    assert steps_of(outcome.changes, [0.0, 0.5, 1.0, 9.0]) == [2, 2, 4, 5]
