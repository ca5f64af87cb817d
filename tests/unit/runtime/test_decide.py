"""What is done about a replica, for every state it can be in and whatever can be seen of it."""

from typing import Any

import pytest

from colonnade.core.errors import Bug
from colonnade.core.transitions import IllegalTransition, edge
from colonnade.runtime.decide import decide, decide_absent, describe_exit
from colonnade.runtime.state import (
    Action,
    DrainReplica,
    ForgetReplica,
    KillReplica,
    MarkReady,
    NoteUnreached,
    ObservedReplica,
    ReplicaState,
    RestartHistory,
    ScheduleRestart,
    StartReplica,
    StopReplica,
)
from colonnade.runtime.transitions import TRANSITIONS

from .builders import ID, NOW, POLICY, replica

S = ReplicaState
Row = tuple[str, ObservedReplica, bool, type[Action] | None, str]

GOALS: dict[type[Action], ReplicaState | None] = {
    StartReplica: S.STARTING,
    MarkReady: S.READY,
    DrainReplica: S.DRAINING,
    StopReplica: S.STOPPING,
    ScheduleRestart: S.WAITING,
    ForgetReplica: None,
}
"""Where each action leads; KillReplica leads nowhere by itself, its end is seen as an exit."""


def history(failures: int, delay_s: float = 0.0) -> RestartHistory:
    return RestartHistory(failures, NOW - 1, delay_s, failures)


def failing(for_s: float, **fields: Any) -> ObservedReplica:
    return replica(S.READY, for_s=9_999, unhealthy_since_s=NOW - for_s, **fields)


UNREACHED = "only_gateway_cannot_reach"
IN_VAIN = RestartHistory(in_vain=1)
MOST = {"is_sickness_widespread": True}

