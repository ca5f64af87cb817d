"""Which replica of a service is sick although it lives and passes its checks, judged by its peers. Pure.

Three ways to be sick: slow, erring, and silent (requests go in, nothing comes out). Each compares a replica with the
other replicas of its kind over the same time, so that what all have in common (a slow database, a burst of heavy
requests) condemns nobody. Never decides about a replica that fails its checks: HAProxy and `decide.py` do. How it
was seen (`Look`) and what becomes of the decision is for `system/sickness.py`; what is about to fail is `trends.py`'s.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import sqrt

from colonnade.core.decision import Decision
from colonnade.core.histogram import Histogram
from colonnade.runtime.state import ReplicaId

SPANS_S = (5.0, 20.0, 60.0)
"""How far back is looked: the shortest span in which there is enough to judge by. Five seconds hold a pause of the
garbage collector or of a disk without being made of it; beyond a minute it is another situation."""

ANSWERS_MIN = 20
"""For a median of latencies: with fewer, a mix of quick and slow pages gives the odd one out by chance."""

SLOW_QUANTILES = ((0.5, ANSWERS_MIN), (0.9, 5 * ANSWERS_MIN))
"""Compared are the median and, with more answers, the time of the slowest tenth: a replica that is slow for some of its
requests only has a good median."""

SLOW_RATIO = 3.0
"""Beyond the difference between fast and slow cores of one machine (about 2), and between neighbours on a busy one."""

SLOW_BY_S = 0.025
"""At least so much slower: below, nobody who waits for a page notices."""

ERRORS_MIN = 4
ERRORS_MORE_SHARE = 0.02
ERRORS_RATIO = 3.0
"""Erring: with certainty 2 percentage points, and three times, above its peers. Envoy asks for 85 % of failures or for
five in a row; that misses a replica with one broken connection of many in its pool."""

CERTAINTY_Z = 3.0
"""Standard deviations of the bounds on a share: once in 700 comparisons by chance, and it has to last."""

SILENT_S = 5.0
SILENT_IN_FLIGHT = 3
SILENT_PEERS_ANSWERS = 100
SILENT_RATIO = 5.0
"""Silent: nothing answered for 5 s with at least 3 requests waiting for it all the time, while the slowest hundredth of
a hundred answers of its peers took less than a fifth of that. One slow report, or two, is no reason."""


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


class Sickness(Enum):
    SLOW = "slow"
    ERRING = "erring"
    SILENT = "silent"


LASTS_S: Mapping[Sickness, float] = {Sickness.SLOW: 4.0, Sickness.ERRING: 2.0, Sickness.SILENT: 0.0}
"""A replica is outside for this long, at each look, before something is done. Silence has lasted when it is found; a
share of errors is certain by its count; a latency may be of a short squeeze, so it must fill most of a span."""


@dataclass(frozen=True, slots=True)
class Look:
    """One replica at one moment. Counts since its gateway began to count; `latency` counts every answer."""

    at_s: float
    latency: Histogram
    server_errors: int
    """Answers with a status from 500."""
    broken: int
    """Requests without an answer: refused, cut off, or given up."""
    in_flight: int


@dataclass(frozen=True, slots=True)
class Window:
    """What happened to one replica between two looks."""

    latency: Histogram
    answers: int
    failed: int
    """Answers from 500 and requests without an answer."""
    requests: int
    times_s: tuple[float | None, ...]
    """Its latencies at SLOW_QUANTILES; None with too few answers for one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica with its looks of the last minute, oldest first, and what they come to over each of SPANS_S that they
    fill. `peers` names those that it can be compared with."""

    id: ReplicaId
    looks: Sequence[Look]
    peers: str = ""
    windows: Mapping[float, Window] = field(default_factory=dict)


def see(replica: ReplicaId, looks: Sequence[Look], peers: str = "", warm_from_s: float = 0.0) -> Seen:
    """Looks from before `warm_from_s` show whether it answers at all, and are not compared."""
    warm = [look for look in looks if look.at_s >= warm_from_s]
    windows = {span_s: part for span_s in SPANS_S if (part := window(warm, span_s)) is not None}
    return Seen(replica, looks, peers, windows)


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a replica is outside."""

    sickness: Sickness
    message: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """One that was begun because a replica was sick."""

    id: ReplicaId
    at_s: float


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
    recent = sum(1 for one in past if one.id.service == pool.service and now - one.at_s < REPLACED_WITHIN_S)
    if recent >= max(1, int(count * REPLACED_SHARE)):
        return Decision(
            (),
            "enough_replaced",
            f"{message}; {recent} of {count} replicas were replaced in the last {REPLACED_WITHIN_S:.0f} s",
        )
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


