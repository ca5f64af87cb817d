"""Whether visitors saw what they had written, and went on seeing what they had seen once.

Read-your-writes: a look that was sent after the write had been acknowledged must find the item. Monotonic reads: a
look that was sent after an earlier one had found it must find it, whatever became of the write. What overlaps proves
nothing, and neither does an answer too short to show an item that others have pushed off its page.
Read next: `load/schedule.py` for how visitors behave.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.drill.checkers.finding import Finding, compared, counted, unseen
from colonnade.drill.load.ledger import Kind, Operation, Outcome
from colonnade.drill.record import Record
from colonnade.drill.scenario import RuleName

RULE = RuleName.STALE_SESSION_READS_MAX


@dataclass(frozen=True, slots=True)
class Stale:
    """A look that did not find what it had to."""

    write: Operation
    read: Operation
    seen: Operation | None
    """The earlier look that had found it; None for a write that was acknowledged."""


def check(record: Record) -> tuple[Finding, ...]:
    """One finding for both promises together, where the scenario asks."""
    bound = record.scenario.rules.get(RULE)
    if bound is None:
        return ()
    looks, stale = stale_reads(record)
    if not looks:
        return (unseen(RULE, bound, "no_session_could_tell", "no visitor looked for an item of theirs and could tell"),)
    monotonic = sum(each.seen is not None for each in stale)
    message = f"all {counted(looks, 'look')} of visitors for what they had written found it"
    if stale:
        message = (
            f"{counted(len(stale), 'look')} of {looks:,} missed what the visitor had written: "
            f"{len(stale) - monotonic} after it was acknowledged, {monotonic} after they had seen it"
        )
    began_at = record.history.started_at
    return (compared(RULE, len(stale), bound, message, tuple(_told(each, began_at) for each in stale)),)


def stale_reads(record: Record) -> tuple[int, list[Stale]]:
    """How many looks could have shown a broken promise, and those that did, in the order of time."""
    sessions: defaultdict[int, list[Operation]] = defaultdict(list)
    for operation in record.history.operations:
        if operation.session is not None:
            sessions[operation.session].append(operation)
    pages = _Pages(record)
    looks, stale = 0, list[Stale]()
    for operations in sessions.values():
        write = next((each for each in operations if each.kind is Kind.WRITE), None)
        if write is None or write.sent_at is None:
            continue
        reads = sorted((each for each in operations if each.found is not None), key=lambda each: each.intended_at)
        for read in reads:
            seen = _seen_before(read, reads)
            if read.sent_at is None or (seen is None and not _is_owed(write, read.sent_at)):
                continue
            if read.found:
                looks += 1
            elif pages.could_show(write, read):
                looks += 1
                stale.append(Stale(write, read, None if _is_owed(write, read.sent_at) else seen))
    return looks, sorted(stale, key=lambda each: each.read.done_at)


def _is_owed(write: Operation, sent_at: float) -> bool:
    return write.outcome is Outcome.OK and write.done_at <= sent_at


def _seen_before(read: Operation, reads: Sequence[Operation]) -> Operation | None:
    sent_at = read.sent_at
    return next((each for each in reads if each.found and sent_at is not None and each.done_at <= sent_at), None)


class _Pages:
    """How far the writes of others can have pushed an item down a list that shows the newest only."""

    def __init__(self, record: Record) -> None:
        self._shown = {action.name: action.shows_newest for action in record.history.plan.workload.read_own}
        writes = [each for each in record.history.operations if each.kind is Kind.WRITE and each.sent_at is not None]
        self._sent = sorted(each.sent_at for each in writes if each.sent_at is not None)
        # A write of unknown fate may take effect long after it was given up, so it is never over.
        self._over = sorted(each.done_at for each in writes if each.outcome is not Outcome.UNKNOWN)

    def could_show(self, write: Operation, read: Operation) -> bool:
        shown = self._shown.get(read.action, 0)
        if shown == 0 or write.sent_at is None:
            return True
        begun = bisect_right(self._sent, read.done_at)
        return begun - bisect_left(self._over, write.sent_at) <= shown


def _told(stale: Stale, began_at: float) -> str:
    write, read, seen = stale.write, stale.read, stale.seen
    if seen is None:
        before = f"wrote {write.token}, acknowledged at {write.done_at - began_at:.3f} s"
    else:
        before = f"saw {write.token} at {seen.done_at - began_at:.3f} s (operation {seen.id})"
    sent_at = read.sent_at if read.sent_at is not None else read.started_at
    whom = f" by {read.served_by}" if read.served_by else ""
    return (
        f"visitor {read.session} {before}; asked at {sent_at - began_at:.3f} s and did not find it "
        f"(operation {read.id}, {read.action}, answered{whom})"
    )
