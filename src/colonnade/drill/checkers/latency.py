"""How long answers took, phase by phase, counted from when they were meant to be asked for.

The rule is about quiet times: before, between and after the faults. Beside each figure stands the one from the sent
time, which hides waiting behind a stalled system, so that both can be compared with other tools.
Read next: `phases`.
"""

from __future__ import annotations

from dataclasses import dataclass

from colonnade.drill.checkers.finding import Finding, compared, unseen
from colonnade.drill.checkers.phases import operations_by_phase, phases_of
from colonnade.drill.load.ledger import Outcome
from colonnade.drill.load.summary import Distribution, distribution
from colonnade.drill.record import Record
from colonnade.drill.scenario import RuleName

RULE = RuleName.P99_MS_MAX
SLOWEST_TOLD = 3


@dataclass(frozen=True, slots=True)
class PhaseLatency:
    """Of what was answered as expected in one phase."""

    phase: str
    is_fault: bool
    from_intended: Distribution
    from_sent: Distribution


def check(record: Record) -> tuple[Finding, ...]:
    """The quiet times' p99, where the scenario asks."""
    bound = record.scenario.rules.get(RULE)
    if bound is None:
        return ()
    phases = phases_of(record)
    by_phase = operations_by_phase(record, phases)
    quiet = [
        each for phase in phases if phase.fault is None for each in by_phase[phase.name] if each.outcome is Outcome.OK
    ]
    if not quiet:
        return (unseen(RULE, bound, "nothing_answered_in_quiet", "nothing was answered outside the faults' times"),)
    found = distribution(each.latency_s for each in quiet)
    message = (
        f"outside the faults' times 99% of {found.count} answers came within {found.p99_ms:.0f} ms "
        f"(median {found.p50_ms:.0f} ms, slowest {found.max_ms:.0f} ms)"
    )
    evidence = tuple(
        f"operation {each.id} ({each.action}) took {each.latency_s * 1e3:.0f} ms, "
        f"meant for {each.intended_at - record.history.started_at:.3f} s"
        for each in sorted(quiet, key=lambda each: -each.latency_s)[:SLOWEST_TOLD]
        if each.latency_s * 1e3 > bound
    )
    return (compared(RULE, found.p99_ms, bound, message, evidence),)


def latency_by_phase(record: Record) -> tuple[PhaseLatency, ...]:
    """For the report."""
    phases = phases_of(record)
    by_phase = operations_by_phase(record, phases)
    rows = []
    for phase in phases:
        answered = [each for each in by_phase[phase.name] if each.outcome is Outcome.OK]
        rows.append(
            PhaseLatency(
                phase.name,
                phase.fault is not None,
                distribution(each.latency_s for each in answered),
                distribution(each.done_at - each.sent_at for each in answered if each.sent_at is not None),
            )
        )
    return tuple(rows)
