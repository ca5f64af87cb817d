"""Whether everything that was declared is there again at the very end.

Asked of every run, because a system that has survived with half of its parts has not survived the next fault.
Read next: `recovery` for how long it took after each fault.
"""

from __future__ import annotations

from colonnade.drill.checkers.finding import Finding, compared, unseen
from colonnade.drill.record import Record, Sample
from colonnade.drill.scenario import RuleName

RULE = RuleName.MISSING_AT_END_MAX

LATE_S_MAX = 5.0
"""Looks are half a second apart; ten that failed in a row are no view of the end."""


def check(record: Record) -> tuple[Finding, ...]:
    """One finding, by the last look at the system."""
    bound = record.scenario.rules.get(RULE, 0.0)
    if not record.samples:
        return (unseen(RULE, bound, "never_looked", "nobody looked at the system's state"),)
    last = max(record.samples, key=lambda sample: sample.at)
    if last.at < record.history.ended_at - LATE_S_MAX:
        late_s = record.history.ended_at - last.at
        message = f"the last look at the system was {late_s:.1f} s before the load ended"
        return (unseen(RULE, bound, "not_looked_at_end", message),)
    if not last.is_answered:
        return (compared(RULE, max(1.0, bound + 1), bound, "at the end the system did not say what it has"),)
    missing = missing_of(last)
    if not missing:
        ready = ", ".join(f"{count} {service}" for service, count in sorted(last.ready.items()))
        return (compared(RULE, 0, bound, f"at the end nothing was missing{f' ({ready})' if ready else ''}"),)
    return (compared(RULE, len(missing), bound, f"at the end {missing[0]}", missing),)


def missing_of(sample: Sample) -> tuple[str, ...]:
    """Sentences on what is not as declared."""
    short = [
        f"{sample.ready.get(service, 0)} of {count} {service} replicas are ready"
        for service, count in sorted(sample.desired.items())
        if sample.ready.get(service, 0) < count and not any(each.startswith(f"{service}: ") for each in sample.problems)
    ]
    closed = ["the database takes no writes"] * (sample.is_writable is False and not sample.problems)
    return (*sample.problems, *short, *closed)
