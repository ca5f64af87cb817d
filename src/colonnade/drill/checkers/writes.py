"""Compares what was acknowledged with what the system holds afterwards, and says lost, doubled or phantom.

Three-valued: a check that could not have found anything is unknown, not valid. Pure; fetching what the system
holds is `readback`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colonnade.drill.checkers.finding import Finding, Verdict, compared, counted, unseen
from colonnade.drill.load.ledger import Kind, Operation, Outcome
from colonnade.drill.scenario import RuleName

if TYPE_CHECKING:  # a record holds what this module defines
    from colonnade.drill.record import Record

_RULES = {
    RuleName.LOST_WRITES_MAX: (
        "lost",
        "every acknowledged write is there",
        ("acknowledged write is not there", "acknowledged writes are not there"),
    ),
    RuleName.DOUBLED_WRITES_MAX: (
        "doubled",
        "no write is there twice",
        ("write is there more than once", "writes are there more than once"),
    ),
    RuleName.PHANTOM_WRITES_MAX: (
        "phantom",
        "no failed write is there",
        ("write that failed for certain is there", "writes that failed for certain are there"),
    ),
}
"""What is counted, and the words for none, for one and for several."""


@dataclass(frozen=True, slots=True)
class Held:
    """One item found in the system: its identity there, and the mark of the write that made it."""

    id: str
    token: str


@dataclass(frozen=True, slots=True)
class WriteCheck:
    """What became of every write. The tuples hold tokens, in the order of the ledger."""

    verdict: Verdict
    reason: str
    message: str
    acknowledged: int
    lost: tuple[str, ...]
    """Acknowledged, and absent."""
    doubled: tuple[str, ...]
    """Present more than once, whatever the outcome was called: one intention, two effects."""
    phantom: tuple[str, ...]
    """Failed for certain, and yet present."""
    unaccounted: tuple[str, ...]
    """Present with the mark of this run, but not in its ledger: the ledger is not whole."""
    unknown_present: int
    unknown_absent: int


def check(record: Record) -> tuple[Finding, ...]:
    """Lost, doubled and phantom writes, each where the scenario asks for it."""
    bounds = {rule: record.scenario.rules[rule] for rule in _RULES if rule in record.scenario.rules}
    if record.held is None:
        why = record.held_problem or "the application cannot be asked what it holds"
        return tuple(unseen(rule, bound, "cannot_be_read_back", why) for rule, bound in bounds.items())
    found = check_writes(record.history.operations, record.held)
    by_token = {each.token: each for each in record.history.operations if each.kind is Kind.WRITE}
    copies: defaultdict[str, set[str]] = defaultdict(set)
    for item in record.held:
        copies[item.token].add(item.id)
    findings = []
    for rule, bound in bounds.items():
        what, none, some = _RULES[rule]
        tokens: tuple[str, ...] = getattr(found, what)
        if not tokens and found.verdict is Verdict.UNKNOWN:
            findings.append(unseen(rule, bound, found.reason, found.message))
            continue
        began_at = record.history.started_at
        told = tuple(_told(by_token[token], len(copies.get(token, ())), began_at) for token in tokens)
        words = counted(len(tokens), *some) if tokens else none
        message = f"{words}, of {found.acknowledged:,} acknowledged and {len(by_token):,} intended"
        findings.append(compared(rule, len(tokens), bound, message, told))
    return tuple(findings)


def _told(write: Operation, copies: int, began_at: float) -> str:
    """One write as a sentence: where to look for it in the ledger, the logs and the system."""
    sent = "never sent" if write.sent_at is None else f"sent at {write.sent_at - began_at:.3f} s"
    answer = f"answered {write.status}" if write.status is not None else f"ended by {write.error}"
    whom = f" by {write.served_by}" if write.served_by else ""
    held = "not there" if not copies else "there once" if copies == 1 else f"there {copies} times"
    over_s = write.done_at - began_at
    return f"{write.token} (operation {write.id}): {sent}, {answer}{whom} at {over_s:.3f} s ({write.outcome}); {held}"


def check_writes(operations: Iterable[Operation], held: Iterable[Held]) -> WriteCheck:
    """Judge the writes of one run by what the system holds after it.

    `held` must be everything with the mark of this run. Items are told apart by their id, so one that was listed
    twice is not a double.
    """
    ids_by_token: defaultdict[str, set[str]] = defaultdict(set)
    for item in held:
        ids_by_token[item.token].add(item.id)
    outcomes = {o.token: o.outcome for o in operations if o.kind is Kind.WRITE and o.token is not None}
    present = ids_by_token.keys()

    def tokens(outcome: Outcome, *, are_present: bool) -> tuple[str, ...]:
        return tuple(t for t, known in outcomes.items() if known is outcome and (t in present) is are_present)

    acknowledged = sum(outcome is Outcome.OK for outcome in outcomes.values())
    lost = tokens(Outcome.OK, are_present=False)
    doubled = tuple(token for token in outcomes if len(ids_by_token.get(token, ())) > 1)
    phantom = tokens(Outcome.FAILED, are_present=True)
    unaccounted = tuple(token for token in ids_by_token if token not in outcomes)
    verdict, reason, message = _judge(acknowledged, lost, doubled, phantom, unaccounted)
    return WriteCheck(
        verdict=verdict,
        reason=reason,
        message=message,
        acknowledged=acknowledged,
        lost=lost,
        doubled=doubled,
        phantom=phantom,
        unaccounted=unaccounted,
        unknown_present=len(tokens(Outcome.UNKNOWN, are_present=True)),
        unknown_absent=len(tokens(Outcome.UNKNOWN, are_present=False)),
    )


def _judge(
    acknowledged: int,
    lost: tuple[str, ...],
    doubled: tuple[str, ...],
    phantom: tuple[str, ...],
    unaccounted: tuple[str, ...],
) -> tuple[Verdict, str, str]:
    if lost or doubled or phantom:
        message = (
            f"of {acknowledged} acknowledged writes {len(lost)} are lost; "
            f"{len(doubled)} writes are doubled and {len(phantom)} failed ones are there"
        )
        return Verdict.INVALID, "writes_not_as_acknowledged", message
    if unaccounted:
        message = f"{len(unaccounted)} writes of this run are held but not in its ledger"
        return Verdict.UNKNOWN, "ledger_incomplete", message
    if not acknowledged:
        return Verdict.UNKNOWN, "nothing_acknowledged", "no write was acknowledged, so none could be lost"
    message = f"all {acknowledged} acknowledged writes are there, each once"
    return Verdict.VALID, "writes_as_acknowledged", message
