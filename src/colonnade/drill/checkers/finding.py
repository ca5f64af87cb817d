"""What a checker says: a finding for each rule it was asked about, with the numbers and the first things that show it.

Verdicts are ordered by how much they weigh: one fault found outweighs everything that could not be seen, and what
could not be seen outweighs everything that went well.
Read next: `writes` for the oldest checker, `drill/verdict.py` for what is made of all findings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from colonnade.drill.scenario import RuleName

EVIDENCE_MAX = 5
"""Of one finding; the first ones tell what to look for, and the record on disk has all."""


class Verdict(StrEnum):
    """What a checker can say."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


_WEIGHTS = (Verdict.VALID, Verdict.UNKNOWN, Verdict.INVALID)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that weighs most; unknown for none at all, because nothing was proved."""
    return max(verdicts, key=_WEIGHTS.index, default=Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule came to."""

    rule: RuleName
    verdict: Verdict
    value: float | None
    """What was measured, in the unit of the rule's name; None where nothing was."""
    bound: float
    """What the scenario allows."""
    reason: str
    """Stable, snake_case."""
    message: str
    """One sentence with the numbers."""
    evidence: tuple[str, ...] = ()
    """The first operations, lines or moments that show it, at most EVIDENCE_MAX; sentences."""


def compared(rule: RuleName, value: float, bound: float, message: str, evidence: tuple[str, ...] = ()) -> Finding:
    """What was measured, held against what is allowed."""
    if value <= bound:
        return Finding(rule, Verdict.VALID, value, bound, "within_bound", message, evidence[:EVIDENCE_MAX])
    return Finding(rule, Verdict.INVALID, value, bound, "above_bound", message, evidence[:EVIDENCE_MAX])


def unseen(rule: RuleName, bound: float, reason: str, message: str, evidence: tuple[str, ...] = ()) -> Finding:
    """Not enough could be seen to say anything."""
    return Finding(rule, Verdict.UNKNOWN, None, bound, reason, message, evidence[:EVIDENCE_MAX])


def counted(count: int, noun: str, more: str = "") -> str:
    """`1 fault`, `2,500 faults`; `more` is the plural where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else more or noun + 's'}"
