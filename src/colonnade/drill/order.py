"""What is wanted of a drill, wherever the system runs. Each director has an order of its own, with what only its place
needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from colonnade.drill.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Order:
    file: Path
    """The declaration."""
    scenario: Scenario
    seed: int
    run_id: str
    """Letters and digits, unlike those of any other run."""
    command: str
    """What was typed, and repeats it."""
    out: Path
    """Where the report will be. Made when there is something to keep."""
