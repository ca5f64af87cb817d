"""What share of the requests failed, when, and for how long nothing went well at all; reads and writes apart.

A write of unknown fate counts as failed here: its user does not know either. What the generator itself did not send
counts for nothing, because the system was never asked.
Read next: `generator`, which says whether the generator can be believed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from colonnade.drill.checkers.finding import Finding, compared, unseen
from colonnade.drill.checkers.phases import operations_by_phase, phases_of
from colonnade.drill.load.ledger import OWN_ERRORS, Kind, Operation, Outcome
from colonnade.drill.load.summary import Gap
from colonnade.drill.record import Record
from colonnade.drill.scenario import RuleName

GOOD_IN_A_ROW = 10
"""So many successes end a window of failures. One alone is often luck: every second replica may answer."""

_SHARES = {RuleName.FAILED_READS_SHARE_MAX: Kind.READ, RuleName.FAILED_WRITES_SHARE_MAX: Kind.WRITE}
_GAPS = {RuleName.READ_GAP_S_MAX: Kind.READ, RuleName.WRITE_GAP_S_MAX: Kind.WRITE}


@dataclass(frozen=True, slots=True)
class Window:
    """From the first failure, by its intended time, to the first of GOOD_IN_A_ROW successes in a row."""

    kind: Kind
    start_at: float
    end_at: float
    failed: int
    intended: int
    is_open: bool
    """The run ended before it was over."""

    @property
    def duration_s(self) -> float:
        return self.end_at - self.start_at


def check(record: Record) -> tuple[Finding, ...]:
    """Failed shares and longest gaps, those that the scenario asks for."""
    rules = record.scenario.rules
    shares = [_share(record, rule, kind, rules[rule]) for rule, kind in _SHARES.items() if rule in rules]
    gaps = [_gap(record, rule, kind, rules[rule]) for rule, kind in _GAPS.items() if rule in rules]
    return (*shares, *gaps)


def asked(record: Record, kind: Kind) -> list[Operation]:
    """Everything of this kind that the system was asked, or would have been had it let us connect."""
    return [each for each in record.history.operations if each.kind is kind and each.error not in OWN_ERRORS]


def windows(record: Record, kind: Kind) -> tuple[Window, ...]:
    """Every time in which requests failed, ascending."""
    found: list[Window] = []
    burst: list[Operation] = []
    good: list[Operation] = []

    def close(end_at: float, *, is_open: bool) -> None:
        failed = sum(each.outcome is not Outcome.OK for each in burst)
        found.append(Window(kind, burst[0].intended_at, end_at, failed, len(burst), is_open))
        burst.clear()

    for operation in sorted(asked(record, kind), key=lambda each: each.intended_at):
        if operation.outcome is not Outcome.OK:
            burst += [*(good if burst else ()), operation]
            good.clear()
        elif burst:
            good.append(operation)
            if len(good) == GOOD_IN_A_ROW:
                close(good[0].done_at, is_open=False)
                good.clear()
    if burst:
        close(record.history.ended_at, is_open=not good)
    return tuple(found)


def longest_gap(record: Record, kind: Kind) -> Gap | None:
    """The longest time between two successes in which somebody asked; None when nobody ever did.

    It begins with the first intention after the last success: before, nobody waited.
    """
    operations = asked(record, kind)
    start_at, end_at = record.history.started_at, record.history.ended_at
    successes = sorted(each.done_at for each in operations if each.outcome is Outcome.OK)
    intentions = sorted(each.intended_at for each in operations)
    gaps = []
    for left, right in pairwise([start_at, *successes, end_at]):
        first = bisect_left(intentions, left)
        intended = bisect_left(intentions, right) - first
        if intended > 0:
            gaps.append(Gap(intentions[first], right, intended, is_open=right == end_at))
    return max(gaps, key=lambda gap: gap.duration_s, default=None)


def errors_by_phase(record: Record) -> dict[str, Counter[str]]:
    """Class of error to count, for each phase in which there were any; for the report."""
    by_phase = operations_by_phase(record, phases_of(record))
    counted = {name: Counter(each.error for each in found if each.error) for name, found in by_phase.items()}
    return {name: errors for name, errors in counted.items() if errors}


def _share(record: Record, rule: RuleName, kind: Kind, bound: float) -> Finding:
    operations = asked(record, kind)
    if not operations:
        return unseen(rule, bound, "nothing_asked", f"no {kind} was sent")
    failed = [each for each in operations if each.outcome is not Outcome.OK]
    unknown = sum(each.outcome is Outcome.UNKNOWN for each in failed)
    of_unknown = f", {unknown} of them of unknown fate" if unknown else ""
    share = len(failed) / len(operations)
    message = f"none of {len(operations):,} {kind}s failed"
    if failed:
        message = f"{len(failed):,} of {len(operations):,} {kind}s failed ({share:.2%}){of_unknown}"
    return compared(rule, share, bound, message, tuple(_told(failed, record.history.started_at)))


def _gap(record: Record, rule: RuleName, kind: Kind, bound: float) -> Finding:
    gap = longest_gap(record, kind)
    if gap is None:
        return unseen(rule, bound, "nothing_asked", f"no {kind} was sent")
    began_s = gap.start_at - record.history.started_at
    still = ", and that had not ended with the run" if gap.is_open else ""
    message = (
        f"the longest time without a successful {kind} was {gap.duration_s:.2f} s, from second {began_s:.2f} on, "
        f"with {gap.intended_count} intended{still}"
    )
    return compared(rule, gap.duration_s, bound, message)


def _told(failed: Sequence[Operation], began_at: float) -> Iterable[str]:
    for each in sorted(failed, key=lambda each: each.intended_at):
        yield (
            f"operation {each.id} ({each.action}) meant for {each.intended_at - began_at:.3f} s: "
            f"{each.error or each.outcome} after {each.latency_s:.3f} s"
        )
