"""Divides a run into times: before the faults, during each, between them, after the last.

A fault's time lasts from its injection until the system is whole again, because that is how long its users may feel
it. Pure bookkeeping that several checkers and the report share; it judges nothing.
Read next: `latency`, `availability`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from colonnade.drill.load.ledger import Operation
from colonnade.drill.record import FaultRecord, Record
from colonnade.drill.scenario import Aim, Extent, PlannedFault, Role

BEFORE, BETWEEN, AFTER = "before", "between faults", "after"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time, both ends included."""

    start_at: float
    end_at: float

    @property
    def duration_s(self) -> float:
        return self.end_at - self.start_at

    def meets(self, start_at: float, end_at: float) -> bool:
        return start_at <= self.end_at and end_at >= self.start_at


@dataclass(frozen=True, slots=True)
class Phase:
    """A named part of a run. Only "between faults" may consist of several stretches."""

    name: str
    stretches: tuple[Stretch, ...]
    fault: FaultRecord | None = None

    @property
    def duration_s(self) -> float:
        return sum(stretch.duration_s for stretch in self.stretches)


def phases_of(record: Record) -> tuple[Phase, ...]:
    """In the order of time, "between faults" in the place of its first stretch. Faults that did not come to pass have
    no time; those of others may overlap."""
    history = record.history
    run = Stretch(history.started_at, history.ended_at)
    names = fault_names(record.faults)
    during = [
        Phase(name, (time,), fault)
        for name, fault in zip(names, record.faults, strict=True)
        if (time := fault_time(fault, run.end_at)) is not None
    ]
    if not during:
        return (Phase(BEFORE, (run,)),)
    covered = _merged(phase.stretches[0] for phase in during)
    quiet = [Stretch(left.end_at, right.start_at) for left, right in pairwise(covered) if right.start_at > left.end_at]
    found = [Phase(BEFORE, (Stretch(run.start_at, covered[0].start_at),)), *during]
    if quiet:
        found.append(Phase(BETWEEN, tuple(quiet)))
    found.append(Phase(AFTER, (Stretch(covered[-1].end_at, max(run.end_at, covered[-1].end_at)),)))
    return tuple(sorted(found, key=lambda phase: (phase.stretches[0].start_at, phase.stretches[0].end_at)))


def operations_by_phase(record: Record, phases: Sequence[Phase]) -> dict[str, tuple[Operation, ...]]:
    """Who was under way during a fault belongs to it, to each of several; others to the time they were meant for."""
    times = [(phase, stretch) for phase in phases for stretch in phase.stretches]
    found: dict[str, list[Operation]] = {phase.name: [] for phase in phases}
    for operation in record.history.operations:
        start_at, end_at = operation.intended_at, operation.done_at
        faults = [phase for phase, time in times if phase.fault is not None and time.meets(start_at, end_at)]
        quiet = [phase for phase, time in times if phase.fault is None and time.meets(start_at, start_at)]
        for phase in faults or quiet[:1]:
            found[phase.name].append(operation)
    return {name: tuple(operations) for name, operations in found.items()}


def fault_time(fault: FaultRecord, run_end_at: float) -> Stretch | None:
    """None for one that did not come to pass. One after which the system was never whole lasts to the end."""
    if fault.injected_at is None:
        return None
    return Stretch(fault.injected_at, max(fault.injected_at, run_end_at if fault.whole_at is None else fault.whole_at))


def fault_names(faults: Iterable[FaultRecord]) -> tuple[str, ...]:
    """Names for people, told apart by a number where two are alike."""
    names = [fault_name(fault.planned) for fault in faults]
    often, seen = Counter(names), Counter[str]()
    told = []
    for name in names:
        seen[name] += 1
        told.append(f"{name} ({seen[name]})" if often[name] > 1 else name)
    return tuple(told)


def fault_name(planned: PlannedFault) -> str:
    """`kill primary`, `freeze some backend replicas`, `cut standby → primary`, `fill disk`."""
    return f"{planned.kind.replace('_', ' ')} {_whom(planned.aim)}".rstrip()


def _whom(aim: Aim) -> str:
    if aim.towards is not None:
        return f"{_role(aim.role, aim.service)} → {_role(aim.towards, aim.service)}"
    role = _role(aim.role, aim.service)
    return role if aim.extent is Extent.ONE or not role else f"{aim.extent.value} {role}s"


def _role(role: Role, service: str) -> str:
    if role is Role.SYSTEM:
        return ""
    if role is Role.SERVICE and service:
        return service
    return f"{service} {role}" if role is Role.REPLICA and service else role.value


def _merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    merged: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda each: each.start_at):
        if merged and stretch.start_at <= merged[-1].end_at:
            merged[-1] = Stretch(merged[-1].start_at, max(merged[-1].end_at, stretch.end_at))
        else:
            merged.append(stretch)
    return merged
