"""Clusters as tests write them: everything well, then one thing changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from colonnade.database.cluster import Cluster
from colonnade.database.state import (
    NODE_NAMES,
    ClusterRecord,
    Follower,
    NodeName,
    ObservedNode,
    Position,
    Routing,
    Stage,
    Standing,
)

NOW_S = 100.0


def record(standbys: int = 2, acknowledgements: int = 1, **changes: Any) -> ClusterRecord:
    members = tuple(NODE_NAMES[: 1 + standbys])
    base = ClusterRecord(
        members=members,
        primary="a",
        standing=dict.fromkeys(members, Standing.VOTER),
        acknowledgements=acknowledgements,
        waits_for=acknowledgements,
        system_id="7",
        stage=Stage.READY,
        joined=dict.fromkeys(members, 1),
        opened_for="a.1",
    )
    return replace(base, **changes)


def primary(name: NodeName = "a", *, lsn: int = 100, followers: str = "bc", **changes: Any) -> ObservedNode:
    base = ObservedNode(
        name=name,
        exists=True,
        is_running=True,
        answered_before=True,
        in_recovery=False,
        position=Position(1, lsn),
        opening_lsn=10,
        followers=tuple(Follower(f, "streaming", "quorum", lsn, lsn) for f in followers),
        process_key=f"{name}.1",
        pid=1,
    )
    return replace(base, **changes)


def standby(name: NodeName, *, lsn: int = 100, upstream: NodeName | None = "a", **changes: Any) -> ObservedNode:
    base = ObservedNode(
        name=name,
        exists=True,
        is_running=True,
        answered_before=True,
        in_recovery=True,
        position=Position(1, lsn),
        replay_lsn=lsn,
        upstream=upstream,
        is_streaming=upstream is not None,
        process_key=f"{name}.1",
        pid=2,
    )
    return replace(base, **changes)


def quiet(name: NodeName, *, lsn: int = 100, **changes: Any) -> ObservedNode:
    return standby(name, lsn=lsn, upstream=None, is_quiet=True, **changes)


def dead(name: NodeName, **changes: Any) -> ObservedNode:
    return replace(ObservedNode(name, exists=True, dead_since_s=NOW_S), **changes)


def cluster(*nodes: ObservedNode, **changes: Any) -> Cluster:
    """With the given nodes; those not given are well. `record` may be given."""
    known = changes.pop("record", record())
    given = {node.name: node for node in nodes}
    well = {name: primary(name) if name == known.primary else standby(name) for name in known.members}
    base = Cluster(known, well | given, Routing("a", ("b", "c")))
    return replace(base, **changes)
