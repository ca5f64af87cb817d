"""What may be asked of single replicas: who is meant, and why not just now."""

from __future__ import annotations

import pytest

from colonnade.core.errors import ColonnadeError, HostError, SpecError
from colonnade.runtime.asked import held_without_others, to_drain, to_give_back, to_restart
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState
from colonnade.runtime.view import RuntimeView
from colonnade.runtime.wanted import Rollout

READY, DRAINING, STARTING = ReplicaState.READY, ReplicaState.DRAINING, ReplicaState.STARTING
ROLLOUT = Rollout("web", 1, 2, message="web goes from version 1 to 2")


def seen(number: int, state: ReplicaState = READY, *, is_held: bool = False) -> ObservedReplica:
    return ObservedReplica(ReplicaId("web", number), state, 0.0, 1000 + number, 15_000, is_held=is_held)


def view(*replicas: ObservedReplica, desired: int = 3, rollout: Rollout | None = None) -> RuntimeView:
    return RuntimeView({"web": desired, "idle": 0}, replicas, {"web": 1}, {"web": rollout} if rollout else {})


def test_a_service_stands_for_all_its_replicas_but_for_those_that_leave() -> None:
    there = view(seen(1), seen(2, STARTING), seen(3, DRAINING), desired=2)
    assert [str(one.id) for one in to_restart("web", there)] == ["web/1", "web/2"]
    assert [str(one.id) for one in to_restart("web/2", there)] == ["web/2"]


def test_who_serves_beside_another_can_be_drained_and_given_back() -> None:
    assert to_drain("web/2", view(seen(1), seen(2))) == ReplicaId("web", 2)
    assert to_give_back("web/2", view(seen(1), seen(2, DRAINING, is_held=True))) == ReplicaId("web", 2)


@pytest.mark.parametrize(
    ("ask", "name", "there", "error", "words"),
    [
        (to_restart, "web/9", view(seen(1)), SpecError, "no replica 'web/9'"),
        (to_restart, "wbe", view(seen(1)), SpecError, "no replica 'wbe'"),
        (to_restart, "web/3", view(seen(3), desired=2), HostError, "about to end"),
        (to_restart, "idle", view(seen(1)), HostError, "no replicas now"),
        (to_restart, "web", view(seen(1), rollout=ROLLOUT), HostError, "goes from version 1 to 2"),
        (to_restart, "web/1", view(seen(1), rollout=ROLLOUT), HostError, "being replaced"),
        (to_drain, "web/1", view(seen(1), seen(2), rollout=ROLLOUT), HostError, "being replaced"),
        (to_drain, "web", view(seen(1), seen(2)), SpecError, "no replica 'web'"),
        (to_drain, "web/1", view(seen(1), seen(2, STARTING)), HostError, "nobody would answer"),
        (to_drain, "web/1", view(seen(1), seen(2, is_held=True)), HostError, "nobody would answer"),
        (to_drain, "web/2", view(seen(1), seen(2, STARTING)), HostError, "is starting"),
        (to_drain, "web/2", view(seen(1), seen(2, DRAINING, is_held=True)), HostError, "drained already"),
        (to_give_back, "web/1", view(seen(1)), HostError, "not drained"),
    ],
)
def test_what_cannot_be_done_says_why_and_what_to_do(
    ask: object, name: str, there: RuntimeView, error: type[ColonnadeError], words: str
) -> None:
    assert callable(ask)
    with pytest.raises(error) as caught:
        ask(name, there)
    assert words in str(caught.value)
    assert caught.value.hint


def test_what_is_drained_is_given_back_when_no_other_is_wanted_any_more() -> None:
    first, second = seen(1, DRAINING, is_held=True), seen(2)
    assert held_without_others(1, [first, second]) == [first]
    assert held_without_others(2, [first, second]) == []
    assert held_without_others(2, [first]) == [], "the other is about to be started"
    assert held_without_others(0, []) == []
