"""What a history says: rates, latencies, errors, gaps, and whether the generator itself can be believed.

Latency counts from the intended time. Percentiles are observed values (nearest rank), never interpolated between.
Pure: reads no clock and judges no system; it only says when its own figures are not to be judged by.
Read next: `check` for the judgement on writes, `lines` for the same figures in words.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import OWN_ERRORS, Kind, Operation, Outcome

LAG_MS_P99_MAX = 10.0
"""Above this the generator distorts what it measures. One core keeps p99 below 5 ms at 3,000/s; twice that is still
small beside the objectives of web applications (100 ms and more)."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Observed values in milliseconds. All zero when `count` is."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time without a single success.

    `intended_count` is how many operations were meant to be sent in it: a gap in which nobody asked shows nothing.
    """

    start_at: float
    end_at: float
    intended_count: int
    is_open: bool
    """No success followed before the run ended: the true gap may be longer."""

    @property
    def duration_s(self) -> float:
        return self.end_at - self.start_at


@dataclass(frozen=True, slots=True)
class KindSummary:
    """Figures of the reads, or of the writes."""

    intended: int
    ok: int
    failed: int
    unknown: int
    retried: int
    latency_ok: Distribution
    """Of the operations that were answered as expected."""
    latency_all: Distribution
    """Of everything that was intended: a failure after ten seconds has cost its user ten seconds."""
    errors: dict[str, int]
    longest_gap: Gap | None
    """None when nothing of this kind was intended."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole run. Judge nothing by it while `doubts` is not empty."""

    planned_rate_per_s: float
    sent_rate_per_s: float
    """Operations whose bytes left, over the time in which they were meant to."""
    duration_s: float
    reads: KindSummary
    writes: KindSummary
    lag: Distribution
    in_flight_max: int
    cpu_s: float
    connections_opened: int
    dead_idle_connections: int
    replies_by_replica: dict[str, int]
    doubts: tuple[str, ...]
    """Why these figures must not be judged by; empty when they can be."""


def summarize(history: History, *, lag_ms_p99_max: float = LAG_MS_P99_MAX) -> Summary:
    """Compute every figure of a run."""
    operations = history.operations
    sending_s = (history.stopped_at or history.started_at + history.plan.duration_s) - history.started_at
    lag = distribution(operation.lag_s for operation in operations)
    return Summary(
        planned_rate_per_s=history.plan.rate_per_s,
        sent_rate_per_s=sum(operation.sent_at is not None for operation in operations) / sending_s,
        duration_s=sending_s,
        reads=_summarize_kind(history, Kind.READ),
        writes=_summarize_kind(history, Kind.WRITE),
        lag=lag,
        in_flight_max=in_flight_peak(operations),
        cpu_s=history.cpu_s,
        connections_opened=history.connections_opened,
        dead_idle_connections=history.dead_idle_connections,
        replies_by_replica=dict(Counter(sorted(o.served_by for o in operations if o.served_by))),
        doubts=_doubts(operations, lag, lag_ms_p99_max),
    )


def _summarize_kind(history: History, kind: Kind) -> KindSummary:
    operations = [operation for operation in history.operations if operation.kind is kind]
    outcomes = Counter(operation.outcome for operation in operations)
    return KindSummary(
        intended=len(operations),
        ok=outcomes[Outcome.OK],
        failed=outcomes[Outcome.FAILED],
        unknown=outcomes[Outcome.UNKNOWN],
        retried=sum(operation.retries > 0 for operation in operations),
        latency_ok=distribution(o.latency_s for o in operations if o.outcome is Outcome.OK),
        latency_all=distribution(operation.latency_s for operation in operations),
        errors=dict(Counter(o.error for o in operations if o.error is not None).most_common()),
        longest_gap=longest_gap(operations, history.started_at, history.ended_at) if operations else None,
    )


