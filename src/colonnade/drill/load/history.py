"""Everything that one run of load left behind: the plan, the ledger and the cost of generating it.

Plain data. Read next: `summary`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from colonnade.drill.load import ledger
from colonnade.drill.load.ledger import Operation
from colonnade.drill.load.plan import Plan


@dataclass(frozen=True, slots=True)
class History:
    """What happened in one run. Times are the machine's monotonic clock, like those of the operations."""

    plan: Plan
    operations: tuple[Operation, ...]
    """In the order in which they ended."""
    started_at: float
    ended_at: float
    """When the last operation was over."""
    stopped_at: float | None = None
    """When the run was told to stop before its time, if it was."""
    cpu_s: float = 0.0
    """Processor time of the whole process while the load was sent."""
    connections_opened: int = 0
    dead_idle_connections: int = 0
    """Kept-alive connections that the server had closed, found before they were used."""


def to_lines(history: History) -> Iterator[str]:
    """The whole history as JSON lines: the run first, then every operation."""
    head = {name: getattr(history, name) for name in _FIGURES}
    yield json.dumps({"plan": history.plan.to_json(), **head})
    for operation in history.operations:
        yield ledger.to_line(operation)


def from_lines(lines: Iterable[str]) -> History:
    """Read back what `to_lines` wrote. Raises ValueError, TypeError or KeyError for anything else."""
    rest = iter(lines)
    head = json.loads(next(rest, ""))
    plan = Plan.from_json(head.pop("plan"))
    return History(plan=plan, operations=tuple(ledger.from_lines(rest)), **head)


_FIGURES = tuple(field.name for field in fields(History) if field.name not in ("plan", "operations"))
