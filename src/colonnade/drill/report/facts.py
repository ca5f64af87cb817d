"""Everything a report shows, computed once from a record: the page, the JSON and comparisons are made of it.

Moments are seconds of the load. Pure, and without any judgement: that comes from `verdict`.
Read next: `html`, `json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from colonnade.drill.checkers import availability, primaries, sessions
from colonnade.drill.checkers.latency import PhaseLatency, latency_by_phase
from colonnade.drill.checkers.phases import AFTER, BEFORE, fault_names, operations_by_phase, phases_of
from colonnade.drill.checkers.recovery import Recovery, recoveries
from colonnade.drill.checkers.writes import WriteCheck, check_writes
from colonnade.drill.load.ledger import OWN_ERRORS, Kind, Operation, Outcome
from colonnade.drill.load.schedule import session_share
from colonnade.drill.load.summary import Distribution, distribution, summarize
from colonnade.drill.record import FaultRecord, Record


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One planned fault as it was."""

    name: str
    kind: str
    end: str
    reason: str
    message: str
    injected_s: float | None
    noticed_s: float | None
    """After the injection."""
    healed_s: float | None
    whole_s: float | None
    recovery: Recovery | None


@dataclass(frozen=True, slots=True)
class KindRow:
    """What became of the reads, or of the writes."""

    kind: str
    intended: int
    ok: int
    failed: int
    unknown: int
    not_sent: int
    """By the generator's own fault."""
    retried: int
    gap_s: float | None
    gap_at_s: float | None
    windows: tuple[availability.Window, ...]

    @property
    def failed_share(self) -> float:
        asked = self.intended - self.not_sent
        return (self.failed + self.unknown - self.not_sent) / asked if asked else 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator did and what it cost."""

    arrivals: str
    workload: str
    planned_rate_per_s: float
    sent_rate_per_s: float
    duration_s: float
    write_share: float
    session_share: float
    visitors: int
    in_flight_max: int
    connections_opened: int
    dead_idle_connections: int
    not_sent: int
    lag: Distribution
    cpu_s: float
    by_replica: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Steady:
    """A quiet time, to compare the one before with the one after."""

    name: str
    duration_s: float
    ok_per_s: float
    failed_share: float
    latency: Distribution


@dataclass(frozen=True, slots=True)
class Facts:
    """The whole of it."""

    operations: int
    load: Load
    reads: KindRow
    writes: KindRow
    faults: tuple[FaultRow, ...]
    latency: tuple[PhaseLatency, ...]
    errors: Mapping[str, Mapping[str, int]]
    """By phase and class."""
    steady: tuple[Steady, ...]
    kept: WriteCheck | None
    """What became of the writes; None where it could not be read back."""
    looks: int
    """Of visitors for what they had written."""
    stale: int
    reigns: tuple[str, ...]
    """Who took writes from when to when."""


def facts_of(record: Record) -> Facts:
    """Compute everything."""
    history = record.history
    looks, stale = sessions.stale_reads(record)
    kept = None if record.held is None else check_writes(history.operations, record.held)
    return Facts(
        operations=len(history.operations),
        load=_load(record),
        reads=_kind(record, Kind.READ),
        writes=_kind(record, Kind.WRITE),
        faults=_faults(record),
        latency=latency_by_phase(record),
        errors={phase: dict(errors.most_common()) for phase, errors in availability.errors_by_phase(record).items()},
        steady=_steady(record),
        kept=kept,
        looks=looks,
        stale=len(stale),
        reigns=primaries.told_reigns(primaries.reigns(record), history.started_at + record.wall_offset_s),
    )


def _load(record: Record) -> Load:
    history, plan = record.history, record.history.plan
    summary = summarize(history)
    return Load(
        arrivals=plan.arrivals.value,
        workload=plan.workload.name,
        planned_rate_per_s=plan.rate_per_s,
        sent_rate_per_s=summary.sent_rate_per_s,
        duration_s=summary.duration_s,
        write_share=plan.write_share,
        session_share=session_share(plan),
        visitors=len({each.session for each in history.operations if each.session is not None}),
        in_flight_max=summary.in_flight_max,
        connections_opened=history.connections_opened,
        dead_idle_connections=history.dead_idle_connections,
        not_sent=sum(each.error in OWN_ERRORS for each in history.operations),
        lag=summary.lag,
        cpu_s=history.cpu_s,
        by_replica=summary.replies_by_replica,
    )


def _kind(record: Record, kind: Kind) -> KindRow:
    operations = [each for each in record.history.operations if each.kind is kind]
    outcomes = Counter(each.outcome for each in operations)
    gap = availability.longest_gap(record, kind)
    return KindRow(
        kind=kind.value,
        intended=len(operations),
        ok=outcomes[Outcome.OK],
        failed=outcomes[Outcome.FAILED],
        unknown=outcomes[Outcome.UNKNOWN],
        not_sent=sum(each.error in OWN_ERRORS for each in operations),
        retried=sum(each.retries > 0 for each in operations),
        gap_s=gap.duration_s if gap else None,
        gap_at_s=gap.start_at - record.history.started_at if gap else None,
        windows=availability.windows(record, kind),
    )


def _faults(record: Record) -> tuple[FaultRow, ...]:
    known = {each.fault: each for each in recoveries(record)}
    return tuple(
        _fault(record, fault, name, known.get(name))
        for name, fault in zip(fault_names(record.faults), record.faults, strict=True)
    )


def _fault(record: Record, fault: FaultRecord, name: str, recovery: Recovery | None) -> FaultRow:
    def since_start(at: float | None) -> float | None:
        return None if at is None else at - record.history.started_at

    return FaultRow(
        name=name,
        kind=fault.planned.kind,
        end=fault.end.value,
        reason=fault.reason,
        message=fault.message,
        injected_s=since_start(fault.injected_at),
        noticed_s=recovery.noticed_s if recovery else None,
        healed_s=since_start(fault.healed_at),
        whole_s=since_start(fault.whole_at),
        recovery=recovery,
    )


def _steady(record: Record) -> tuple[Steady, ...]:
    phases = phases_of(record)
    by_phase = operations_by_phase(record, phases)
    return tuple(
        _quiet(phase.name, phase.duration_s, by_phase[phase.name])
        for phase in phases
        if phase.name in (BEFORE, AFTER) and phase.duration_s > 0
    )


def _quiet(name: str, duration_s: float, operations: tuple[Operation, ...]) -> Steady:
    ok = [each for each in operations if each.outcome is Outcome.OK]
    failed_share = 1 - len(ok) / len(operations) if operations else 0.0
    return Steady(name, duration_s, len(ok) / duration_s, failed_share, distribution(each.latency_s for each in ok))


def figures_of(facts: Facts) -> dict[str, float]:
    """Numbers by name, units last, flat: for comparing two runs and for distributions over many."""
    figures: dict[str, float] = {
        "operations": facts.operations,
        "sent_rate_per_s": facts.load.sent_rate_per_s,
        "generator_lag_ms_p99": facts.load.lag.p99_ms,
    }
    for row in facts.latency:
        if row.from_intended.count:
            figures[f"{row.phase}: latency_ms_p50"] = row.from_intended.p50_ms
            figures[f"{row.phase}: latency_ms_p99"] = row.from_intended.p99_ms
    for fault in facts.faults:
        if fault.noticed_s is not None:
            figures[f"{fault.name}: noticed_s"] = fault.noticed_s
        if fault.recovery is None:
            continue
        if fault.recovery.whole_s is not None:
            figures[f"{fault.name}: recovery_s"] = fault.recovery.whole_s
        for phase, phase_s in fault.recovery.failover_s.items():
            figures[f"{fault.name}: {phase}_s"] = phase_s
    return figures
