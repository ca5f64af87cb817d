"""Says in one sentence what a drill came to, from everything that its checkers found.

A fault found stands, whatever else could not be seen. Good news needs everything: a generator that kept up, an
application that was well before, faults that really happened, and checkers that could see. What was skipped is said
and changes nothing else.
Read next: `checkers`, one file for each question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from colonnade.drill.checkers import (
    availability,
    generator,
    latency,
    leaks,
    primaries,
    recovery,
    sessions,
    steady,
    strength,
    writes,
)
from colonnade.drill.checkers.finding import Finding, Verdict, counted, unseen, worst
from colonnade.drill.checkers.phases import fault_names
from colonnade.drill.record import FaultEnd, Machine, Record

CHECKERS = (writes, sessions, primaries, availability, latency, recovery, strength, leaks)
"""Every question, in the order of the report."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and what it rests on."""

    verdict: Verdict
    reason: str
    """Of the finding or the doubt that decides; `all_rules_hold` where none does."""
    sentence: str
    """With the number of operations, the kinds of faults and the machine."""
    findings: tuple[Finding, ...]
    """One for each rule that was asked about."""
    doubts: tuple[str, ...] = ()
    """Why good news cannot be given, beside what the findings say: the generator's lag, faults that failed."""
    skipped: tuple[str, ...] = ()
    """Faults that were not possible here, each with its reason."""


def judge(record: Record) -> Judgement:
    """Judge a drill by the rules of its scenario. Pure: the same record gives the same judgement."""
    late, unwell = generator.doubts(record), steady.doubts(record)
    findings = tuple(_as_believed(each, late, unwell) for checker in CHECKERS for each in checker.check(record))
    findings += _never_checked(record, findings)
    doubts = (*late, *unwell, *record.doubts, *_doubts(record))
    verdicts = [*(each.verdict for each in findings), *(Verdict.UNKNOWN for _ in doubts)]
    verdict = worst(verdicts)
    deciding = [each for each in findings if each.verdict is verdict]
    reason = "all_rules_hold" if verdict is Verdict.VALID else deciding[0].reason if deciding else "doubtful"
    names = fault_names(record.faults)
    skipped = tuple(
        f"{name}: {fault.message}"
        for name, fault in zip(names, record.faults, strict=True)
        if fault.end is FaultEnd.SKIPPED
    )
    found = Judgement(verdict, reason, "", findings, doubts, skipped)
    return replace(found, sentence=_sentence(found, record))


def _as_believed(finding: Finding, late: Sequence[str], unwell: Sequence[str]) -> Finding:
    """What the load measured is unknown, good or bad, when it cannot be believed."""
    doubts = unwell if generator.is_certain(finding) else (*late, *unwell)
    if not doubts or finding.rule not in generator.MEASURED_BY_LOAD or finding.verdict is Verdict.UNKNOWN:
        return finding
    message = f"{finding.message}; but {doubts[0]}"
    return replace(finding, verdict=Verdict.UNKNOWN, reason="load_not_believed", message=message)


def _never_checked(record: Record, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """A rule that no checker answered must not pass unnoticed."""
    answered = {each.rule for each in findings}
    return tuple(
        unseen(rule, bound, "no_checker", f"nobody checks {rule}")
        for rule, bound in record.scenario.rules.items()
        if rule not in answered
    )


def _doubts(record: Record) -> tuple[str, ...]:
    ends = [fault.end for fault in record.faults]
    doubts = [
        f"{name} failed: {fault.message}"
        for name, fault in zip(fault_names(record.faults), record.faults, strict=True)
        if fault.end is FaultEnd.FAILED
    ]
    if missed := ends.count(FaultEnd.NOT_REACHED):
        doubts.append(f"the drill ended before {missed} of {len(ends)} faults")
    elif record.is_interrupted:
        doubts.append("the drill was interrupted")
    if ends and FaultEnd.DONE not in ends:
        doubts.append("no fault came to pass")
    return tuple(doubts)


def _sentence(judgement: Judgement, record: Record) -> str:
    done = [fault for fault in record.faults if fault.end is FaultEnd.DONE]
    kinds = len({fault.planned.kind for fault in done})
    under = f"under {counted(len(done), 'fault')} of {counted(kinds, 'kind')}" if done else "without a fault"
    setting = f"{len(record.history.operations):,} operations {under}, on {place_words(record)}"
    many = len(judgement.skipped)
    skipped = f"; {counted(many, 'fault')} {'was' if many == 1 else 'were'} not possible here" if many else ""
    if judgement.verdict is Verdict.VALID:
        return f"Valid: all {counted(len(judgement.findings), 'rule')} held for {setting}{skipped}."
    deciding = [each for each in judgement.findings if each.verdict is judgement.verdict]
    told = [each.message for each in deciding] or list(judgement.doubts) or ["nothing was asked"]
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return f"{judgement.verdict.capitalize()}: {told[0]}{more}; {setting}{skipped}."


def place_words(record: Record) -> str:
    """The machine that everything ran on, or the cluster."""
    cluster = record.cluster
    if cluster is None:
        return machine_words(record.machine)
    nodes = f" of {counted(len(cluster.nodes), 'node')}" if cluster.nodes else ""
    return f"a cluster{nodes} (Kubernetes {cluster.version}, context {cluster.context})"


def machine_words(machine: Machine) -> str:
    """`2 cores, 7.6 GB, Linux 6.1.0`."""
    root = ", as root" if machine.is_root else ""
    gigabytes = machine.memory_bytes / 1e9
    return f"{counted(machine.cores, 'core')}, {gigabytes:.1f} GB, Linux {machine.kernel}{root}"
