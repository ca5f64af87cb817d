"""How far a drill is, for people who watch it. Plain data; nothing is judged by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from colonnade.drill.load.tally import Counts
from colonnade.drill.record import FaultRecord, Sample


class Phase(StrEnum):
    """What a drill does at the moment; each value completes "it is …"."""

    COPYING = "copying the application"
    STARTING = "starting an instance of its own"
    LOOKING = "looking whether everything in the cluster is whole"
    TRYING = "trying out the requests"
    STEADY = "measuring the steady state"
    BREAKING = "breaking things"
    RECOVERING = "waiting until everything is whole"
    READING_BACK = "reading back what was written"
    TAKING_DOWN = "taking the instance down"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class FaultProgress:
    """A fault of the plan: what became of it so far, and whether something is broken by it now."""

    record: FaultRecord
    is_under_way: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment."""

    phase: Phase
    load_s: float
    """Since the load began; below 0 before."""
    duration_s: float
    counts: Counts
    faults: tuple[FaultProgress, ...]
    sample: Sample | None
    is_interrupted: bool
