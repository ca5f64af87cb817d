"""Which replica of a service is sick although it lives and passes its checks, judged by its peers. Pure.

Three ways to be sick: slow, erring, and silent (requests go in, nothing comes out). Each compares a replica with the
other replicas of its kind over the same time, so that what all have in common (a slow database, a burst of heavy
requests) condemns nobody. Never looks at a replica that fails its checks: HAProxy and `decide.py` do. What is done
about those that are sick is decided in `outlier_decision.py`; what is about to fail is `trends.py`'s.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import sqrt

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
a hundred answers of its peers took less than a fifth of that. One slow report, or two, is no reason; so where no more
than that fit into a replica, one of them has to be given up, and the silence to last for that time and 5 s."""


class Sickness(Enum):
    SLOW = "slow"
    ERRING = "erring"
    SILENT = "silent"


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
class Holds:
    """What a replica may hold: how many requests at once, and each for how long until the gateway gives it up."""

    requests_max: int = SILENT_IN_FLIGHT
    request_s_max: float = 0.0


ANY_NUMBER = Holds()
"""Enough at once that three of them are told from one slow report."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica with its looks of the last minute, oldest first, and what they come to over each of SPANS_S that they
    fill. `peers` names those that it can be compared with."""

    id: ReplicaId
    looks: Sequence[Look]
    peers: str = ""
    windows: Mapping[float, Window] = field(default_factory=dict)
    holds: Holds = ANY_NUMBER


def see(
    replica: ReplicaId, looks: Sequence[Look], peers: str = "", warm_from_s: float = 0.0, holds: Holds = ANY_NUMBER
) -> Seen:
    """Looks from before `warm_from_s` show whether it answers at all, and are not compared."""
    warm = [look for look in looks if look.at_s >= warm_from_s]
    windows = {span_s: part for span_s in SPANS_S if (part := window(warm, span_s)) is not None}
    return Seen(replica, looks, peers, windows, holds)


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a replica is outside."""

    sickness: Sickness
    message: str


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
        if time_s is not None and normal_s is not None and is_slow(time_s, normal_s):
            what = "half" if q == 0.5 else f"{1 - q:.0%}"
            return Finding(
                Sickness.SLOW,
                f"{replica.id} takes {in_ms(time_s)} or more for {what} of its requests, its peers {in_ms(normal_s)} "
                f"({own.answers} answers in {span_s:.0f} s)",
            )
    return None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def is_slow(time_s: float, normal_s: float) -> bool:
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


def certain_error_share(replica: Seen) -> float:
    """What it errs at least, by its answers of the last seconds."""
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
    wanted = min(SILENT_IN_FLIGHT, replica.holds.requests_max)
    silent_s, in_flight, given_up = _silence(replica.looks, wanted)
    # A long download, or an upload, is not given up: what moves is not silent.
    lasts_s = SILENT_S if wanted == SILENT_IN_FLIGHT else SILENT_S + replica.holds.request_s_max
    if silent_s < lasts_s or in_flight < wanted or (wanted < SILENT_IN_FLIGHT and not given_up):
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
        f"more waiting, while its peers gave {together.total()} answers (p99 {in_ms(usual_s)})",
    )


def _silence(looks: Sequence[Look], wanted: int) -> tuple[float, int, int]:
    """For how long nothing was answered although `wanted` were in flight all the time; how many were at least, and how
    many were given up meanwhile."""
    if not looks:
        return 0.0, 0, 0
    first = last = looks[-1]
    in_flight = last.in_flight
    for look in reversed(looks):
        if look.latency != last.latency or look.in_flight < wanted:
            break
        first, in_flight = look, min(in_flight, look.in_flight)
    return last.at_s - first.at_s, in_flight, _since(last.broken, first.broken)


def in_ms(time_s: float) -> str:
    return f"{time_s * 1000:.0f} ms"
