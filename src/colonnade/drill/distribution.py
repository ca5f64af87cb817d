"""What a rule's figure was in many runs: one run may have been lucky. Pure.

Read next: `verdict`, of which each run has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.load.summary import percentile
from colonnade.drill.scenario import RuleName
from colonnade.drill.verdict import Judgement


@dataclass(frozen=True, slots=True)
class Spread:
    """One rule over several runs. The figures are of the runs in which something was measured; None without any."""

    rule: RuleName
    verdicts: Counter[Verdict]
    count: int
    median: float | None
    p95: float | None
    worst: float | None


def spreads_of(judgements: Sequence[Judgement]) -> Iterator[Spread]:
    """One for each rule that any of the runs was judged by, in their order."""
    findings = [finding for judgement in judgements for finding in judgement.findings]
    for rule in dict.fromkeys(finding.rule for finding in findings):
        own = [finding for finding in findings if finding.rule is rule]
        values = sorted(finding.value for finding in own if finding.value is not None)
        median, p95, worst = (percentile(values, share) if values else None for share in (0.5, 0.95, 1.0))
        yield Spread(rule, Counter(finding.verdict for finding in own), len(values), median, p95, worst)
