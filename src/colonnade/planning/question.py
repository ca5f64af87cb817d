"""What is asked of a plan, and what is known: the declaration's model, the load, the promise, the machine. Plain data.

Read next: `answer`.
"""

from __future__ import annotations

from dataclasses import dataclass

from colonnade.planning.capacity import Objective
from colonnade.planning.declared import Declared
from colonnade.planning.model import Load
from colonnade.planning.sizing import Policy

HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is."""

    cores: float
    memory_bytes: int
    """That replicas may have."""


@dataclass(frozen=True, slots=True)
class Prices:
    core_hour: float | None = None
    memory_gb_hour: float | None = None

    def month(self, cores: float, memory_bytes: float) -> float | None:
        """None where no price is given."""
        if self.core_hour is None and self.memory_gb_hour is None:
            return None
        hour = cores * (self.core_hour or 0.0) + memory_bytes / 1e9 * (self.memory_gb_hour or 0.0)
        return hour * HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that is asked, and what is known."""

    declared: Declared
    load: Load
    objective: Objective | None
    policy: Policy
    machine: Machine
    prices: Prices = Prices()
    connections_max: int = 0
    """Of the database; 0 without one."""
    availability: float | None = None
    is_simulated: bool = False
    """Also ask the simulator: a second or two."""
    relative: tuple[float, ...] = ()
    """How the rate goes up and down over `period_s`, 1.0 on average; empty: it is always the same."""
    period_s: float = 0.0
    rate_mean: float = 0.0
    """With `relative`; `load` is the peak that is planned for."""
