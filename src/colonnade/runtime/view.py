"""What the runtime shows of itself to the rest of the system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from colonnade.runtime.state import ObservedReplica
from colonnade.runtime.wanted import Rollout


@dataclass(frozen=True, slots=True)
class RuntimeView:
    """For `status` and for the mapping to the gateway."""

    desired: Mapping[str, int]
    replicas: tuple[ObservedReplica, ...] = field(default_factory=tuple)
    versions: Mapping[str, int] = field(default_factory=dict)
    """By service, which one it runs, or comes from while a rollout is open."""
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    """Those that are open, by service."""
