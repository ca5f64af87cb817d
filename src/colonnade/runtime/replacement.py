"""One replica is replaced by a new one of itself, while another serves in its place. Pure.

First one more than wanted is started; when it is ready the old one is drained and stopped, and started anew in its own
slot; when that one is ready the additional one goes. If the additional one dies before it is ready, the old one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState


@dataclass(frozen=True, slots=True)
class Replacement:
    """`old_pid` is the process that has to go."""

    replica: ReplicaId
    beside: ReplicaId
    """The one that serves in its place meanwhile."""
    old_pid: int


@dataclass(frozen=True, slots=True)
class Step:
    """What is wanted besides the declared number, what is not wanted although it is of that number; or the end."""

    wanted: frozenset[ReplicaId] = frozenset()
    unwanted: frozenset[ReplicaId] = frozenset()
    is_over: bool = False


def next_step(replacement: Replacement, replicas: Sequence[ObservedReplica]) -> Step:
    seen = {replica.id: replica for replica in replicas}
    old, beside = seen.get(replacement.replica), seen.get(replacement.beside)
    if old is not None and old.pid != replacement.old_pid and old.state is ReplicaState.READY:
        return Step(is_over=True)
    if beside is not None and beside.history.total_restarts > 0 and beside.state is not ReplicaState.READY:
        return Step(is_over=True)  # it died: the old one stays, or is started by itself where it died as well
    if beside is None or beside.state is not ReplicaState.READY:
        return Step(wanted=frozenset({replacement.beside}))
    is_old_one_there = old is not None and old.pid == replacement.old_pid
    return Step(
        wanted=frozenset({replacement.beside}),
        unwanted=frozenset({replacement.replica}) if is_old_one_there else frozenset(),
    )
