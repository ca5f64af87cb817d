"""Whether the load generator can be believed. It judges nothing about the system, and may forbid that others do.

A generator that was late measures itself; one that could not send has not asked. Then what was measured in time or in
shares is unknown, good or bad; a lost write stays lost, and a failure where none may be stays one. Where nothing of
that kind was asked, being late is no matter: an acknowledged write is there or it is not, whenever it was sent.
Read next: `load/summary.py`, which finds the doubts.
"""

from __future__ import annotations

from math import inf

from colonnade.drill.checkers.finding import Finding, Verdict
from colonnade.drill.load.schedule import expected_count
from colonnade.drill.load.summary import summarize
from colonnade.drill.record import Record
from colonnade.drill.scenario import RuleName

LAG_MS_P99_MAX = 25.0
"""Wider than where load alone is measured (`summary`): a drill starves the very processors that its generator runs on,
and its rules are about hundreds of milliseconds, of which this is a tenth. All latencies include the lag."""

SENT_SHARE_MIN = 0.9
"""Of what the plan has on average, and DEVIATIONS_MAX below that, because arrivals are random."""
DEVIATIONS_MAX = 8.0
"""Square roots of the expected number. Independent requests deviate by more than four once in 30,000 runs; visitors,
who come with four requests each, by twice as much."""

MEASURED_BY_LOAD = frozenset(
    {
        RuleName.FAILED_READS_SHARE_MAX,
        RuleName.FAILED_WRITES_SHARE_MAX,
        RuleName.READ_GAP_S_MAX,
        RuleName.WRITE_GAP_S_MAX,
        RuleName.P99_MS_MAX,
    }
)
"""What a generator that was late or could not send would get wrong."""

SHARES = frozenset({RuleName.FAILED_READS_SHARE_MAX, RuleName.FAILED_WRITES_SHARE_MAX})


def is_certain(finding: Finding) -> bool:
    """Whether this stands however late the generator was. Where none may fail, one that the system has failed is
    enough, whenever it was asked: no share is measured then."""
    return finding.rule in SHARES and finding.bound == 0 and finding.verdict is Verdict.INVALID


def doubts(record: Record) -> tuple[str, ...]:
    """Why the load must not be judged by; empty when it can be, for the rules of this scenario."""
    history = record.history
    matters = not MEASURED_BY_LOAD.isdisjoint(record.scenario.rules)
    found = list(summarize(history, lag_ms_p99_max=LAG_MS_P99_MAX if matters else inf).doubts)
    if history.stopped_at is None and history.operations:
        expected = expected_count(history.plan)
        if len(history.operations) < SENT_SHARE_MIN * expected - DEVIATIONS_MAX * expected**0.5:
            found.append(f"{len(history.operations)} operations were intended where the plan has {expected:.0f}")
    return tuple(found)
