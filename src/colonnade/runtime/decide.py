"""What to do about one replica now. Pure: no clock, no randomness, no I/O.

One function per state, each returning the actions with the reason and one sentence. Replicas are independent of each
other here; what concerns a whole service (how many, of which version) is `wanted.py` and `rollout.py`.
"""

from __future__ import annotations

from dataclasses import replace

from colonnade.core.decision import Decision
from colonnade.runtime.restart import is_crash_loop, next_restart
from colonnade.runtime.state import (
    Action,
    DrainReplica,
    ForgetReplica,
    KillReplica,
    MarkReady,
    NoteUnreached,
    ObservedReplica,
    ReplicaId,
    ReplicaPolicy,
    ReplicaState,
    ScheduleRestart,
    StartReplica,
    StopReplica,
)

NOTHING: Decision[Action] = Decision((), "as_wanted", "observed and desired agree")
UNREACHED_RESTARTS_MAX = 1
"""A new process behind a way that carries nothing is as unreachable as the old one: one is enough to know."""

BEING_KILLED: Decision[Action] = Decision((), "being_killed", "SIGKILL is under way")


def decide_absent(replica: ReplicaId) -> Decision[Action]:
    return Decision((StartReplica(replica),), "wanted", f"{replica} is wanted and not there")


def decide(
    replica: ObservedReplica, *, is_wanted: bool, policy: ReplicaPolicy, now: float, jitter: float
) -> Decision[Action]:
    """The next step for a replica that exists. `jitter` in [0, 1) is only used for the restart delay."""
    match replica.state:
        case ReplicaState.STARTING:
            return _starting(replica, is_wanted, policy, now, jitter)
        case ReplicaState.READY:
            return _ready(replica, is_wanted, policy, now, jitter)
        case ReplicaState.DRAINING:
            return _draining(replica, is_wanted, policy, now)
        case ReplicaState.STOPPING:
            return _stopping(replica)
        case ReplicaState.WAITING:
            return _waiting(replica, is_wanted, now)


def _starting(
    replica: ObservedReplica, is_wanted: bool, policy: ReplicaPolicy, now: float, jitter: float
) -> Decision[Action]:
    if replica.has_exited:
        return _restart(replica, is_wanted, now, 0.0, jitter, "exited_while_starting")
    if not is_wanted:
        return Decision((StopReplica(replica.id),), "not_wanted", f"{replica.id} is no longer wanted and never served")
    if replica.is_probe_ok and not replica.is_being_killed:
        took_s = now - replica.started_at_s
        return Decision((MarkReady(replica.id),), "probe_succeeded", f"{replica.id} is ready after {took_s:.2f} s")
    if replica.is_being_killed:
        return BEING_KILLED
    elapsed_s = now - replica.started_at_s
    if elapsed_s >= policy.start_timeout_s:
        return Decision(
            (KillReplica(replica.id),),
            "start_timeout",
            f"{replica.id} was not ready after {elapsed_s:.0f} s (limit {policy.start_timeout_s:.0f} s): "
            f"{replica.probe_message or 'no answer'}",
        )
    return Decision((), "starting", f"{replica.id} starts since {elapsed_s:.1f} s", policy.start_timeout_s - elapsed_s)


def _ready(
    replica: ObservedReplica, is_wanted: bool, policy: ReplicaPolicy, now: float, jitter: float
) -> Decision[Action]:
    ready_for_s = now - replica.state_since_s
    if replica.has_exited:
        return _restart(replica, is_wanted, now, ready_for_s, jitter, "exited")
    if not is_wanted:
        return Decision((DrainReplica(replica.id),), "not_wanted", f"{replica.id} is no longer wanted")
    if replica.is_being_killed:
        return BEING_KILLED
    if replica.is_held:
        message = f"{replica.id} is drained, as asked: it gets no more requests, and stays until it is given back"
        return Decision((DrainReplica(replica.id),), "asked", message)
    if replica.unhealthy_since_s is not None:
        unhealthy_s = now - replica.unhealthy_since_s
        if replica.answers:
            return _unreached(replica, policy, unhealthy_s)
        return _unhealthy(replica, policy, unhealthy_s)
    return NOTHING


def _unhealthy(replica: ObservedReplica, policy: ReplicaPolicy, unhealthy_s: float) -> Decision[Action]:
    limit_s = policy.widespread_timeout_s if replica.is_sickness_widespread else policy.unhealthy_timeout_s
    # It is asked as soon as its checks fail. When no answer is known although it should be, we stood still ourselves;
    # as long again is enough to find out.
    is_known = replica.answers is not None or unhealthy_s >= 2 * limit_s
    if unhealthy_s >= limit_s and is_known and not replica.is_spared:
        return Decision(
            (KillReplica(replica.id),),
            "stuck",
            f"{replica.id} runs but fails its health checks for {unhealthy_s:.1f} s (limit {limit_s:.1f} s)",
        )
    return Decision((), "unhealthy", f"{replica.id} fails its checks for {unhealthy_s:.1f} s", 0.1)


