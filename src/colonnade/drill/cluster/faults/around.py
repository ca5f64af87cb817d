"""What a fault in a cluster may look at and use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from colonnade.core.clock import Clock
from colonnade.drill.cluster.api import ClusterApi
from colonnade.drill.faults.fault import Fault
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.target import Target
from colonnade.drill.scenario import PlannedFault
from colonnade.spec.model import Spec


@dataclass(frozen=True, slots=True)
class ClusterSurroundings:
    """At the moment of the stroke."""

    api: ClusterApi
    spec: Spec
    status: Mapping[str, Any]
    """`cluster/state.status_of` of a moment ago."""
    random: Random
    """Seeded by the drill: all that a fault draws comes from it."""
    clock: Clock
    run_id: str
    plan: Plan | None = None
    """The load beside it; a burst of overload is more of the same."""
    target: Target | None = None
    is_forwarded: bool = False
    """The load goes through a port-forward, which ends with the gateway's pod that it leads to."""
    may_delete_local_data: bool = False
    """Pods of others that keep files on their node may be evicted: the files are lost."""


ClusterMaker = Callable[[PlannedFault, ClusterSurroundings], Fault]
"""Makes a fault of one kind. Raises NotPossible, and SpecError for settings that it does not know."""
