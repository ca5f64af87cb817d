"""What the runtime holds of its rollouts: written down before it counts, told, and compared over the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from colonnade.core.clock import SimulatedClock
from colonnade.core.events import EventLog
from colonnade.core.histogram import Histogram
from colonnade.runtime.canary import Comparison, Tally
from colonnade.runtime.rollout import RolloutPolicy
from colonnade.runtime.rollouts import Rollouts, Versions
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState
from colonnade.runtime.wanted import Rollout, Stage

NOW = 100.0
POLICY = RolloutPolicy(
    surge=1, unavailable=0, slots_max=16, canary_time_s=10.0, canary_requests=50, start_timeout_s=60.0
)
WHY = ("deployment", "web goes from version 1 to 2")


def seen(number: int, version: int = 1, pid: int = 0) -> ObservedReplica:
    replica = ReplicaId("web", number)
    return ObservedReplica(replica, ReplicaState.READY, NOW - 50, pid or 1000 + number, 15_000, version=version)


class Disk:
    """Takes what is written, or does not."""

    def __init__(self) -> None:
        self.is_full = False
        self.writes = 0

    def save(self) -> bool:
        self.writes += 1
        return not self.is_full


def rollouts(disk: Disk | None = None) -> tuple[Rollouts, EventLog]:
    events = EventLog(SimulatedClock())
    made = Rollouts(events, (disk or Disk()).save)
    made.current["web"] = 1
    return made, events


def begun(disk: Disk | None = None) -> tuple[Rollouts, EventLog]:
    made, events = rollouts(disk)
    assert made.roll("web", 2, [seen(1), seen(2)], NOW, is_judged=True, why=WHY)
    return made, events


def counted(answers: int, errors: int = 0) -> Tally:
    return Tally(answers, errors, Histogram())


def count(made: Rollouts, replicas: Sequence[ObservedReplica], counters: Mapping[int, Tally]) -> None:
    made.count("web", replicas, counters, POLICY, NOW)


def test_one_at_a_time() -> None:
    made, _ = begun()
    assert not made.roll("web", 3, [], NOW, is_judged=True, why=WHY)
    assert not made.replace("web", [seen(1)], NOW, why=WHY)


def test_a_replica_that_does_not_run_cannot_be_replaced() -> None:
    made, _ = rollouts()
    assert not made.replace("web", [], NOW, why=WHY)
    assert made.replace("web", [seen(1)], NOW, why=WHY)
    assert made.open["web"].replaces == {1: 1001}


def test_replicas_that_are_of_the_version_already_are_replaced_as_well() -> None:
    made, _ = rollouts()
    made.roll("web", 1, [seen(1), seen(2)], NOW, is_judged=True, why=WHY)
    assert made.open["web"].replaces == {1: 1001, 2: 1002}


def test_what_is_not_on_disk_is_not_done() -> None:
    disk = Disk()
    made, events = begun(disk)
    disk.is_full = True
    before = made.open["web"]
    wanted, _ = made.wanted("web", 2, [seen(1), seen(2)], POLICY, NOW)
    assert made.open["web"] == before
    assert sorted(wanted) == [1, 2]
    disk.is_full = False
    wanted, _ = made.wanted("web", 2, [seen(1), seen(2)], POLICY, NOW)
    assert wanted[3].version == 2
    assert [event.kind for event in events.recent()] == ["rollout_started", "rollout_step"]


def test_the_end_is_kept_until_somebody_has_taken_note() -> None:
    made, events = rollouts()
    made.open["web"] = Rollout("web", 1, 2, Stage.SHRINKING, NOW, frozenset({1, 2, 3}))
    wanted, _ = made.wanted("web", 2, [seen(1, 2), seen(2, 2)], POLICY, NOW)
    assert {want.version for want in wanted.values()} == {2}
    assert (made.current["web"], made.open, made.ended["web"].stage) == (2, {}, Stage.DONE)
    assert events.recent()[-1].kind == "rollout_finished"
    again = Rollouts(EventLog(SimulatedClock()), lambda: True)
    again.adopt(made.versions(), NOW + 5)
    assert again.ended["web"].stage is Stage.DONE
    again.forget_end("web")
    assert again.versions() == Versions({"web": 2}, {}, {})


@pytest.mark.parametrize(
    ("rollout", "is_told"),
    [
        (Rollout("web", 1, 2, Stage.JUDGING), True),
        (Rollout("web", 1, 2, Stage.REPLACING), True),
        (Rollout("web", 1, 2, Stage.STARTING), False),
        (Rollout("web", 1, 2, Stage.UNDOING), False),
        (Rollout("web", 1, 2, Stage.REPLACING, is_judged=False), False),
        (Rollout("web", 2, 2, Stage.REPLACING), False),
    ],
)
def test_a_controller_that_goes_on_judges_anew_and_says_so(rollout: Rollout, is_told: bool) -> None:
    made, events = rollouts()
    made.adopt(Versions({"web": 1}, {"web": rollout}, {}), NOW)
    assert made.open["web"].stage_since_s == NOW
    assert made.comparison("web") == Comparison()
    assert [(one.kind, one.reason) for one in events.recent()] == [
        ("rollout_judging", "controller_restarted")
    ] * is_told


def test_only_what_was_answered_while_both_served_is_compared() -> None:
    made, _ = begun()
    olds = [seen(1), seen(2)]
    count(made, olds, {1: counted(1000, 500), 2: counted(1000)})
    count(made, olds, {1: counted(1100, 600), 2: counted(1100)})  # the old ones alone
    both = [*olds, seen(3, 2)]
    count(made, both, {1: counted(1200, 600), 2: counted(1200), 3: counted(7)})
    count(made, both, {1: counted(1210, 601), 2: counted(1220), 3: counted(17, 2)})
    comparison = made.comparison("web")
    assert (comparison.old.answers, comparison.old.errors) == (10 + 20 + 200, 1)
    assert (comparison.new.answers, comparison.new.errors) == (10, 2)


def test_a_slot_that_has_another_process_is_counted_anew() -> None:
    made, _ = begun()
    both = [seen(1), seen(3, 2)]
    count(made, both, {1: counted(100), 3: counted(50)})
    count(made, [seen(1), seen(3, 2, pid=7)], {1: counted(110), 3: counted(500, 400)})
    assert made.comparison("web").new.errors == 0
    count(made, [seen(1), seen(3, 2, pid=7)], {1: counted(120), 3: counted(510, 401)})
    assert (made.comparison("web").new.answers, made.comparison("web").new.errors) == (10, 1)


def test_a_gateway_that_was_started_anew_counts_from_nothing() -> None:
    assert counted(5, 1).since(counted(100, 0)) == counted(5, 1)


def test_the_story_of_a_replacement_has_words_of_its_own() -> None:
    made, events = rollouts()
    made.replace("web", [seen(1)], NOW, why=("slow", "web/1 is slow"))
    made.open["web"] = replace(made.open["web"], stage=Stage.SHRINKING)
    made.wanted("web", 1, [seen(1, pid=9)], POLICY, NOW)
    assert [event.kind for event in events.recent()] == ["replacement_started", "replacement_finished"]
    assert events.recent()[-1].message == "web/1 is replaced"
