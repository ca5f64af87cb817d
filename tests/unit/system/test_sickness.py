"""The watch for sick replicas, second by second on a system of which only the looks are made up."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from colonnade.core.clock import SimulatedClock
from colonnade.core.events import EventLog
from colonnade.core.groups import GroupUsage
from colonnade.core.histogram import BUCKETS_COUNT, Histogram
from colonnade.core.memory import MachineMemory
from colonnade.gateway.state import ObservedBackend, PoolView, ServerView
from colonnade.runtime.controller import RuntimeController
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState, RestartHistory
from colonnade.spec.model import ServiceSpec
from colonnade.system.readings import Readings
from colonnade.system.sickness import SicknessWatch, watch_sickness
from colonnade.system.system import System

QUICK, SLOW = 5, 9
"""Buckets of the histogram."""


@dataclass
class Story:
    """Four replicas of `web`; what a test changes in `bucket`, `failing` and the like happens from then on. Stands for
    the system, its gateway and its runtime."""

    services: dict[str, ServiceSpec]
    bucket: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(1, 5), QUICK))
    failing: set[int] = field(default_factory=set)
    rate: int = 20
    address_space_grows: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = SimulatedClock()
        self.events = EventLog(self.clock)
        self.changed = asyncio.Event()
        self.factors: dict[ReplicaId, float] = {}
        self.gateway = self.runtime = self
        self.counts = {number: [0] * BUCKETS_COUNT for number in self.bucket}
        self.errors = dict.fromkeys(self.bucket, 0)
        now = self.clock.monotonic()
        self.replicas = {
            number: ObservedReplica(ReplicaId("web", number), ReplicaState.READY, now, 100 + number, 15_000, now)
            for number in self.bucket
        }
        self.spaces = dict.fromkeys(self.bucket, 300_000_000)
        self.replaced: list[str] = []
        self.readings = Readings(cast(RuntimeController, self))
        self.watch = SicknessWatch(cast(System, self))

    def say(self, kind: str, subject: str, reason: str, message: str) -> None:
        self.events.emit(kind, subject, reason=reason, message=message)

    def view(self) -> object:
        return _Views(self)

    def replace(self, replica: ReplicaId, *, reason: str, message: str) -> bool:
        assert self.factors.get(replica, 1.0) > 0, "it is out already"
        self.replaced.append(f"{replica} {reason}")
        return True

    def end(self, replica: ReplicaId, *, reason: str, message: str) -> bool:
        self.replaced.append(f"{replica} {reason}")
        return True

    def restart(self, number: int, *, by_itself: bool = False) -> None:
        """Its process is another one from now on, well again."""
        old = self.replicas[number]
        now = self.clock.monotonic()
        history = RestartHistory(total_restarts=old.history.total_restarts + by_itself)
        self.replicas[number] = replace(
            old, pid=(old.pid or 0) + 100, started_at_s=now, state_since_s=now, history=history
        )
        self.bucket[number] = QUICK
        self.spaces[number] = 300_000_000
        self.address_space_grows.pop(number, None)

    def pass_time(self, duration_s: int) -> None:
        for _ in range(duration_s):
            self.clock.advance(1.0)
            for number, counts in self.counts.items():
                counts[self.bucket[number]] += self.rate
                self.errors[number] += self.rate // 2 * (number in self.failing)
                self.spaces[number] += self.address_space_grows.get(number, 0)
            memory = {
                replica.pid or 0: GroupUsage(50_000_000, self.spaces[number])
                for number, replica in self.replicas.items()
            }
            self.watch.look(memory, MachineMemory(8_000_000_000, 6_000_000_000))

    def told(self) -> list[tuple[str, str, str]]:
        return [(event.kind, event.subject, event.reason) for event in self.events.recent()]


class _Views:
    """What both views hold, in one."""

    def __init__(self, story: Story) -> None:
        servers = {
            number: ServerView(
                slot=number,
                address="127.0.0.1:15000",
                status="UP",
                check_status="L7OK",
                sessions=1,
                streams=0,
                queued=0,
                requests_total=0,
                errors_total=0,
                server_errors_total=story.errors[number],
                latency=Histogram(tuple(counts)),
            )
            for number, counts in story.counts.items()
        }
        self.desired, self.replicas = {"web": 4}, tuple(story.replicas.values())
        self.observed_at_s = story.clock.monotonic()
        self.pools = {"web": PoolView(servers=servers, traffic=ObservedBackend())}


def story(**keys: object) -> Story:
    spec = ServiceSpec.model_validate({"app": "web:app", "replicas": 4, **keys})
    return Story({"web": spec})


def test_a_slow_replica_is_taken_out_and_replaced_once() -> None:
    told = story()
    told.pass_time(20)
    told.bucket[2] = SLOW
    told.pass_time(30)
    assert told.replaced == ["web/2 replica_slow"]
    assert told.factors == {ReplicaId("web", 2): 0.0}
    told.restart(2)
    told.pass_time(30)
    assert told.factors == {}
    assert told.told() == [("replica_sick", "web/2", "replica_slow")]


def test_what_is_slow_again_after_its_replacement_is_told_and_left() -> None:
    told = story()
    told.pass_time(20)
    for number in (2, 2):
        told.bucket[number] = SLOW
        told.pass_time(30)
        told.restart(number)
    told.bucket[2] = SLOW
    told.pass_time(400)
    assert told.replaced == ["web/2 replica_slow"]
    assert ("replica_sick", "web", "enough_replaced") in told.told()
    assert ("replica_sick", "web", "replaced_lately") in told.told()


def test_a_replacement_that_does_not_come_is_told_and_the_replica_serves_on() -> None:
    told = story(health={"start_timeout": "20s"}, stop_timeout="5s")
    told.pass_time(20)
    told.bucket[2] = SLOW
    told.pass_time(30)
    assert told.factors == {ReplicaId("web", 2): 0.0}
    told.bucket[2] = QUICK
    told.pass_time(30)
    assert told.factors == {}
    assert told.told()[-1] == ("replica_sick", "web/2", "not_replaced")


def test_a_pool_that_errs_together_is_told_once_and_when_it_is_over() -> None:
    told = story()
    told.pass_time(20)
    told.failing.update(range(1, 5))
    told.pass_time(60)
    told.failing.clear()
    told.pass_time(20)
    assert told.replaced == []
    assert [kind for kind, _, _ in told.told()] == ["pool_sick_together", "pool_well_again"]


def test_a_leak_towards_memory_max_is_replaced_in_time_and_keeps_its_requests_until_then() -> None:
    told = story(memory_max="1GB")
    told.pass_time(20)
    told.address_space_grows[3] = 6_000_000
    told.pass_time(100)
    assert told.replaced == ["web/3 memory_grows"]
    assert told.factors == {}
    assert told.told() == [("replica_expected_to_fail", "web/3", "memory_grows")]


def test_of_those_that_are_expected_to_fail_only_a_part_is_replaced_at_once() -> None:
    told = story(memory_max="1GB")
    told.pass_time(20)
    for number in told.bucket:
        told.address_space_grows[number] = 5_000_000 + 10_000 * number
    told.pass_time(110)
    assert told.replaced == ["web/4 memory_grows"]
    told.restart(4)
    told.pass_time(20)
    assert told.replaced == ["web/4 memory_grows"]
    assert told.told().count(("replica_expected_to_fail", "web", "enough_replaced")) == 1


def test_who_ended_three_times_at_one_age_is_replaced_before_the_fourth() -> None:
    told = story()
    for _ in range(3):
        told.pass_time(100)
        told.restart(4, by_itself=True)
    told.pass_time(85)
    assert told.replaced == []
    told.pass_time(14)
    assert told.replaced == ["web/4 dies_at_this_age"]


def test_switched_off_nothing_is_done() -> None:
    told = story(memory_max="1GB", health={"outliers": False})
    told.bucket[1] = SLOW
    told.failing.add(2)
    told.address_space_grows[3] = 6_000_000
    told.pass_time(100)
    assert (told.replaced, told.told(), told.factors) == ([], [], {})


class Gateway:
    """Looks twice a second, each a few milliseconds early or late, until the script is over."""

    def __init__(self, told: Story, late_ms: list[int]) -> None:
        self.told = told
        self.late_ms = late_ms
        self.looks = 0
        self.seen: list[int] = []

    async def next_view(self) -> object:
        if self.looks == len(self.late_ms):
            raise EOFError
        due_s = 1000.0 + 0.5 * self.looks + self.late_ms[self.looks] / 1000
        self.looks += 1
        self.told.clock.advance(due_s - self.told.clock.monotonic())
        return self.told.view()

    def view(self) -> object:
        self.seen.append(self.looks)
        return self.told.view()


def test_every_second_look_counts_though_none_comes_on_the_dot() -> None:
    told = story()
    gateway = Gateway(told, [0, 3, -4, 5, 2, -6, -3, 4, 1, 0, -5, 2])
    told.gateway = gateway  # type: ignore[assignment]
    with contextlib.suppress(EOFError):
        asyncio.run(watch_sickness(cast(System, told)))
    assert gateway.seen == [1, 3, 5, 7, 9, 11]


@pytest.mark.parametrize("outliers", [True, False])
def test_shares_follow_only_where_they_are_asked_to(outliers: bool) -> None:
    told = story(balance="adaptive", health={"outliers": outliers})
    told.pass_time(20)
    told.bucket[1] = QUICK + 1
    told.pass_time(30)
    assert 0.1 < told.factors[ReplicaId("web", 1)] < 0.8
    told.bucket[1] = QUICK
    told.pass_time(60)
    assert set(told.factors.values()) == {1.0}
    assert story(balance="least-connections").factors == {}
