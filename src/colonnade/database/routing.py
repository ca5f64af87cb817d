"""Where clients are led. Pure."""

from __future__ import annotations

from colonnade.database.actions import Action, Publish
from colonnade.database.cluster import Cluster
from colonnade.database.disk import is_full
from colonnade.database.state import NodeName, NodeState, ObservedNode, RollingRestart, Routing, Standing

LAG_BYTES_MAX = 16 * 1024 * 1024
"""A standby further behind than this shows people the past: it gets no readers until it has nearly caught up."""

LAG_BYTES_BACK = 1024 * 1024


def lead_to(cluster: Cluster, routing: Routing) -> tuple[Action, ...]:
    return () if cluster.published == routing else (Publish(routing),)


def serving(cluster: Cluster) -> Routing:
    """Readers go to standbys that stream and are on the primary's history; writers to a primary that was opened, as
    long as the disk takes what they write."""
    standbys = tuple(node.name for node in cluster.others if _may_read(cluster, node))
    request = cluster.request
    is_next = isinstance(request, RollingRestart) and next_to_restart(cluster, request) == cluster.primary.name
    is_open = cluster.record.opened_for == cluster.primary.process_key and not is_next and not is_full(cluster)
    return Routing(cluster.primary.name if is_open else None, standbys)


def without_primary(cluster: Cluster, leaving: NodeName | None = None) -> Routing:
    """Nowhere to write; readers stay where they are, except on the node that is about to be promoted."""
    published = cluster.published.standbys if cluster.published is not None else ()
    known = tuple(name for name in published if name in cluster.nodes)
    return Routing(None, tuple(name for name in known if name != leaving and cluster.nodes[name].is_running))


def is_closed(cluster: Cluster) -> bool:
    """No client can reach any primary through the endpoints."""
    return cluster.published is not None and cluster.published.primary is None


def is_led_to(cluster: Cluster, node: ObservedNode) -> bool:
    """Writers may still reach it as the primary that it was: it must not come back before they are led away."""
    return cluster.published is None or cluster.published.primary == node.name


def _may_read(cluster: Cluster, node: ObservedNode) -> bool:
    record, primary = cluster.record, cluster.primary
    request = cluster.request
    is_next = isinstance(request, RollingRestart) and next_to_restart(cluster, request) == node.name
    return (
        cluster.state(node) is NodeState.STANDBY
        and node.is_streaming
        and not node.is_stopped
        and not is_next
        and node.upstream == primary.name
        # One that has yet to replay what came before this primary opened would show people the past.
        and (node.replay_lsn or 0) >= (primary.opening_lsn or 0)
        and _is_near(cluster, node)
        and record.standing[node.name] is Standing.VOTER
        and record.joined.get(node.name) == record.generation
    )


def _is_near(cluster: Cluster, node: ObservedNode) -> bool:
    head, is_published = cluster.primary.position, cluster.published and node.name in cluster.published.standbys
    behind = head.lsn - (node.replay_lsn or 0) if head is not None else 0
    return behind <= (LAG_BYTES_MAX if is_published else LAG_BYTES_BACK)


def next_to_restart(cluster: Cluster, request: RollingRestart) -> NodeName | None:
    """Who of the old runs is next: the primary only where it has to be first, then one standby after the other."""
    old = [name for name, run in request.old_runs.items() if name in cluster.nodes and _runs(cluster, name) == run]
    primary = cluster.record.primary
    standbys = [name for name in sorted(old) if name != primary]
    return next(iter([primary, *standbys] if primary in old and request.is_primary_first else standbys), None)


def _runs(cluster: Cluster, name: NodeName) -> str:
    return cluster.nodes[name].process_key