def _has_lasted(pool: Pool, replica: ReplicaId, now: float) -> bool:
    since = pool.outside_since_s.get(replica)
    return since is not None and now - since >= LASTS_S[pool.findings[replica].sickness]


def again_after_s(replica: ReplicaId, past: Sequence[Replacement], now: float) -> float:
    """How long this replica may not be replaced again; 0 or less when it may."""
    moments = sorted(one.at_s for one in past if one.id == replica)
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
    erring = [share for seen in pool.seen if (share := _certain_share(seen)) >= WIDESPREAD_ERRORS_SHARE]
    if 2 * len(erring) > count:
        return (
            f"{len(erring)} of {count} replicas of {pool.service} answer at least "
            f"{min(erring):.0%} of their requests with errors: {rest}"
        )
    return None


def slow_together(pool: Pool) -> str | None:
    """Why no replica is taken out for being slow: its peers are far from what they usually are as well."""
    present_s = usual_latency_s(pool.seen)
    if pool.usual_s is None or present_s is None or not _is_slow(present_s, pool.usual_s):
        return None
    return (
        f"the median replica of {pool.service} takes {_ms(present_s)}, usually {_ms(pool.usual_s)}:"
        " the cause is probably shared, nobody is replaced for being slow"
    )


def usual_latency_s(seen: Sequence[Seen]) -> float | None:
    """The median replica's median latency of the last seconds; None where fewer than half have enough answers."""
    medians = [time_s for replica in seen if (time_s := _median_latency_s(replica, SPANS_S[0])) is not None]
    return statistics.median(medians) if medians and 2 * len(medians) >= len(seen) else None


def beside_peers(replica: Seen, pool: Sequence[Seen]) -> float | None:
    """Its median latency as a multiple of its peers'; None where there is not enough to tell."""
    own_s = _median_latency_s(replica, SPANS_S[1])
    normal_s = _median(_median_latency_s(peer, SPANS_S[1]) for peer in peers_of(replica, pool))
    return own_s / normal_s if own_s is not None and normal_s else None


def _median_latency_s(replica: Seen, span_s: float) -> float | None:
    part = replica.windows.get(span_s)
    return part.times_s[0] if part is not None else None


def peers_of(replica: Seen, pool: Sequence[Seen]) -> list[Seen]:
    return [other for other in pool if other.id != replica.id and other.peers == replica.peers]


# One replica


def find(replica: Seen, pool: Sequence[Seen]) -> Finding | None:
    """What is wrong with a replica in comparison with its peers; None when nothing is, or when nobody can tell."""
    peers = peers_of(replica, pool)
    if not peers:
        return None
    return _silent(replica, peers) or _erring(replica, peers) or _slow(replica, peers)


def window(looks: Sequence[Look], span_s: float) -> Window | None:
    """The last `span_s` seconds; None when they were not looked at from their beginning."""
    if not looks or looks[-1].at_s - looks[0].at_s < span_s:
        return None
    last = looks[-1]
    first = next(look for look in reversed(looks) if last.at_s - look.at_s >= span_s)
    latency = last.latency.since(first.latency)
    broken = _since(last.broken, first.broken)
    answers = latency.total()
    failed = min(answers, _since(last.server_errors, first.server_errors)) + broken
    times_s = tuple(latency.quantile_s(q) if answers >= answers_min else None for q, answers_min in SLOW_QUANTILES)
    return Window(latency, answers, failed, answers + broken, times_s)


def recent(replica: Seen, answers_min: int) -> Window | None:
    """The shortest span with so many answers; None when even the longest has fewer."""
    return next((part for part in replica.windows.values() if part.answers >= answers_min), None)


