"""What people are shown: the last look and the last decision, in plain words. Pure."""

from __future__ import annotations

from colonnade.core.decision import Decision
from colonnade.database.actions import Action
from colonnade.database.cluster import Cluster
from colonnade.database.state import (
    DatabaseView,
    FailoverReport,
    NodeState,
    NodeView,
    ObservedNode,
    Standing,
    format_lsn,
)


def view_of(cluster: Cluster, decision: Decision[Action], last_failover: FailoverReport | None) -> DatabaseView:
    """The cluster for `status`. Writable means: clients are led to a primary that answers, and a quorum streams."""
    record, primary = cluster.record, cluster.primary
    streaming = [f for f in primary.followers if f.state == "streaming" and f.name in record.voters]
    is_led_there = cluster.published is not None and cluster.published.primary == primary.name
    is_up = cluster.state(primary) is NodeState.PRIMARY
    return DatabaseView(
        nodes=tuple(_node_view(cluster, cluster.nodes[name]) for name in record.members),
        primary=primary.name if is_up else None,
        is_writable=is_led_there and is_up and len(streaming) >= record.acknowledgements,
        reason=decision.reason,
        message=decision.message,
        durability=_durability(record.acknowledgements, len(record.members) - 1),
        generation=record.generation,
        last_failover=last_failover,
    )


def _durability(acknowledgements: int, standbys: int) -> str:
    if acknowledgements:
        return f"quorum: a COMMIT is acknowledged when {acknowledgements} of {standbys} standbys have it on disk"
    if standbys:
        return "async: a failover may lose the last acknowledged writes"
    return "single: no standby has a copy"


def _node_view(cluster: Cluster, node: ObservedNode) -> NodeView:
    state = cluster.state(node)
    follower = next((f for f in cluster.primary.followers if f.name == node.name), None)
    head = cluster.primary.position
    reached = node.replay_lsn if node.in_recovery else (node.position.lsn if node.position else None)
    lag = head.lsn - reached if head and reached is not None and node.in_recovery else None
    if state is NodeState.PRIMARY:
        role = "primary"
    else:
        role = "standby" if cluster.record.standing[node.name] is Standing.VOTER else "rejoining"
    return NodeView(
        name=node.name,
        role=role,
        state=state,
        pid=node.pid,
        port=node.address.port if node.address else None,
        timeline=node.position.timeline if node.position else None,
        lsn=format_lsn(reached),
        lag_bytes=max(0, lag) if lag is not None else None,
        sync_state=follower.sync_state if follower else "",
    )
