"""What the gateway sees of one replica, and what of that is remembered. Pure; what follows from it is `decide.py`'s."""

from __future__ import annotations

from dataclasses import dataclass, replace

from colonnade.runtime.restart import STABLE_AFTER_S
from colonnade.runtime.state import ObservedReplica, ReplicaState


@dataclass(frozen=True, slots=True)
class Traffic:
    """One look of the gateway at one replica."""

    in_flight: int | None
    """None: the gateway has not told."""
    is_unhealthy: bool = False
    """Its checks fail."""
    is_widespread: bool = False
    """Most of its pool fails as well, so the cause is probably shared."""
    is_spared: bool = False
    """Another one of its pool is ended first."""


def noted(replica: ObservedReplica, traffic: Traffic, now: float) -> ObservedReplica:
    """The replica as it is known after this look; the very same one where nothing is new, as it is nearly always."""
    seen = _with(
        replica,
        in_flight=traffic.in_flight,
        is_sickness_widespread=traffic.is_widespread,
        is_spared=traffic.is_spared,
    )
    if traffic.is_unhealthy and seen.state is ReplicaState.READY:
        return seen if seen.unhealthy_since_s is not None else replace(seen, unhealthy_since_s=now)
    seen = _with(seen, unhealthy_since_s=None, answers=None, is_unreached=False)
    # The gateway's look may be older than the process: only what has lasted proves that it is reached.
    has_lasted = seen.state is ReplicaState.READY and now - seen.state_since_s >= STABLE_AFTER_S
    if has_lasted and seen.history.in_vain:
        seen = replace(seen, history=replace(seen.history, in_vain=0))
    return seen


def _with(replica: ObservedReplica, **values: object) -> ObservedReplica:
    """Copying all fields takes a hundred times as long as comparing three, and this is done at each look."""
    if all(getattr(replica, name) == value for name, value in values.items()):
        return replica
    return replace(replica, **values)  # type: ignore[arg-type]