def _doubts(operations: Sequence[Operation], lag: Distribution, lag_ms_p99_max: float) -> tuple[str, ...]:
    doubts = []
    if not operations:
        doubts.append("no operation was sent")
    if lag.p99_ms > lag_ms_p99_max:
        doubts.append(
            f"the generator could not keep up: 1% of the operations were sent {lag.p99_ms:.1f} ms late or more "
            f"(at most {lag_ms_p99_max:g} ms is accepted)"
        )
    own = Counter(operation.error for operation in operations if operation.error in OWN_ERRORS)
    doubts += [f"{count} operations were not sent: {error}" for error, count in sorted(own.items(), key=str)]
    return tuple(doubts)


def distribution(values_s: Iterable[float]) -> Distribution:
    """Summarize durations in seconds."""
    ascending = sorted(values_s)
    if not ascending:
        return Distribution(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    p50, p90, p99, p999 = (percentile(ascending, share) * 1e3 for share in (0.5, 0.9, 0.99, 0.999))
    return Distribution(len(ascending), p50, p90, p99, p999, ascending[-1] * 1e3)


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest observed value that at least `share` of all values do not exceed (nearest rank)."""
    if not ascending or not 0 < share <= 1:
        raise ValueError(f"a percentile needs values and a share in (0, 1], got {len(ascending)} values and {share}")
    # Rounding guards against 0.07 * 100 = 7.000000000000001, which would take the rank above.
    rank = math.ceil(round(share * len(ascending), 9))
    return ascending[max(rank, 1) - 1]


def longest_gap(operations: Iterable[Operation], start_at: float, end_at: float) -> Gap:
    """The longest time within [start_at, end_at] without the completion of an operation that went well.

    The edges count: a run that begins or ends without success has a gap there.
    """
    known = list(operations)
    moments = sorted(o.done_at for o in known if o.outcome is Outcome.OK and start_at <= o.done_at <= end_at)
    edges = [start_at, *moments, end_at]
    left = max(range(len(edges) - 1), key=lambda index: edges[index + 1] - edges[index])
    return _gap(known, edges[left], edges[left + 1], is_open=left == len(edges) - 2)


def gap_around(operations: Iterable[Operation], moment: float, *, within_s: float) -> Gap:
    """The longest time between two successive successes that a fault at `moment` can have caused.

    Looks at the gaps that end after the moment and begin within `within_s` of it. A gap that no success ended lasts
    until the last known operation was over, and says so.
    """
    known = list(operations)
    moments = sorted(operation.done_at for operation in known if operation.outcome is Outcome.OK)
    last_at = max([moment, *(operation.done_at for operation in known)])
    before = [at for at in moments if at <= moment]
    after = [at for at in moments if at > moment]
    start_at = before[-1] if before else min([moment, *(operation.intended_at for operation in known)])
    longest = _gap(known, start_at, start_at, is_open=False)
    for end_at, is_open in [*((at, False) for at in after), (last_at, True)]:
        if start_at > moment + within_s:
            break
        if end_at - start_at > longest.duration_s:
            longest = _gap(known, start_at, end_at, is_open=is_open)
        start_at = end_at
    return longest


def _gap(operations: Iterable[Operation], start_at: float, end_at: float, *, is_open: bool) -> Gap:
    intended = sum(start_at <= operation.intended_at < end_at for operation in operations)
    return Gap(start_at, end_at, intended, is_open)


def in_flight_at(operations: Iterable[Operation], moment: float) -> tuple[Operation, ...]:
    """The operations that had been sent and were not over at that moment: a fault that met none proves nothing."""
    return tuple(o for o in operations if o.sent_at is not None and o.sent_at <= moment < o.done_at)


def in_flight_peak(operations: Iterable[Operation]) -> int:
    """The most operations that were sent and not over at one time."""
    sent = [o for o in operations if o.sent_at is not None]
    # Sorting puts an end before a beginning of the same moment, so that the two do not overlap.
    steps = sorted([(o.sent_at or 0.0, 1) for o in sent] + [(o.done_at, -1) for o in sent])
    level = peak = 0
    for _, step in steps:
        level += step
        peak = max(peak, level)
    return peak
