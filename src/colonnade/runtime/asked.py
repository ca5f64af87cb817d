"""What may be asked of single replicas, and why not just now. Pure: `controller.py` records what was allowed, and
`decide.py` and `rollout.py` act on it."""

from __future__ import annotations

from collections.abc import Sequence

from colonnade.core.errors import HostError, SpecError
from colonnade.runtime.rollout import is_serving
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState
from colonnade.runtime.view import RuntimeView


def to_restart(name: str, view: RuntimeView) -> tuple[ObservedReplica, ...]:
    """The replicas that `name` (`backend/2`, or `backend` for all of it) stands for: each is to become a new process.

    Raises SpecError for a name that nobody has, HostError while the service is on its way to something else.
    """
    if name in view.desired:
        chosen = tuple(seen for seen in _of(name, view) if seen.id.number <= view.desired[name])
        if not chosen:
            raise HostError("has no replicas now", subject=name, hint=f"`colonnade scale {name}=1`")
    else:
        chosen = (_named(name, view),)
    _refuse_in_rollout(chosen[0].id.service, view)
    return chosen


def to_drain(name: str, view: RuntimeView) -> ReplicaId:
    """The replica that is to leave the rotation and stay. Raises SpecError for a name that nobody has, HostError when
    it does not serve, nobody else would, or its service is on its way to something else."""
    chosen = _named(name, view)
    _refuse_in_rollout(chosen.id.service, view)
    if chosen.is_held:
        raise HostError("is drained already", subject=name, hint=f"`colonnade drain --undo {name}` gives it back")
    if chosen.state is not ReplicaState.READY:
        raise HostError(
            f"is {chosen.state.value}, so it is not in rotation", subject=name, hint=f"`colonnade why {name}`"
        )
    others = [seen for seen in _of(chosen.id.service, view) if seen.id != chosen.id]
    if not any(is_serving(seen) and not seen.is_held for seen in others):
        raise HostError(
            f"no other replica of {chosen.id.service} serves: nobody would answer",
            subject=name,
            hint=f"add one first: `colonnade scale {chosen.id.service}={view.desired[chosen.id.service] + 1}`",
        )
    return chosen.id


def to_give_back(name: str, view: RuntimeView) -> ReplicaId:
    """The drained replica that is to get requests again. Raises SpecError for a name that nobody has, HostError when
    it is not drained."""
    chosen = _named(name, view)
    if not chosen.is_held:
        raise HostError("is not drained", subject=name, hint=f"`colonnade drain {name}` takes it out of rotation")
    return chosen.id


def held_without_others(count: int, replicas: Sequence[ObservedReplica]) -> Sequence[ObservedReplica]:
    """The drained replicas of a service when it wants no others any more, since it was scaled down: nobody would
    answer, so they are given back."""
    wanted = [seen for seen in replicas if seen.id.number <= count]
    return wanted if len(wanted) == count and all(seen.is_held for seen in wanted) else []


def _named(name: str, view: RuntimeView) -> ObservedReplica:
    found = next((seen for seen in view.replicas if str(seen.id) == name), None)
    if found is None:
        there = ", ".join(str(seen.id) for seen in view.replicas[:20])
        raise SpecError(f"there is no replica {name!r}", subject="id", hint=f"replicas: {there or 'none yet'}")
    if found.id.number > view.desired.get(found.id.service, 0):
        raise HostError("is about to end anyhow", subject=name, hint="see `colonnade status`")
    return found


def _of(service: str, view: RuntimeView) -> Sequence[ObservedReplica]:
    return [seen for seen in view.replicas if seen.id.service == service]


def _refuse_in_rollout(service: str, view: RuntimeView) -> None:
    rollout = view.rollouts.get(service)
    if rollout is not None:
        raise HostError(
            f"its replicas are being replaced just now ({rollout.message or rollout.stage.value})",
            subject=service,
            hint="try again when that is over: `colonnade events --follow`",
        )
