"""A request's way through the system while it is on it: visits to stations, each perhaps made by another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colonnade.planning.simulation.stations import Replica, StationRun

Ended = Callable[["Visit", str], None]
"""(visit, reason): the reason is empty for one that was answered."""


@dataclass(slots=True)
class Step:
    """A `model.Call` made ready: whom it visits, with how much work, and what it calls from there."""

    station: StationRun
    works: Iterator[float]
    cpu_share: float
    count: float
    steps: list[Step]

    def times(self, random: Random) -> int:
        """How often it is made this time."""
        whole = int(self.count)
        return whole + (self.count > whole and random.random() < self.count - whole)


@dataclass(slots=True, eq=False)
class Visit:
    """One attempt at one station. What is planned for it looks at `is_over` first: it may have ended meanwhile."""

    step: Step
    request: Any
    """On whose behalf: a visitor's request, or the visit that calls."""
    ended: Ended
    key: float = 0.0
    index: int = 0
    """Among the station's visits."""
    attempt: int = 0
    again: Visit | None = None
    """What the gateway made of it after its replica had died."""
    replica: Replica | None = None
    is_over: bool = False
    is_waiting: bool = False
    arrived_s: float = 0.0
    queued_s: float = 0.0
    began_s: float = 0.0
    work_s: float = 0.0
    to_call: list[Step] | None = None
    """Calls that are still to be made, the next one last."""
