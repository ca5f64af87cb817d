"""One replica replaced by itself: who is wanted, step by step."""

from __future__ import annotations

import pytest

from colonnade.runtime.replacement import Replacement, Step, next_step
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState, RestartHistory

OLD, BESIDE = ReplicaId("web", 1), ReplicaId("web", 2)
REPLACEMENT = Replacement(OLD, BESIDE, old_pid=10)
READY, STARTING, WAITING = ReplicaState.READY, ReplicaState.STARTING, ReplicaState.WAITING


def seen(replica: ReplicaId, state: ReplicaState, pid: int | None, restarts: int = 0) -> ObservedReplica:
    return ObservedReplica(replica, state, 0.0, pid, history=RestartHistory(total_restarts=restarts))


@pytest.mark.parametrize(
    ("replicas", "step"),
    [
        ([seen(OLD, READY, 10)], Step(wanted=frozenset({BESIDE}))),
        ([seen(OLD, READY, 10), seen(BESIDE, STARTING, 20)], Step(wanted=frozenset({BESIDE}))),
        (
            [seen(OLD, READY, 10), seen(BESIDE, READY, 20)],
            Step(wanted=frozenset({BESIDE}), unwanted=frozenset({OLD})),
        ),
        (
            [seen(OLD, ReplicaState.STOPPING, 10), seen(BESIDE, READY, 20)],
            Step(wanted=frozenset({BESIDE}), unwanted=frozenset({OLD})),
        ),
        ([seen(BESIDE, READY, 20)], Step(wanted=frozenset({BESIDE}))),
        ([seen(OLD, STARTING, 11), seen(BESIDE, READY, 20)], Step(wanted=frozenset({BESIDE}))),
        ([seen(OLD, WAITING, None, restarts=1), seen(BESIDE, READY, 20)], Step(wanted=frozenset({BESIDE}))),
        ([seen(OLD, READY, 11), seen(BESIDE, READY, 20)], Step(is_over=True)),
        ([seen(OLD, READY, 10), seen(BESIDE, WAITING, None, restarts=1)], Step(is_over=True)),
        ([seen(BESIDE, WAITING, None, restarts=1)], Step(is_over=True)),
        ([seen(OLD, WAITING, None, restarts=1)], Step(wanted=frozenset({BESIDE}))),
    ],
    ids=[
        *("it begins", "the one beside starts", "the old one may go", "the old one goes", "the old one is gone"),
        *("its successor starts", "its successor failed", "its successor serves", "the one beside died"),
        *("both are gone", "the old one died by itself"),
    ],
)
def test_somebody_serves_at_each_step(replicas: list[ObservedReplica], step: Step) -> None:
    assert next_step(REPLACEMENT, replicas) == step
