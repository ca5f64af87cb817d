"""One step of a rollout at a time: what is moved, what is waited for, when it is given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.core.errors import Bug
from colonnade.core.histogram import Histogram
from colonnade.runtime.canary import STRETCHES, Comparison, Stretch, Tally
from colonnade.runtime.rollout import (
    Enter,
    Move,
    ObservedService,
    Return,
    RolloutPolicy,
    Step,
    advance,
    decide,
)
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState, RestartHistory
from colonnade.runtime.wanted import Bounds, Rollout, Stage, Wanted, wanted_replicas

NOW = 100.0
POLICY = RolloutPolicy(
    surge=1, unavailable=0, slots_max=16, canary_time_s=10.0, canary_requests=50, start_timeout_s=60.0
)
WORSE = Comparison(Tally(1000, 0, Histogram()), Tally(300, 30, Histogram()))
FEW = Comparison(Tally(100, 0, Histogram()), Tally(12, 0, Histogram()))
ENOUGH = Comparison(Tally(1000, 0, Histogram()), Tally(300, 0, Histogram()), (Stretch(),) * STRETCHES)
START = Rollout("web", 1, 2, stage_since_s=NOW)
READY, STARTING, WAITING = ReplicaState.READY, ReplicaState.STARTING, ReplicaState.WAITING


def seen(
    number: int, version: int, state: ReplicaState = READY, for_s: float = 50.0, **more: object
) -> ObservedReplica:
    pid = None if state is WAITING else 1000 + number
    replica = ObservedReplica(ReplicaId("web", number), state, NOW - for_s, pid, 15_000, NOW - for_s, version=version)
    return replace(replica, **more)  # type: ignore[arg-type]


def step(
    rollout: Rollout,
    *replicas: ObservedReplica,
    count: int = 3,
    policy: RolloutPolicy = POLICY,
    comparison: Comparison | None = None,
) -> tuple[Step | None, str]:
    """The one step, if any, and its reason."""
    decision = decide(rollout, ObservedService(count, replicas, comparison or Comparison()), policy, NOW)
    assert len(decision.actions) <= 1
    assert decision.message
    return (decision.actions[0] if decision.actions else None), decision.reason


def olds(*numbers: int) -> list[ObservedReplica]:
    return [seen(number, 1) for number in numbers]


def at(stage: Stage, *moved: int, since_s: float = NOW, **more: object) -> Rollout:
    return replace(START, stage=stage, moved=frozenset(moved), stage_since_s=since_s, **more)  # type: ignore[arg-type]


def move(*numbers: int) -> Move:
    return Move(frozenset(numbers))


def test_the_first_of_the_new_version_comes_in_addition() -> None:
    assert step(START, *olds(1, 2, 3)) == (move(4), "next_ones")


def test_without_room_for_one_more_one_may_be_missing() -> None:
    assert step(START, *olds(1, 2, 3), policy=replace(POLICY, slots_max=3)) == (move(1), "next_ones")
    assert replace(POLICY, surge=0, unavailable=2).bounds(3) == Bounds(0, 2)
    assert replace(POLICY, surge=5, slots_max=5).bounds(3) == Bounds(2, 0)


def test_it_is_judged_when_it_serves_and_not_before() -> None:
    rollout = at(Stage.STARTING, 4)
    assert step(rollout, *olds(1, 2, 3), seen(4, 2, STARTING)) == (None, "first_ones_start")
    assert step(rollout, *olds(1, 2, 3), seen(4, 2)) == (Enter(Stage.JUDGING), "first_ones_ready")


@pytest.mark.parametrize(
    ("rollout", "policy"),
    [
        (at(Stage.STARTING, 4, is_judged=False), POLICY),
        (at(Stage.STARTING, 4), replace(POLICY, canary_time_s=0.0)),
    ],
)
def test_what_is_not_judged_goes_on_at_once(rollout: Rollout, policy: RolloutPolicy) -> None:
    assert step(rollout, *olds(1, 2, 3), seen(4, 2), policy=policy)[0] == Enter(Stage.REPLACING)


@pytest.mark.parametrize(
    ("since_s", "comparison", "expected"),
    [
        (NOW - 9.9, Comparison(), (None, "being_compared")),
        (NOW - 9.9, ENOUGH, (None, "being_compared")),
        (NOW - 10.0, ENOUGH, (Enter(Stage.REPLACING), "no_worse")),
        (NOW - 0.5, WORSE, (Enter(Stage.UNDOING), "more_errors")),
        (NOW - 10.0, FEW, (None, "answers_are_waited_for")),
        (NOW - 29.9, FEW, (None, "answers_are_waited_for")),
    ],
)
def test_the_judgement_ends_by_time_or_by_what_was_seen(
    since_s: float, comparison: Comparison, expected: tuple[Step | None, str]
) -> None:
    rollout = at(Stage.JUDGING, 4, since_s=since_s)
    assert step(rollout, *olds(1, 2, 3), seen(4, 2), comparison=comparison) == expected


@pytest.mark.parametrize(
    ("since_s", "comparison", "reason", "words"),
    [
        (NOW - 30.0, FEW, "too_few_answers", "0 of 12 answers"),
        (NOW - 10.0, Comparison(), "nothing_asked", "nobody asked anything"),
    ],
)
def test_who_was_judged_by_little_goes_on_and_says_so_to_the_end(
    since_s: float, comparison: Comparison, reason: str, words: str
) -> None:
    look = ObservedService(3, [*olds(1, 2, 3), seen(4, 2)], comparison)
    rollout = at(Stage.JUDGING, 4, since_s=since_s)
    decision = decide(rollout, look, POLICY, NOW)
    assert decision.reason == reason
    assert words in decision.message
    replacing = advance(rollout, decision, NOW)
    assert (replacing.stage, words in replacing.doubt) == (Stage.REPLACING, True)
    ending = replace(replacing, stage=Stage.SHRINKING)
    news = [seen(number, 2) for number in (1, 2, 3)]
    told = decide(ending, ObservedService(3, news, comparison), POLICY, NOW)
    assert (told.actions, told.reason) == ((Enter(Stage.DONE),), "done_in_doubt")
    assert words in told.message
    assert decide(ending, ObservedService(3, news, ENOUGH), POLICY, NOW).reason == "done", "enough came meanwhile"


def test_one_follows_the_other_and_the_next_waits_until_it_serves() -> None:
    rollout = at(Stage.REPLACING, 4)
    assert step(rollout, *olds(1, 2, 3), seen(4, 2))[0] == move(1)
    rollout = at(Stage.REPLACING, 1, 4)
    assert step(rollout, *olds(2, 3), seen(4, 2)) == (None, "no_room")
    assert step(rollout, seen(1, 2, STARTING), *olds(2, 3), seen(4, 2)) == (None, "no_room")
    assert step(rollout, seen(1, 2), *olds(2, 3), seen(4, 2))[0] == move(2)


def test_what_does_not_serve_is_replaced_at_once() -> None:
    frozen = seen(3, 1, unhealthy_since_s=NOW - 0.5)
    assert step(at(Stage.REPLACING, 4), seen(1, 1), seen(2, 1, WAITING), frozen, seen(4, 2))[0] == move(2, 3)


def test_several_at_once_where_that_is_allowed() -> None:
    policy = replace(POLICY, surge=2, unavailable=1)
    rollout = at(Stage.REPLACING, 5, 6)
    assert step(rollout, *olds(1, 2, 3, 4), seen(5, 2), seen(6, 2), count=4, policy=policy)[0] == move(1, 2, 3)


def test_a_new_one_counts_when_it_has_its_full_share() -> None:
    policy = replace(POLICY, slow_start_s=5.0)
    rollout = at(Stage.REPLACING, 1, 4)
    young = seen(1, 2, for_s=4.9)
    assert step(rollout, young, *olds(2, 3), seen(4, 2), policy=policy) == (None, "no_room")
    assert step(rollout, replace(young, state_since_s=NOW - 5.0), *olds(2, 3), seen(4, 2), policy=policy)[0] == move(2)


def test_the_surplus_goes_when_all_others_serve() -> None:
    rollout = at(Stage.REPLACING, 1, 2, 3, 4)
    news = [seen(number, 2) for number in (1, 2, 3, 4)]
    assert step(rollout, *news) == (Enter(Stage.SHRINKING), "all_new")
    assert step(rollout, *news[:2], seen(3, 2, STARTING), news[3]) == (None, "replicas_start")
    assert step(at(Stage.SHRINKING, 1, 2, 3, 4), *news) == (None, "surplus_stops")
    assert step(at(Stage.SHRINKING, 1, 2, 3, 4), *news[:3]) == (Enter(Stage.DONE), "done")


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.JUDGING, Stage.REPLACING])
@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (seen(4, 2, WAITING, history=RestartHistory(3, NOW, 2.0, 3)), "crash_loop"),
        (seen(4, 2, STARTING, for_s=60.0), "start_timeout"),
        (seen(4, 2, unhealthy_since_s=NOW - 60.0), "not_reached"),
        (seen(4, 2, history=RestartHistory(1, NOW, 0.0, 3)), "keeps_dying"),
    ],
)
def test_a_version_that_cannot_live_is_given_up(stage: Stage, new: ObservedReplica, reason: str) -> None:
    assert step(at(stage, 4), *olds(1, 2, 3), new) == (Enter(Stage.UNDOING), reason)


def test_the_old_ones_may_crash_as_they_like() -> None:
    looping = seen(1, 1, WAITING, history=RestartHistory(7, NOW, 2.0, 7))
    assert step(at(Stage.JUDGING, 4), looping, *olds(2, 3), seen(4, 2))[1] == "being_compared"


def test_worse_while_the_others_follow_is_worse_as_well() -> None:
    rollout = at(Stage.REPLACING, 1, 4)
    assert step(rollout, seen(1, 2), *olds(2, 3), seen(4, 2), comparison=WORSE)[0] == Enter(Stage.UNDOING)


def test_back_the_same_way_with_the_surplus_making_room() -> None:
    rollout = at(Stage.UNDOING, 1, 2, 4)
    news = [seen(1, 2), seen(2, 2), seen(4, 2)]
    assert step(rollout, *news, *olds(3)) == (Return(frozenset({1})), "next_ones_back")
    rollout = at(Stage.UNDOING, 2, 4)
    assert step(rollout, seen(1, 1, STARTING), *news[1:], *olds(3)) == (None, "no_room")
    rollout = at(Stage.UNDOING, 4)
    assert step(rollout, *olds(1, 2, 3), seen(4, 2)) == (Enter(Stage.CLEARING), "all_old")
    assert step(at(Stage.CLEARING, 4), *olds(1, 2, 3)) == (Enter(Stage.UNDONE), "undone")


LOOPS: dict[str, object] = {"state": WAITING, "pid": None, "history": RestartHistory(7, NOW, 2.0, 7)}
UNREACHED: dict[str, object] = {"unhealthy_since_s": NOW - 20.0, "is_unreached": True, "answers": True}


@pytest.mark.parametrize(
    "lost", [LOOPS, UNREACHED], ids=["it crashes again and again", "the gateway does not reach it"]
)
def test_going_back_does_not_wait_for_an_old_one_that_does_not_come(lost: dict[str, object]) -> None:
    """The bad version would serve for as long."""
    rollout = at(Stage.UNDOING, 1, 4)
    old = replace(seen(2, 1), **lost)  # type: ignore[arg-type]
    assert step(rollout, seen(1, 2), old, *olds(3), seen(4, 2)) == (Return(frozenset({1})), "next_ones_back")
    rollout = at(Stage.UNDOING, 4)
    assert step(rollout, seen(1, 1, STARTING), old, *olds(3), seen(4, 2)) == (None, "old_ones_start")
    assert step(rollout, seen(1, 1), old, *olds(3), seen(4, 2)) == (Enter(Stage.CLEARING), "all_old")


def test_going_back_never_takes_the_last_one_that_serves() -> None:
    looping = [replace(seen(number, 1), **LOOPS) for number in (2, 3)]  # type: ignore[arg-type]
    policy = replace(POLICY, surge=0, unavailable=1)
    assert step(at(Stage.UNDOING, 1), seen(1, 2), *looping, policy=policy) == (None, "no_room")


def test_a_dead_surplus_becomes_old_where_it_is_needed_to_make_room() -> None:
    rollout = at(Stage.UNDOING, 1, 2, 4)
    dead = seen(4, 2, WAITING)
    assert step(rollout, seen(1, 2), seen(2, 2), *olds(3), dead)[0] == Return(frozenset({4}))


def test_scaling_up_meanwhile_makes_the_surplus_one_of_the_others() -> None:
    rollout = at(Stage.JUDGING, 4)
    assert step(rollout, *olds(1, 2, 3), seen(4, 2), count=5) == (move(6), "next_ones")
    wanted = wanted_replicas(5, 1, at(Stage.JUDGING, 4, 6), Bounds(1, 0))
    assert [wanted[number].version for number in range(1, 7)] == [1, 1, 1, 2, 1, 2]


def test_what_is_wanted_in_each_stage() -> None:
    def versions(rollout: Rollout | None, count: int = 2) -> dict[int, int]:
        return {number: want.version for number, want in wanted_replicas(count, 1, rollout, Bounds(1, 0)).items()}

    assert versions(None) == {1: 1, 2: 1}
    assert versions(START) == {1: 1, 2: 1}
    assert versions(at(Stage.STARTING, 3)) == {1: 1, 2: 1, 3: 2}
    assert versions(at(Stage.REPLACING, 1, 3)) == {1: 2, 2: 1, 3: 2}
    assert versions(at(Stage.SHRINKING, 1, 2, 3)) == {1: 2, 2: 2}
    assert versions(at(Stage.SHRINKING, 1, 2, 3), count=4) == {1: 2, 2: 2, 3: 2, 4: 2}
    assert versions(at(Stage.UNDOING, 1)) == {1: 2, 2: 1, 3: 1}
    assert versions(at(Stage.CLEARING, 3), count=3) == {1: 1, 2: 1, 3: 1}


def test_a_replacement_is_of_one_process_and_no_other() -> None:
    rollout = Rollout("web", 1, 1, stage_since_s=NOW, numbers=frozenset({2}), replaces={2: 1002})
    assert step(rollout, *olds(1, 2, 3))[0] == move(4)
    rollout = replace(rollout, moved=frozenset({4}))
    assert step(rollout, *olds(1, 2, 3, 4))[0] == Enter(Stage.REPLACING), "there is nothing to compare"
    rollout = replace(rollout, stage=Stage.REPLACING)
    assert step(rollout, *olds(1, 2, 3, 4))[0] == move(2)
    rollout = replace(rollout, moved=frozenset({2, 4}))
    assert not wanted_replicas(3, 1, rollout, Bounds(1, 0))[2].is_met_by(seen(2, 1))
    assert wanted_replicas(3, 1, rollout, Bounds(1, 0))[2].is_met_by(seen(2, 1, pid=2002))
    assert step(rollout, *olds(1, 2, 3, 4)) == (None, "replicas_start")
    assert step(rollout, *olds(1, 3, 4), seen(2, 1, pid=2002))[0] == Enter(Stage.SHRINKING)


def test_any_process_of_the_version_will_do_but_the_one_to_be_replaced() -> None:
    assert Wanted(1).is_met_by(seen(1, 1))
    assert not Wanted(2).is_met_by(seen(1, 1))
    assert not Wanted(1, not_pid=1001).is_met_by(seen(1, 1))
    assert Wanted(1, not_pid=1001).is_met_by(seen(1, 1, WAITING))


def test_a_service_without_replicas_is_through_at_once() -> None:
    rollout = START
    reasons = []
    while rollout.stage is not Stage.DONE:
        decision = decide(rollout, ObservedService(0, [], Comparison()), replace(POLICY, surge=0, unavailable=1), NOW)
        rollout = advance(rollout, decision, NOW)
        reasons.append(decision.reason)
        assert len(reasons) < 10
    assert reasons == ["first_ones_ready", "all_new", "done"]


def test_why_it_is_undone_is_remembered() -> None:
    rollout = at(Stage.JUDGING, 4)
    decision = decide(rollout, ObservedService(3, [*olds(1, 2, 3), seen(4, 2)], WORSE), POLICY, NOW)
    undoing = advance(rollout, decision, NOW + 1)
    assert (undoing.stage, undoing.stage_since_s, undoing.reason) == (Stage.UNDOING, NOW + 1, "more_errors")
    assert "30 of 300" in undoing.message


def test_a_way_that_is_not_there_is_a_bug() -> None:
    decision = decide(at(Stage.SHRINKING), ObservedService(3, olds(1, 2, 3), Comparison()), POLICY, NOW)
    with pytest.raises(Bug, match="no way from undoing to done"):
        advance(at(Stage.UNDOING), decision, NOW)


def test_a_replica_that_somebody_holds_out_of_rotation_is_not_waited_for() -> None:
    one = replace(START, new=1, numbers=frozenset({1}), replaces={1: 1001}, moved=frozenset({4}), stage=Stage.REPLACING)
    held = seen(2, 1, ReplicaState.DRAINING, is_held=True)
    assert step(one, seen(1, 1), held, seen(3, 1), seen(4, 1)) == (move(1), "next_ones")
    assert step(one, seen(1, 1), seen(2, 1, WAITING), seen(3, 1), seen(4, 1)) == (None, "no_room")
    renewed = replace(one, moved=frozenset({1, 4}), replaces={1: 900})
    assert step(renewed, seen(1, 1), held, seen(3, 1), seen(4, 1))[0] == Enter(Stage.SHRINKING)


def test_the_last_one_that_serves_waits_for_the_one_that_is_held() -> None:
    held = seen(2, 1, ReplicaState.DRAINING, is_held=True)
    anew = Rollout("web", 1, 1, stage_since_s=NOW, numbers=frozenset({1, 2}), replaces={1: 1001, 2: 1002})
    tight = replace(POLICY, surge=0, unavailable=1)
    assert step(anew, seen(1, 1), held, count=2, policy=tight) == (move(2), "next_ones")
    begun = replace(anew, moved=frozenset({2}))
    assert step(begun, seen(1, 1), held, count=2, policy=tight) == (None, "first_ones_start")
    alone = replace(anew, numbers=frozenset({1}))
    assert step(alone, seen(1, 1), held, count=2, policy=tight) == (None, "no_room")


def test_one_that_is_to_be_held_counts_for_nothing_though_it_still_serves() -> None:
    one = Rollout("web", 1, 1, Stage.REPLACING, NOW, numbers=frozenset({1}), replaces={1: 1001})
    tight = replace(POLICY, surge=0, unavailable=1)
    assert step(one, seen(1, 1), seen(2, 1, is_held=True), count=2, policy=tight) == (None, "no_room")
