"""Says in one sentence what a drill came to, from everything that its checkers found.

A fault found stands, whatever else could not be seen. Good news needs everything: a generator that kept up, faults
that really happened, and checkers that could see. What was skipped is said and changes nothing else.
Read next: `checkers`, one file for each question.
"""

from __future__ import annotations

from dataclasses import dataclass

from colonnade.drill.checkers.finding import Finding, Verdict
from colonnade.drill.record import Record


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and what it rests on."""

    verdict: Verdict
    reason: str
    sentence: str
    """With the number of operations, the kinds of faults and the machine."""
    findings: tuple[Finding, ...]
    """One for each rule of the scenario, in its order."""
    doubts: tuple[str, ...] = ()
    """Why good news cannot be given, beside what the findings say: the generator's lag, faults that failed."""
    skipped: tuple[str, ...] = ()
    """Faults that were not possible here, each with its reason."""


def judge(record: Record) -> Judgement:
    """Judge a drill by the rules of its scenario. Pure: the same record gives the same judgement."""
    return Judgement(Verdict.UNKNOWN, "nothing_checked", f"Nothing is known of {record.run_id}.", ())
