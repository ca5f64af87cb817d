"""Operations and histories for the tests of this folder, with only what a test is about spelled out."""

from dataclasses import replace
from typing import Any

from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Kind, Operation, Outcome
from colonnade.drill.load.plan import Plan

_WRITE = Operation(
    id=0,
    kind=Kind.WRITE,
    action="create_post",
    token=None,
    intended_at=0.0,
    started_at=0.0,
    sent_at=0.0,
    first_byte_at=None,
    done_at=0.0,
    outcome=Outcome.OK,
)


def write(mark: str = "t", outcome: Outcome = Outcome.OK, **fields: Any) -> Operation:
    return replace(_WRITE, token=mark, outcome=outcome, **fields)


def read(outcome: Outcome = Outcome.OK, **fields: Any) -> Operation:
    return replace(_WRITE, kind=Kind.READ, action="home", token=None, outcome=outcome, **fields)


def at_second(operation: Operation, second: float, took_s: float = 0.01, **fields: Any) -> Operation:
    """The same operation, intended and sent at this second of the run."""
    moments = {"intended_at": second, "started_at": second, "sent_at": second, "done_at": second + took_s}
    return replace(operation, **{"id": int(second * 1_000), **moments, **fields})


def answered_at(*moments: float) -> list[Operation]:
    """Writes that went well, each over at its moment and intended 10 ms before."""
    return [write(f"t{at}", intended_at=at - 0.01, sent_at=at - 0.01, done_at=at) for at in moments]


def history(*operations: Operation, duration_s: float = 10.0) -> History:
    plan = Plan(url="http://127.0.0.1:1", rate_per_s=1, duration_s=duration_s, run_id="r")
    ended_at = max([duration_s, *(operation.done_at for operation in operations)])
    return History(plan=plan, operations=operations, started_at=0.0, ended_at=ended_at)
