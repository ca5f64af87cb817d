"""Who is picked, by each policy, among those who can take one more."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import get_args

import pytest

from colonnade.planning.model import Balance
from colonnade.planning.simulation.policies import (
    ConsistentHash,
    Draws,
    JoinIdleQueue,
    LeastConnections,
    Picker,
    Policy,
    Rotation,
    RoundRobin,
    picker,
)
from colonnade.spec.model import Balance as Declared

POLICIES: list[Policy] = [*get_args(Balance), "power-of-two", "join-idle-queue", "random"]


def send(rotation: Rotation, policy: Picker, key: float = 0.5) -> int | None:
    replica = policy.pick(key)
    if replica is not None:
        rotation.enter(replica)
        policy.changed(replica)
    return replica


def end(rotation: Rotation, policy: Picker, replica: int) -> None:
    rotation.leave(replica)
    policy.changed(replica)


def test_every_policy_that_can_be_declared_can_be_simulated() -> None:
    assert set(get_args(Declared)) == set(get_args(Balance)) < set(POLICIES)


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_is_sent_to_a_replica_out_of_rotation(policy: Policy) -> None:
    rotation = Rotation([1.0, 1.0, 1.0])
    one = picker(policy, rotation, Random(1))
    rotation.put(1, is_in=False)
    one.members_changed()
    found = Counter(send(rotation, one, key=number / 97) for number in range(97))
    assert set(found) == {0, 2}
    for replica in (0, 2):
        rotation.put(replica, is_in=False)
    one.members_changed()
    assert one.pick(0.5) is None
    rotation.put(rotation.add(1.0), is_in=True)
    one.members_changed()
    assert {one.pick(number / 7) for number in range(7)} == {3}


@pytest.mark.parametrize("policy", POLICIES)
def test_shares_follow_the_weights(policy: Policy) -> None:
    """Of requests that end before the next one comes, or, where load decides, that never end."""
    rotation = Rotation([3.0, 1.0] * 20)
    one = picker(policy, rotation, Random(2))
    heavy = sum(one.pick(Random(number).random()) in range(0, 40, 2) for number in range(4_000)) / 4_000
    match policy:
        case "least-connections" | "join-idle-queue":
            heavy = sum((send(rotation, one) or 0) % 2 == 0 for _ in range(4_000)) / 4_000
            # An idle queue knows no weights.
            assert heavy == pytest.approx(0.5 if policy == "join-idle-queue" else 0.75, abs=0.03)
        case "consistent-hash":
            assert heavy == pytest.approx(0.75, abs=0.1), "only sixteen points for a weight of 1"
        case _:
            assert heavy == pytest.approx(0.75, abs=0.03)


def test_round_robin_takes_turns_and_passes_over_who_is_full() -> None:
    rotation = Rotation([1.0, 1.0, 1.0], limit=1)
    policy = RoundRobin(rotation, Random(1))
    assert [send(rotation, policy) for _ in range(4)] == [0, 1, 2, None]
    end(rotation, policy, 1)
    assert send(rotation, policy) == 1


def test_a_heavy_replica_that_is_full_hides_nobody() -> None:
    rotation = Rotation([4.0, 1.0, 1.0], limit=2)
    policy = RoundRobin(rotation, Random(1))
    assert sorted(send(rotation, policy) or 0 for _ in range(6)) == [0, 0, 1, 1, 2, 2]
    assert send(rotation, policy) is None
    end(rotation, policy, 2)
    assert send(rotation, policy) == 2


def test_turns_of_a_heavy_replica_are_spread() -> None:
    policy = RoundRobin(Rotation([2.0, 1.0, 1.0]), Random(1))
    turns = [policy.pick(0.0) for _ in range(400)]
    assert [turns.count(replica) for replica in range(3)] == [200, 100, 100]
    assert all(turns[index : index + 3] != [0, 0, 0] for index in range(398))


def test_least_connections_counts_by_weight_and_takes_the_one_at_rest_for_longest() -> None:
    rotation = Rotation([2.0, 1.0], limit=4)
    policy = LeastConnections(rotation, Random(1))
    assert [send(rotation, policy) for _ in range(6)] == [0, 1, 0, 0, 1, 0]
    assert send(rotation, policy) == 1
    end(rotation, policy, 1)
    end(rotation, policy, 0)
    assert send(rotation, policy) == 0, "four of 0 are less for its weight than three of 1"


def test_adaptive_makes_a_request_wait_when_the_drawn_ones_are_full() -> None:
    rotation = Rotation([1.0, 1e-9], limit=1)
    policy = Draws(rotation, Random(1))
    assert send(rotation, policy) == 0
    assert rotation.is_open == [False, True]
    assert send(rotation, policy) is None, "the other has room, and was not drawn"


def test_of_two_drawn_the_one_with_less_to_do_for_its_weight() -> None:
    rotation = Rotation([1.0, 1.0])
    rotation.inside[0] = 3
    policy = Draws(rotation, Random(1))
    picks = Counter(policy.pick(0.0) for _ in range(4_000))
    assert picks[0] == pytest.approx(1_000, rel=0.15), "only when it was drawn twice"
    assert policy.sees_load
    assert not Draws(rotation, Random(1), draws=1).sees_load


def test_an_idle_queue_is_first_come_first_served() -> None:
    rotation = Rotation([1.0] * 3)
    policy = JoinIdleQueue(rotation, Random(1))
    assert [send(rotation, policy) for _ in range(3)] == [0, 1, 2]
    end(rotation, policy, 2)
    end(rotation, policy, 0)
    assert [send(rotation, policy) for _ in range(2)] == [2, 0]
    assert send(rotation, policy) in {0, 1, 2}


def test_a_key_stays_with_its_replica_and_only_a_lost_ones_keys_move() -> None:
    rotation = Rotation([1.0] * 10)
    policy = ConsistentHash(rotation, Random(1))
    keys = [Random(number).random() for number in range(2_000)]
    before = [policy.pick(key) for key in keys]
    assert before == [policy.pick(key) for key in keys]
    rotation.put(4, is_in=False)
    policy.members_changed()
    after = [policy.pick(key) for key in keys]
    assert {one for one, other in zip(before, after, strict=True) if one != other} == {4}
    assert 0.03 < before.count(4) / len(keys) < 0.25
