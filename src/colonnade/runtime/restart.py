"""When to start a dead replica again: at once the first time, then ever later, never not at all.

Pure: the jitter is passed in. A replica that had served for a while starts afresh; one that keeps dying is named a
crash loop, and is still tried every half a minute, because what it needs may come back.
"""

from __future__ import annotations

from dataclasses import replace

from colonnade.runtime.state import ObservedReplica, ReplicaState, RestartHistory

STABLE_AFTER_S = 5.0
"""Having been ready this long wipes the slate: what killed it now is a new cause. Chosen by feel."""

DELAY_FIRST_S = 0.5
DELAY_MAX_S = 30.0
"""The cap bounds how long a mended cause goes unnoticed; with it a crash loop costs two starts a minute."""

CRASH_LOOP_FAILURES = 3
"""Failures in a row from which on we call it by its name."""


def next_restart(history: RestartHistory, now: float, ready_for_s: float, jitter: float) -> RestartHistory:
    """The history after a failure at `now`, with `restart_delay_s` set.

    `ready_for_s` is how long the replica had been ready (0 when never); `jitter` in [0, 1) spreads replicas that
    died together over ±20 % of the delay. Delays: 0, 0.5, 1, 2, 4, … 30 s.
    """
    failures = 1 if ready_for_s >= STABLE_AFTER_S else history.failures_in_a_row + 1
    delay_s = 0.0
    if failures > 1:
        delay_s = min(DELAY_MAX_S, DELAY_FIRST_S * 2.0 ** min(failures - 2, 16)) * (0.8 + 0.4 * jitter)
    return replace(
        history,
        failures_in_a_row=failures,
        last_failure_at_s=now,
        restart_delay_s=delay_s,
        total_restarts=history.total_restarts + 1,
    )


def is_crash_loop(history: RestartHistory) -> bool:
    return history.failures_in_a_row >= CRASH_LOOP_FAILURES


def is_looping(replica: ObservedReplica, now: float) -> bool:
    """It failed again and again, and what it is now has not lasted long enough to say that this is over."""
    is_stable = replica.state is ReplicaState.READY and now - replica.state_since_s >= STABLE_AFTER_S
    return is_crash_loop(replica.history) and not is_stable