def _since(count: int, earlier: int) -> int:
    """A smaller count means that the gateway was restarted and counts anew."""
    return count - earlier if count >= earlier else count


def _slow(replica: Seen, peers: Sequence[Seen]) -> Finding | None:
    for index, (q, _) in enumerate(SLOW_QUANTILES):
        # The shortest span with enough answers decides.
        span_s = next((span_s for span_s, part in replica.windows.items() if part.times_s[index] is not None), None)
        if span_s is None:
            continue
        own = replica.windows[span_s]
        normal_s = _median(peer.windows[span_s].times_s[index] for peer in peers if span_s in peer.windows)
        time_s = own.times_s[index]
        if time_s is not None and normal_s is not None and _is_slow(time_s, normal_s):
            what = "half" if q == 0.5 else f"{1 - q:.0%}"
            return Finding(
                Sickness.SLOW,
                f"{replica.id} takes {_ms(time_s)} or more for {what} of its requests, its peers {_ms(normal_s)} "
                f"({own.answers} answers in {span_s:.0f} s)",
            )
    return None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _is_slow(time_s: float, normal_s: float) -> bool:
    return time_s >= SLOW_RATIO * normal_s and time_s - normal_s >= SLOW_BY_S


def _erring(replica: Seen, peers: Sequence[Seen]) -> Finding | None:
    for span_s in SPANS_S:
        own = replica.windows.get(span_s)
        others = [part for peer in peers if (part := peer.windows.get(span_s)) is not None and part.requests]
        if own is None or not others or own.failed < ERRORS_MIN:
            continue
        normal = statistics.median(part.failed / part.requests for part in others)
        # What the peers' share may be in truth, by all that they were asked.
        possible = share_bounds(round(normal * (asked := sum(part.requests for part in others))), asked)[1]
        limit = max(ERRORS_RATIO * normal, possible + ERRORS_MORE_SHARE)
        if share_bounds(own.failed, own.requests)[0] > limit:
            return Finding(
                Sickness.ERRING,
                f"{replica.id} failed {own.failed} of {own.requests} requests in {span_s:.0f} s "
                f"({own.failed / own.requests:.0%}), its peers {normal:.1%}",
            )
    return None


def _certain_share(replica: Seen) -> float:
    part = replica.windows.get(SPANS_S[0])
    return share_bounds(part.failed, part.requests)[0] if part is not None and part.requests else 0.0


def share_bounds(hits: int, count: int, z: float = CERTAINTY_Z) -> tuple[float, float]:
    """Between which shares the true one lies, when `hits` of `count` were seen (Wilson 1927, score interval): it is
    right for small counts and for shares near 0 and 1, where hits / count ± z·σ is not."""
    if count == 0:
        return 0.0, 1.0
    p = hits / count
    centre = p + z * z / (2 * count)
    half = z * sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _silent(replica: Seen, peers: Sequence[Seen]) -> Finding | None:
    silent_s, in_flight = _silence(replica.looks)
    if silent_s < SILENT_S or in_flight < SILENT_IN_FLIGHT:
        return None
    others = [part for peer in peers if (part := window(peer.looks, silent_s)) is not None]
    together = Histogram()
    for part in others:
        together = together.plus(part.latency)
    usual_s = together.quantile_s(0.99)
    if together.total() < SILENT_PEERS_ANSWERS or usual_s is None or silent_s < SILENT_RATIO * usual_s:
        return None
    return Finding(
        Sickness.SILENT,
        f"{replica.id} passes its checks and has answered nothing for {silent_s:.0f} s with {in_flight} requests or "
        f"more waiting, while its peers gave {together.total()} answers (p99 {_ms(usual_s)})",
    )


def _silence(looks: Sequence[Look]) -> tuple[float, int]:
    """For how long nothing was answered although something was in flight all the time, and how much at least."""
    if not looks:
        return 0.0, 0
    last = looks[-1]
    since, in_flight = last.at_s, last.in_flight
    for look in reversed(looks):
        if look.latency != last.latency or look.in_flight < SILENT_IN_FLIGHT:
            break
        since, in_flight = look.at_s, min(in_flight, look.in_flight)
    return last.at_s - since, in_flight


def _ms(time_s: float) -> str:
    return f"{time_s * 1000:.0f} ms"
