"""What is done about replicas that are sick beside their peers: one at a time is replaced, never more than a part of a
pool, and nobody where most of it is sick. Pure. Who is sick is found in `outliers.py`; how it was seen and what becomes
of the decision is for `system/sickness.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from colonnade.core.decision import Decision
from colonnade.runtime.outliers import Finding, Seen, Sickness, certain_error_share, in_ms, is_slow, usual_latency_s
from colonnade.runtime.state import ReplicaId

WIDESPREAD_ERRORS_SHARE = 0.1
"""A replica that certainly errs more than this is sick by itself, whatever its peers do."""

REPLACED_WITHIN_S = 300.0
REPLACED_SHARE = 1 / 3
"""Of a pool at most a third (one at least) is replaced in five minutes: should every judgement here be wrong, the pool
is still there."""

AGAIN_AFTER_S = 600.0
AGAIN_AFTER_S_MAX = 4 * 3600.0
"""The same replica is not replaced again for ten minutes, and twice as long each time: what comes back at once, its
core or its neighbour say, is not mended by a new process."""


HELD_BACK = ("one_at_a_time", "enough_replaced", "replaced_lately")
"""Reasons of decisions that do nothing although a replica is sick."""

LASTS_S: Mapping[Sickness, float] = {Sickness.SLOW: 4.0, Sickness.ERRING: 2.0, Sickness.SILENT: 0.0}
"""A replica is outside for this long, at each look, before something is done. Silence has lasted when it is found; a
share of errors is certain by its count; a latency may be of a short squeeze, so it must fill most of a span."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One that was begun because a replica was sick, or was expected to be soon."""

    id: ReplicaId
    at_s: float
    is_foreseen: bool = False
    """A new process does mend what was foreseen, so this says nothing against doing it again."""


@dataclass(frozen=True, slots=True)
class ReplaceReplica:
    """Take it out of rotation, let it finish, start it anew."""

    id: ReplicaId


@dataclass(frozen=True, slots=True)
class EndReplica:
    """Kill it, so that what it holds can be sent elsewhere; then start it anew."""

    id: ReplicaId


Action = ReplaceReplica | EndReplica


@dataclass(frozen=True, slots=True)
class Pool:
    """What is decided from: the replicas in rotation that can be judged, what was found and since when."""

    service: str
    seen: Sequence[Seen]
    findings: Mapping[ReplicaId, Finding]
    outside_since_s: Mapping[ReplicaId, float]
    usual_s: float | None = None
    """Median latency of the pool as it usually is; None while nobody knows."""


def decide(pool: Pool, past: Sequence[Replacement], now: float, *, is_whole: bool) -> Decision[Action]:
    """At most one replica, the one that is outside for longest. `is_whole`: every replica that is wanted serves."""
    count = len(pool.seen)
    if (together := sick_together(pool)) is not None:
        return Decision((), "pool_sick_together", together)
    outside = [replica for replica in sorted(pool.findings) if _has_lasted(pool, replica, now)]
    if (together := slow_together(pool)) is not None:
        outside = [replica for replica in outside if pool.findings[replica].sickness is not Sickness.SLOW]
        if not outside:
            return Decision((), "pool_sick_together", together)
    if not outside:
        return Decision((), "as_its_peers", f"none of {count} replicas of {pool.service} is outside for long")
    outside.sort(key=lambda replica: pool.outside_since_s[replica])
    message = pool.findings[outside[0]].message
    if not is_whole:
        return Decision((), "one_at_a_time", f"{message}; another replica of {pool.service} is missing already")
    if (enough := enough_replaced(pool.service, count, past, now)) is not None:
        return Decision((), "enough_replaced", f"{message}; {enough}")
    due = next((replica for replica in outside if again_after_s(replica, past, now) <= 0), None)
    if due is None:
        wait_s = again_after_s(outside[0], past, now)
        return Decision(
            (), "replaced_lately", f"{message}; it was replaced and that did not help: not again for {wait_s:.0f} s"
        )
    finding = pool.findings[due]
    # What is silent would not finish what it has: only its end lets that be sent elsewhere.
    action: Action = EndReplica(due) if finding.sickness is Sickness.SILENT else ReplaceReplica(due)
    return Decision((action,), f"replica_{finding.sickness.value}", finding.message)


def enough_replaced(service: str, count: int, past: Sequence[Replacement], now: float) -> str | None:
    """Why none of `count` replicas is replaced now: others were just before. None when one may be."""
    recent = sum(1 for one in past if one.id.service == service and now - one.at_s < REPLACED_WITHIN_S)
    if recent < max(1, int(count * REPLACED_SHARE)):
        return None
    return f"{recent} of {count} replicas were replaced in the last {REPLACED_WITHIN_S:.0f} s"


def _has_lasted(pool: Pool, replica: ReplicaId, now: float) -> bool:
    since = pool.outside_since_s.get(replica)
    return since is not None and now - since >= LASTS_S[pool.findings[replica].sickness]


def again_after_s(replica: ReplicaId, past: Sequence[Replacement], now: float) -> float:
    """How long this replica may not be replaced again; 0 or less when it may."""
    moments = sorted(one.at_s for one in past if one.id == replica and not one.is_foreseen)
    if not moments:
        return 0.0
    return moments[-1] + min(AGAIN_AFTER_S_MAX, AGAIN_AFTER_S * 2.0 ** min(len(moments) - 1, 16)) - now


def sick_together(pool: Pool) -> str | None:
    """Why most of the pool counts as sick, so that nobody is taken out of it; None when most of it is well."""
    count = len(pool.seen)
    if count < 2:
        return None
    rest = "the cause is probably shared, nobody is replaced"
    outside = len(pool.findings)
    if 2 * outside > count:
        return f"{outside} of {count} replicas of {pool.service} look sick at once: {rest}"
    erring = [share for seen in pool.seen if (share := certain_error_share(seen)) >= WIDESPREAD_ERRORS_SHARE]
    if 2 * len(erring) > count:
        return (
            f"{len(erring)} of {count} replicas of {pool.service} answer at least "
            f"{min(erring):.0%} of their requests with errors: {rest}"
        )
    return None


def slow_together(pool: Pool) -> str | None:
    """Why no replica is taken out for being slow: its peers are far from what they usually are as well."""
    present_s = usual_latency_s(pool.seen)
    if pool.usual_s is None or present_s is None or not is_slow(present_s, pool.usual_s):
        return None
    return (
        f"the median replica of {pool.service} takes {in_ms(present_s)}, usually {in_ms(pool.usual_s)}:"
        " the cause is probably shared, nobody is replaced for being slow"
    )
