"""Everything that one run of load left behind: the plan, the ledger and the cost of generating it.

Plain data. Read next: `summary`.
"""

from dataclasses import dataclass

from colonnade.drill.ledger import Operation
from colonnade.drill.plan import Plan


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
