"""Decisions about how many replicas, on loads that are told second by second."""

from __future__ import annotations

import pytest

from colonnade.scaling.limits import Bound, Machine

from .builders import World, policy

MB = 1_000_000


def test_a_step_of_four_times_is_decided_within_two_seconds_and_never_taken_back() -> None:
    world = World(policy())
    world.run(40, 60)
    assert world.changes == []
    world.run(160, 30)
    first_at, _, reason = world.changes[0]
    assert first_at - 60 <= 2.0
    assert reason in ("load_rose", "queue_grew")
    assert world.desired >= 6, "160/s of 50 ms are 8 places; at 70 % that is 12, or 6 replicas of 2"
    assert world.queued == 0
    assert world.reversals() == 0


def test_a_load_that_falls_is_followed_after_down_after_and_not_before() -> None:
    world = World(policy(), replicas=6)
    world.run(160, 120)
    assert world.desired == 6
    world.run(40, 55)
    assert world.desired == 6
    assert world.decision.reason == "shrinks_later"
    world.run(40, 40)
    assert world.desired == 2
    assert world.changes[-1][2] == "load_fell"


def test_at_rest_a_service_has_its_floor() -> None:
    world = World(policy(replicas=(1, 12)), replicas=8)
    world.run(0, 90)
    assert world.desired == 1
    assert world.changes[0][2] == "at_rest"


def test_what_is_enough_says_so_with_its_numbers() -> None:
    world = World(policy())
    world.run(40, 30)
    assert world.decision.actions == ()
    assert world.decision.reason == "enough"
    assert world.decision.message == "web stays at 2: 40.0/s of 50 ms take 2.0 places"


def test_replicas_on_their_way_are_not_asked_for_twice() -> None:
    """They take ten seconds, the queue grows all the while, and one decision is all there is."""
    world = World(policy(replicas=(2, 40)), startup_s=10.0)
    world.run(40, 30)
    world.run(160, 9.5)
    grown = [count for _, count, _ in world.changes]
    assert len(grown) <= 3, "while the rate's windows fill, not after"
    assert world.changes[-1][0] <= 33.0


def test_broken_replicas_are_not_replaced_by_more_of_them() -> None:
    world = World(policy(replicas=(2, 100)))
    world.run(40, 30)
    world.is_broken = True
    world.run(100, 5)
    asked = world.desired
    world.queued = 0
    world.run(79, 120)
    assert world.desired <= asked


def test_a_limit_that_is_reached_is_told_and_nothing_is_done() -> None:
    world = World(policy(replicas=(2, 3)), replicas=3)
    world.run(400, 5)
    assert world.desired == 3
    assert world.decision.reason == "limit_max"
    assert world.decision.message.startswith("web stays at 3: replicas.max is 3; more than 3 would be right: ")


def test_memory_that_is_left_bounds_the_growth() -> None:
    world = World(policy())
    world.machine = Machine(2, 4_000 * MB, 550 * MB, replica_bytes=60 * MB, replicas=2)
    world.run(40, 10)
    world.run(300, 5)
    assert world.desired == 4, "150 MB above the reserve of 400 are two replicas"
    assert world.decision.reason == "limit_memory"
    assert "a replica takes 60 MB, and 550 MB are free of which 400 MB stay" in world.decision.message


def test_cores_that_are_all_busy_bound_the_growth() -> None:
    world = World(policy(threads=8))
    world.machine = Machine(2, 4_000 * MB, 3_000 * MB, replica_bytes=60 * MB)
    world.cores_used = 1.9
    world.run(400, 5)
    assert world.desired == 2
    assert world.decision.reason == "limit_cores"
    assert "and the machine has 2" in world.decision.message


def test_a_replica_that_fills_its_core_gets_company_while_there_are_cores() -> None:
    """A processor-bound application: its places are half free, its interpreter is not."""
    world = World(policy(threads=8, p99_s=None))
    world.machine = Machine(8, 4_000 * MB, 3_000 * MB, replica_bytes=60 * MB)
    world.cores_used = 1.9
    world.run(100, 5)
    assert world.desired == 3
    assert world.changes[0][2] == "processor_busy"


def test_slowness_without_a_queue_is_not_answered_with_replicas() -> None:
    world = World(policy(threads=8))
    world.latency_p99_s = 0.61
    world.run(40, 60)
    assert world.changes == []
    assert world.decision.reason == "slow_without_queue"
    assert world.decision.message == (
        "web stays at 2: p99 is 610 ms, over the objective of 250 ms, but nothing waits and 2.0 of 16 places are busy: "
        "more replicas would not help"
    )


def test_a_queue_that_is_just_gone_is_not_taken_for_slowness_without_one() -> None:
    world = World(policy(threads=8), replicas=6)
    world.queued = 1_000
    world.run(40, 2)
    assert world.queued == 0
    world.latency_p99_s = 0.61
    world.run(40, 8)
    assert world.decision.reason != "slow_without_queue"
    world.run(40, 6)
    assert world.decision.reason == "slow_without_queue"


def test_a_floor_is_kept_to_and_left_as_slowly_as_a_load() -> None:
    world = World(policy())
    world.run(10, 30)
    world.floors = [Bound(5, "schedule", "the schedule of mon-fri 08:00–18:00 asks for 5")]
    world.run(10, 1)
    assert world.desired == 5
    assert world.changes[-1][2] == "floor_schedule"
    assert world.decision.reason == "enough"
    world.floors = ()
    world.run(10, 59)
    assert world.desired == 5
    world.run(10, 2)
    assert world.desired == 2


def test_a_number_above_the_maximum_comes_down_at_once() -> None:
    world = World(policy(replicas=(2, 4)), replicas=6)
    world.look(1)
    assert world.desired == 4
    assert world.changes[0][2] == "above_max"


def test_nothing_shrinks_before_it_was_watched_for_long_enough() -> None:
    """After a restart of the controller nobody knows what the load was a minute ago."""
    world = World(policy(), replicas=8)
    world.run(10, 60)
    assert world.desired == 8
    world.run(10, 15)
    assert world.desired == 2


def test_a_gateway_that_started_anew_is_not_taken_for_a_fall_of_the_load() -> None:
    world = World(policy(), replicas=6)
    world.run(160, 90)
    world.arrived = 0
    world.run(160, 90)
    assert world.changes == []


@pytest.mark.parametrize("service_s", [0.001, 0.05, 0.5, 2.0])
def test_any_service_time_finds_its_number_and_stays_there(service_s: float) -> None:
    world = World(policy(replicas=(1, 60), p99_s=None), replicas=1, service_s=service_s)
    rate = 10 / service_s
    world.run(rate, 120)
    assert 8 <= world.desired <= 12, "10 places busy at 70 % are 15, or 8 replicas of 2"
    before = list(world.changes)
    world.run(rate, 600)
    assert [count for _, count, _ in world.changes[len(before) :]] in ([], [8], [9], [9, 8])
