"""Between which numbers a service may move now: what is declared, what the hour asks for, what the machine has. Pure.

The machine's bounds keep a service from growing; they never shrink it. Each bound says in a sentence where it comes
from, so that "at its limit" can say which.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from colonnade.scaling.state import Look, ScalingPolicy

MEMORY_RESERVE_SHARE = 0.1
MEMORY_RESERVE_BYTES_MIN = 256 * 1024 * 1024
"""Of the machine's memory stay free: for the page cache that the database lives from, and for growth of what runs."""

UTILIZATION_MIN = 0.2
"""Of the places, below which the processor that a busy replica would need cannot be told from an idle one's."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A number of replicas and where it comes from: `reason` is stable, `message` follows "at most/at least N: "."""

    replicas: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """`floor` ≤ `ceiling` always."""

    floor: Bound
    ceiling: Bound


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is, and what one replica takes; None where it was not measured yet."""

    cores: int
    memory_bytes_total: int
    memory_bytes_available: int
    replica_bytes: int | None = None
    """Memory of its own that a replica holds (pages that it shares with others cost only once)."""
    replicas: int = 0
    """That held theirs when this was measured."""


def bounds_for(policy: ScalingPolicy, look: Look, machine: Machine | None, floors: Iterable[Bound] = ()) -> Bounds:
    """The highest floor and the lowest ceiling. A floor never asks for more than is declared or the machine has."""
    ceiling = Bound(policy.replicas_max, "max", f"replicas.max is {policy.replicas_max}")
    if machine is not None:
        for bound in (memory_bound(look, machine), cores_bound(policy, look, machine)):
            if bound is not None and bound.replicas < ceiling.replicas:
                ceiling = Bound(max(bound.replicas, policy.replicas_min), bound.reason, bound.message)
    floor = Bound(policy.replicas_min, "min", f"replicas.min is {policy.replicas_min}")
    for bound in floors:
        if bound.replicas > floor.replicas:
            floor = bound
    if floor.replicas > ceiling.replicas:
        floor = Bound(ceiling.replicas, floor.reason, f"{floor.message}, and {ceiling.message}")
    return Bounds(floor, ceiling)


def memory_bound(look: Look, machine: Machine) -> Bound | None:
    """So many fit into the memory that is left; those that start have not taken theirs yet."""
    if not machine.replica_bytes:
        return None
    reserve = max(MEMORY_RESERVE_BYTES_MIN, int(machine.memory_bytes_total * MEMORY_RESERVE_SHARE))
    room = max(0, machine.memory_bytes_available - reserve)
    replicas = machine.replicas + room // machine.replica_bytes
    return Bound(
        max(look.ready, replicas),
        "memory",
        f"a replica takes {_mb(machine.replica_bytes)}, and {_mb(machine.memory_bytes_available)} are free "
        f"of which {_mb(reserve)} stay",
    )


def cores_bound(policy: ScalingPolicy, look: Look, machine: Machine) -> Bound | None:
    """So many replicas as busy as they should be keep all cores busy; more would only take turns."""
    if look.cores_used is None or look.ready == 0:
        return None
    utilization = min(1.0, look.in_service / (look.ready * policy.threads))
    if utilization < UTILIZATION_MIN:
        return None
    per_replica = look.cores_used / look.ready * max(1.0, policy.target_utilization / utilization)
    if per_replica * policy.replicas_max <= machine.cores:
        return None
    replicas = max(1, int(machine.cores / per_replica))
    return Bound(
        max(look.ready, replicas),
        "cores",
        f"a busy replica uses {per_replica:.2f} cores, and the machine has {machine.cores}",
    )


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