ROWS: list[Row] = [
    ("starting, nothing known yet", replica(S.STARTING), True, None, "starting"),
    ("starting, probe ok", replica(S.STARTING, is_probe_ok=True), True, MarkReady, "probe_succeeded"),
    ("starting, just within its time", replica(S.STARTING, for_s=59.9), True, None, "starting"),
    ("starting, its time is up", replica(S.STARTING, for_s=60.0), True, KillReplica, "start_timeout"),
    ("starting, being killed", replica(S.STARTING, for_s=61, is_being_killed=True), True, None, "being_killed"),
    (
        "starting, probe ok at last while it is being killed",
        replica(S.STARTING, for_s=61, is_being_killed=True, is_probe_ok=True),
        True,
        None,
        "being_killed",
    ),
    ("starting, unwanted", replica(S.STARTING), False, StopReplica, "not_wanted"),
    ("starting, unwanted and ready", replica(S.STARTING, is_probe_ok=True), False, StopReplica, "not_wanted"),
    (
        "starting, ended",
        replica(S.STARTING, has_exited=True, exit_code=1),
        True,
        ScheduleRestart,
        "exited_while_starting",
    ),
    (
        "starting, ended although its probe was ok",
        replica(S.STARTING, has_exited=True, is_probe_ok=True),
        True,
        ScheduleRestart,
        "exited_while_starting",
    ),
    (
        "starting, ended for the third time",
        replica(S.STARTING, has_exited=True, history=history(2)),
        True,
        ScheduleRestart,
        "crash_loop",
    ),
    ("starting, ended, unwanted", replica(S.STARTING, has_exited=True), False, ScheduleRestart, "exited_unwanted"),
    ("ready", replica(S.READY, for_s=9), True, None, "as_wanted"),
    ("ready and busy", replica(S.READY, in_flight=9), True, None, "as_wanted"),
    ("ready, checks begin to fail", replica(S.READY, unhealthy_since_s=NOW - 0.9), True, None, "unhealthy"),
    ("ready, checks fail, silent", failing(1.0, answers=False), True, KillReplica, "stuck"),
    ("ready, checks fail, not known whether it answers", failing(1.0), True, None, "unhealthy"),
    ("ready, checks fail, not known for too long", failing(2.0), True, KillReplica, "stuck"),
    ("ready, checks begin to fail, answers", failing(0.9, answers=True), True, None, UNREACHED),
    ("ready, checks fail, answers", failing(1.0, answers=True), True, NoteUnreached, UNREACHED),
    ("ready, checks fail, answers, told", failing(14.9, answers=True, is_unreached=True), True, None, UNREACHED),
    ("ready, not reached for long", failing(15.0, answers=True, is_unreached=True), True, KillReplica, UNREACHED),
    ("ready, not reached again", failing(15.0, answers=True, history=IN_VAIN), True, NoteUnreached, UNREACHED),
    (
        "ready, not reached for an hour although started anew",
        failing(3600.0, answers=True, is_unreached=True, history=IN_VAIN),
        True,
        None,
        UNREACHED,
    ),
    ("ready, fails with most, silent", failing(14.9, answers=False, **MOST), True, None, "unhealthy"),
    ("ready, fails with most, silent for long", failing(15.0, answers=False, **MOST), True, KillReplica, "stuck"),
    (
        "ready, fails with most, another one goes first",
        failing(99.0, answers=False, is_spared=True, **MOST),
        True,
        None,
        "unhealthy",
    ),
    ("ready, late with most", failing(3600.0, answers=True, **MOST), True, None, "late_with_most"),
    (
        "ready, stuck, being killed",
        replica(S.READY, unhealthy_since_s=NOW - 5, is_being_killed=True),
        True,
        None,
        "being_killed",
    ),
    ("ready, unwanted", replica(S.READY), False, DrainReplica, "not_wanted"),
    ("ready, unwanted and stuck", replica(S.READY, unhealthy_since_s=NOW - 5), False, DrainReplica, "not_wanted"),
    ("ready, to be held", replica(S.READY, is_held=True), True, DrainReplica, "asked"),
    ("ready, to be held, sick", failing(9.0, answers=False, is_held=True), True, DrainReplica, "asked"),
    ("ready, died", replica(S.READY, has_exited=True, exit_code=-9), True, ScheduleRestart, "exited"),
    (
        "ready for long, died after two failures",
        replica(S.READY, for_s=60, has_exited=True, history=history(2)),
        True,
        ScheduleRestart,
        "exited",
    ),
    (
        "ready for a moment, died after two failures",
        replica(S.READY, for_s=1, has_exited=True, history=history(2)),
        True,
        ScheduleRestart,
        "crash_loop",
    ),
    ("ready, died, unwanted", replica(S.READY, has_exited=True), False, ScheduleRestart, "exited_unwanted"),
    ("draining, gateway has not told", replica(S.DRAINING), False, None, "draining"),
    ("draining, busy", replica(S.DRAINING, for_s=9.9, in_flight=2), False, None, "draining"),
    ("draining, empty", replica(S.DRAINING, in_flight=0), False, StopReplica, "drained"),
    ("draining, its time is up", replica(S.DRAINING, for_s=10, in_flight=2), False, StopReplica, "drain_timeout"),
    ("draining, wanted again", replica(S.DRAINING, in_flight=2), True, MarkReady, "wanted_again"),
    ("draining, held", replica(S.DRAINING, for_s=9_999, in_flight=0, is_held=True), True, None, "held"),
    ("draining, held, unwanted", replica(S.DRAINING, in_flight=0, is_held=True), False, StopReplica, "drained"),
    (
        "draining, held, ended",
        replica(S.DRAINING, has_exited=True, is_held=True),
        True,
        ForgetReplica,
        "exited_while_draining",
    ),
    ("draining, ended", replica(S.DRAINING, has_exited=True), False, ForgetReplica, "exited_while_draining"),
    ("draining, ended, wanted", replica(S.DRAINING, has_exited=True), True, ForgetReplica, "exited_while_draining"),
    ("stopping", replica(S.STOPPING, for_s=99), False, None, "stopping"),
    ("stopping, wanted again", replica(S.STOPPING), True, None, "stopping"),
    ("stopping, its leader ended", replica(S.STOPPING, has_exited=True), False, None, "stopping"),
    ("stopping, over", replica(S.STOPPING, has_exited=True, has_stopped=True), False, ForgetReplica, "stopped"),
    ("stopping, over, wanted", replica(S.STOPPING, has_stopped=True), True, ForgetReplica, "stopped"),
    ("waiting, first failure", replica(S.WAITING, history=history(1)), True, StartReplica, "restart"),
    ("waiting for its back-off", replica(S.WAITING, for_s=1.9, history=history(4, 2)), True, None, "backing_off"),
    ("waiting is over", replica(S.WAITING, for_s=2.0, history=history(4, 2)), True, StartReplica, "restart"),
    ("waiting, unwanted", replica(S.WAITING, history=history(4, 2)), False, ForgetReplica, "not_wanted"),
]


@pytest.mark.parametrize(("seen", "is_wanted", "action", "reason"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS])
def test_a_replica_that_is(seen: ObservedReplica, is_wanted: bool, action: type[Action] | None, reason: str) -> None:
    decision = decide(seen, is_wanted=is_wanted, policy=POLICY, now=NOW, jitter=0.5)
    assert ([type(one) for one in decision.actions], decision.reason) == ([action] if action else [], reason)
    assert all(one.id == ID for one in decision.actions)
    assert decision.message