def _unreached(replica: ObservedReplica, policy: ReplicaPolicy, unhealthy_s: float) -> Decision[Action]:
    """It answers us. The gateway keeps it out of rotation for as long as its own checks fail, and that is all there is
    to do, but for one new process."""
    what = f"{replica.id} answers when asked directly, and fails the gateway's checks for {unhealthy_s:.1f} s"
    if replica.is_sickness_widespread:
        return Decision((), "late_with_most", f"{what}, as most of its service does: it goes on")
    if unhealthy_s >= policy.unreached_timeout_s and replica.history.in_vain < UNREACHED_RESTARTS_MAX:
        message = f"{what} (limit {policy.unreached_timeout_s:.0f} s): it is started anew, this once"
        return Decision((KillReplica(replica.id),), "only_gateway_cannot_reach", message)
    if not replica.is_unreached and unhealthy_s >= policy.unhealthy_timeout_s:
        message = f"{what}: it gets no requests until they pass"
        return Decision((NoteUnreached(replica.id),), "only_gateway_cannot_reach", message)
    return Decision((), "only_gateway_cannot_reach", what, 0.5)


def _draining(replica: ObservedReplica, is_wanted: bool, policy: ReplicaPolicy, now: float) -> Decision[Action]:
    if replica.has_exited:
        return Decision((ForgetReplica(replica.id),), "exited_while_draining", f"{replica.id} ended by itself")
    if is_wanted and replica.is_held:
        return Decision((), "held", f"{replica.id} stays out of rotation, as asked")
    if is_wanted:
        return Decision((MarkReady(replica.id),), "wanted_again", f"{replica.id} is wanted again before it stopped")
    drained_s = now - replica.state_since_s
    if replica.in_flight == 0:
        return Decision((StopReplica(replica.id),), "drained", f"{replica.id} has nothing in flight")
    if drained_s >= policy.drain_timeout_s:
        return Decision(
            (StopReplica(replica.id),),
            "drain_timeout",
            f"{replica.id} still has {replica.in_flight} in flight after {drained_s:.1f} s "
            f"(limit {policy.drain_timeout_s:.1f} s)",
        )
    return Decision((), "draining", f"{replica.id} has {replica.in_flight} in flight", 0.05)


def _stopping(replica: ObservedReplica) -> Decision[Action]:
    if replica.has_stopped:
        return Decision((ForgetReplica(replica.id),), "stopped", f"{replica.id} has stopped")
    return Decision((), "stopping", f"{replica.id} is stopping")


def _waiting(replica: ObservedReplica, is_wanted: bool, now: float) -> Decision[Action]:
    if not is_wanted:
        return Decision((ForgetReplica(replica.id),), "not_wanted", f"{replica.id} is no longer wanted")
    left_s = replica.state_since_s + replica.history.restart_delay_s - now
    if left_s <= 0:
        return Decision(
            (StartReplica(replica.id),),
            "restart",
            f"{replica.id} starts again (restart {replica.history.total_restarts})",
        )
    return Decision((), "backing_off", f"{replica.id} starts again in {left_s:.1f} s", left_s)


def _restart(
    replica: ObservedReplica, is_wanted: bool, now: float, ready_for_s: float, jitter: float, reason: str
) -> Decision[Action]:
    history = next_restart(replica.history, now, ready_for_s, jitter)
    if replica.answers and replica.is_being_killed:
        history = replace(history, in_vain=history.in_vain + 1)
    how = "ended" if replica.exit_code is None else describe_exit(replica.exit_code)
    message = f"{replica.id} {how}"
    if not is_wanted:
        return Decision((ScheduleRestart(replica.id, history),), "exited_unwanted", message)
    if is_crash_loop(history):
        return Decision(
            (ScheduleRestart(replica.id, history),),
            "crash_loop",
            f"{message}, {history.failures_in_a_row} times in a row; next start in {history.restart_delay_s:.1f} s",
        )
    when = "now" if history.restart_delay_s == 0 else f"in {history.restart_delay_s:.1f} s"
    return Decision((ScheduleRestart(replica.id, history),), reason, f"{message}; it starts again {when}")


def describe_exit(exit_code: int) -> str:
    if exit_code < 0:
        return f"was ended by signal {-exit_code}"
    return f"exited with code {exit_code}"
