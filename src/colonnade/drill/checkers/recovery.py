"""How long it took after each fault until nothing was missing, and where the time went.

The seconds are the drill's own: from its stopwatch at the fault, to its first look at a system without problems. Only
the split of a failover into phases is the controller's account of itself.
Read next: `strength` for the very end; `database/failover.py` for the phases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from colonnade.core.events import Event
from colonnade.database.failover import PHASES
from colonnade.drill.checkers.finding import Finding, compared, counted, unseen
from colonnade.drill.checkers.phases import fault_names
from colonnade.drill.record import FaultEnd, FaultRecord, Record
from colonnade.drill.scenario import RuleName

RULE = RuleName.RECOVERY_S_MAX


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one fault that came to pass was followed by. Seconds; None for what was not seen."""

    fault: str
    noticed_s: float | None
    """From the injection to the first event that names one of its subjects, or to a failover's begin."""
    whole_s: float | None
    """From the end of the fault, or from itself where it has none, until nothing was missing."""
    failover_s: Mapping[str, float]
    """By phase, of the first failover after it; `detect` counts from the injection. Empty without one."""


def check(record: Record) -> tuple[Finding, ...]:
    """The longest recovery, where the scenario asks."""
    bound = record.scenario.rules.get(RULE)
    if bound is None:
        return ()
    known = {each.fault: each.whole_s for each in recoveries(record)}
    never = [fault for fault, whole_s in known.items() if whole_s is None]
    if not record.faults:
        return (compared(RULE, 0, bound, "no fault was planned, so nothing had to recover"),)
    if not known:
        return (unseen(RULE, bound, "no_fault_happened", "no fault came to pass, so nothing had to recover"),)
    took = sorted(((s, fault) for fault, s in known.items() if s is not None), reverse=True)
    told = tuple(f"{fault}: {s:.2f} s" for s, fault in took)
    if never and record.is_interrupted:
        message = f"the drill was interrupted before the system was seen whole after {never[0]}"
        return (unseen(RULE, bound, "interrupted", message, told),)
    if never:
        ended_at = record.history.ended_at
        lasted_s = max(ended_at - _over_at(fault) for fault, name in _happened(record) if name in never)
        message = f"after {', '.join(never)} the system was never seen whole again, for {lasted_s:.1f} s to the end"
        return (compared(RULE, max(lasted_s, bound + 1e-3), bound, message, told),)
    slowest_s, fault = took[0]
    of = counted(len(took), "fault")
    message = f"after {fault} it took longest until nothing was missing: {slowest_s:.2f} s; {of} in all"
    return (compared(RULE, slowest_s, bound, message, told),)


def recoveries(record: Record) -> tuple[Recovery, ...]:
    """One for each fault that came to pass."""
    happened = _happened(record)
    begins = [fault.injected_at for fault, _ in happened if fault.injected_at is not None]
    found = []
    for fault, name in happened:
        assert fault.injected_at is not None
        later = [at for at in begins if at > fault.injected_at]
        until_s = (min(later) if later else record.history.ended_at) + record.wall_offset_s
        injected_s = fault.injected_at + record.wall_offset_s
        events = [each for each in record.events if injected_s <= each.at_s < until_s]
        whole_s = None if fault.whole_at is None else max(0.0, fault.whole_at - _over_at(fault))
        found.append(Recovery(name, _noticed_s(fault, events, injected_s), whole_s, _failover(events, injected_s)))
    return tuple(found)


def _happened(record: Record) -> list[tuple[FaultRecord, str]]:
    named = zip(record.faults, fault_names(record.faults), strict=True)
    return [(fault, name) for fault, name in named if fault.injected_at is not None and fault.end is FaultEnd.DONE]


def _over_at(fault: FaultRecord) -> float:
    assert fault.injected_at is not None
    return fault.injected_at if fault.healed_at is None else fault.healed_at


def _noticed_s(fault: FaultRecord, events: list[Event], injected_s: float) -> float | None:
    names = {*fault.subjects, *(f"database/{name}" for name in fault.subjects)}
    replicas = {name.replace("-", "/") for name in fault.subjects if "-" in name}
    for event in events:
        # The gateway speaks of a replica with the replica's name first.
        if event.subject in names | replicas or event.message.startswith(tuple(f"{name} " for name in replicas)):
            return event.at_s - injected_s
        if event.kind == "failover_finished":
            break
    return None


def _failover(events: list[Event], injected_s: float) -> dict[str, float]:
    for event in events:
        phases = event.data.get("phases_s") if event.kind == "failover_finished" else None
        if isinstance(phases, Mapping):
            split = {name: float(phases[name]) for name in PHASES if isinstance(phases.get(name), int | float)}
            began_s = event.data.get("began_at_s")
            if isinstance(began_s, int | float) and "detect" in split:
                split["detect"] += max(0.0, began_s - injected_s)
            return split
    return {}
