"""Compares what was acknowledged with what the system holds afterwards, and says lost, doubled or phantom.

Three-valued: a check that could not have found anything is unknown, not valid. Pure; fetching what the system
holds is `readback`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.load.ledger import Kind, Operation, Outcome


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