@pytest.mark.parametrize(("seen", "is_wanted", "action"), [row[1:4] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_decided_has_an_edge(seen: ObservedReplica, is_wanted: bool, action: type[Action] | None) -> None:
    if action in GOALS:
        assert edge(TRANSITIONS, seen.state, GOALS[action], subject="backend/3")


def test_the_first_start_has_an_edge() -> None:
    decision = decide_absent(ID)
    assert (decision.actions, decision.reason) == ((StartReplica(ID),), "wanted")
    assert edge(TRANSITIONS, None, S.STARTING, subject="backend/3")


def test_every_edge_of_the_table_is_taken_by_some_decision() -> None:
    taken = {(seen.state, GOALS[action]) for _, seen, _, action, _ in ROWS if action in GOALS} | {(None, S.STARTING)}
    assert taken == set(TRANSITIONS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (S.READY, S.STARTING, "no way from ready to starting"),
        (None, S.READY, "no way from absent to ready"),
        (S.READY, None, "no way from ready to absent"),
        (S.WAITING, S.READY, "no way from waiting to ready"),
        (S.STOPPING, S.READY, "no way from stopping to ready"),
    ],
)
def test_an_edge_that_is_not_there_is_a_bug(old: ReplicaState | None, new: ReplicaState | None, message: str) -> None:
    with pytest.raises(IllegalTransition, match=message) as caught:
        edge(TRANSITIONS, old, new, subject="backend/3")
    assert isinstance(caught.value, Bug)
    assert caught.value.subject == "backend/3"


@pytest.mark.parametrize(
    ("seen", "is_wanted", "recheck_after_s"),
    [
        (replica(S.STARTING, for_s=40), True, 20.0),
        (replica(S.READY, unhealthy_since_s=NOW - 0.5), True, 0.1),
        (replica(S.READY), True, None),
        (replica(S.DRAINING, in_flight=1), False, 0.05),
        (replica(S.STOPPING), False, None),
        (replica(S.WAITING, for_s=0.5, history=history(3, 2.0)), True, 1.5),
    ],
)
def test_the_next_look_comes_when_time_alone_changes_the_answer(
    seen: ObservedReplica, is_wanted: bool, recheck_after_s: float | None
) -> None:
    assert decide(seen, is_wanted=is_wanted, policy=POLICY, now=NOW, jitter=0.5).recheck_after_s == recheck_after_s


@pytest.mark.parametrize(
    ("seen", "is_wanted", "words"),
    [
        (replica(S.STARTING, for_s=60, probe_message="answered 503"), True, ["60 s", "limit 60 s", "answered 503"]),
        (replica(S.STARTING, for_s=60), True, ["no answer"]),
        (failing(1.5, answers=False), True, ["1.5 s", "limit 1.0 s"]),
        (failing(15.5, answers=True), True, ["answers when asked", "15.5 s", "limit 15 s", "once"]),
        (failing(1.5, answers=True), True, ["answers when asked", "1.5 s", "no requests until"]),
        (replica(S.DRAINING, for_s=12, in_flight=2), False, ["2 in flight", "12.0 s", "limit 10.0 s"]),
        (replica(S.STARTING, for_s=0.4, is_probe_ok=True), True, ["ready after 0.40 s"]),
        (replica(S.READY, has_exited=True, exit_code=-9), True, ["ended by signal 9", "starts again now"]),
        (replica(S.READY, has_exited=True, exit_code=3), True, ["exited with code 3"]),
        (replica(S.READY, has_exited=True), True, ["backend/3 ended"]),
        (replica(S.STARTING, has_exited=True, history=history(1)), True, ["in 0.5 s"]),
        (replica(S.STARTING, has_exited=True, history=history(2)), True, ["3 times in a row", "in 1.0 s"]),
    ],
)
def test_the_message_has_the_numbers_that_were_compared(
    seen: ObservedReplica, is_wanted: bool, words: list[str]
) -> None:
    message = decide(seen, is_wanted=is_wanted, policy=POLICY, now=NOW, jitter=0.5).message
    assert all(word in message for word in ["backend/3", *words]), message


def test_a_start_and_a_stop_are_never_decided_together() -> None:
    for _, seen, is_wanted, _, _ in ROWS:
        assert len(decide(seen, is_wanted=is_wanted, policy=POLICY, now=NOW, jitter=0.5).actions) <= 1


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exited with code 0"), (3, "exited with code 3"), (-15, "was ended by signal 15")]
)
def test_an_exit_is_told_as_a_code_or_a_signal(code: int, text: str) -> None:
    assert describe_exit(code) == text


def test_a_restart_that_was_for_the_gateway_is_counted_until_the_gateway_reaches_it() -> None:
    ended = failing(15.0, answers=True, is_being_killed=True, has_exited=True)
    (scheduled,) = decide(ended, is_wanted=True, policy=POLICY, now=NOW, jitter=0.5).actions
    assert isinstance(scheduled, ScheduleRestart)
    assert scheduled.history.in_vain == 1
    crashed = replica(S.STARTING, has_exited=True, history=scheduled.history)
    (again,) = decide(crashed, is_wanted=True, policy=POLICY, now=NOW, jitter=0.5).actions
    assert isinstance(again, ScheduleRestart)
    assert again.history.in_vain == 1, "a crash on the way is no proof that it is reached"
    died_by_itself = failing(5.0, answers=True, has_exited=True)
    (other,) = decide(died_by_itself, is_wanted=True, policy=POLICY, now=NOW, jitter=0.5).actions
    assert isinstance(other, ScheduleRestart)
    assert other.history.in_vain == 0


def test_a_scheduled_restart_carries_the_history_that_the_back_off_needs() -> None:
    fields: dict[str, Any] = {"has_exited": True, "history": RestartHistory(2, NOW - 1, 0.5, total_restarts=7)}
    decision = decide(replica(S.STARTING, **fields), is_wanted=True, policy=POLICY, now=NOW, jitter=0.5)
    assert decision.actions == (ScheduleRestart(ID, RestartHistory(3, NOW, 1.0, total_restarts=8)),)
