"""Whether the load generator can be believed. It judges nothing about the system, and may forbid that others do.

A generator that was late measures itself; one that could not send has not asked. Then what was measured in time or in
shares is unknown, good or bad; a lost write stays lost.
Read next: `load/summary.py`, which finds the doubts.
"""

from __future__ import annotations

from colonnade.drill.load.summary import summarize
from colonnade.drill.record import Record
from colonnade.drill.scenario import RuleName

SENT_SHARE_MIN = 0.9
"""Of the planned rate, over the planned time. Random arrivals alone vary by a few per cent in the shortest runs."""

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


def doubts(record: Record) -> tuple[str, ...]:
    """Why the load's figures must not be judged by; empty when they can be."""
    history = record.history
    found = list(summarize(history).doubts)
    plan = history.plan
    if history.stopped_at is None:
        expected = plan.rate_per_s * plan.duration_s
        if history.operations and len(history.operations) < SENT_SHARE_MIN * expected:
            found.append(f"{len(history.operations)} operations were intended where the plan has {expected:.0f}")
    return tuple(found)
