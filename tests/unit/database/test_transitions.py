"""The table of transitions: known edges have their sentence, others are refused."""

from __future__ import annotations

import pytest

from colonnade.core.transitions import IllegalTransition, edge
from colonnade.database.state import NodeState
from colonnade.database.transitions import TRANSITIONS


@pytest.mark.parametrize(("way", "row"), TRANSITIONS.items(), ids=lambda value: str(value)[:40])
def test_every_edge_says_what_it_means(way: tuple[NodeState, NodeState], row: object) -> None:
    assert edge(TRANSITIONS, *way, subject="a") is row
    assert len(edge(TRANSITIONS, *way, subject="a").sentence) > 15


@pytest.mark.parametrize(
    ("current", "goal"),
    [
        (NodeState.STANDBY, NodeState.PRIMARY),
        (NodeState.STANDBY, NodeState.PROMOTING),
        (NodeState.QUIESCED, NodeState.PRIMARY),
        (NodeState.PRIMARY, NodeState.STANDBY),
        (NodeState.REJOINING, NodeState.PRIMARY),
        (NodeState.CLONING, NodeState.STANDBY),
    ],
)
def test_dangerous_short_cuts_do_not_exist(current: NodeState, goal: NodeState) -> None:
    with pytest.raises(IllegalTransition, match=f"no way from {current.value} to {goal.value}"):
        edge(TRANSITIONS, current, goal, subject="a")
