"""What people ask of a cluster that is well: another primary, or every node started anew. Pure.

A switchover stops nothing before it is sure to succeed: writers are held at the endpoint, and when a standby has all
that there is, the primary is fenced and the rest is the way that every failover takes. If no standby gets there in
time the endpoint opens again, and nothing has happened.
"""

from __future__ import annotations

from colonnade.core.decision import Decision
from colonnade.database.actions import Action, EndRequest, EndSessions, Fence
from colonnade.database.cluster import Cluster
from colonnade.database.routing import is_closed, lead_to, next_to_restart, serving, without_primary
from colonnade.database.state import NodeName, ObservedNode, RollingRestart, Switchover
from colonnade.database.symptoms import connected

STEP_S = 0.005
REST_S = 0.1

HANDOVER_LAG_BYTES_MAX = 1024 * 1024
"""A standby further behind would keep writers waiting while it catches up."""


def switch_over(cluster: Cluster, request: Switchover, actions: tuple[Action, ...], now: float) -> Decision[Action]:
    """One step of handing over to `request.target`, or to the standby that has most."""
    primary = cluster.primary
    target = _target(cluster, request)
    if request.replaces != primary.name:
        done = (EndRequest(is_done=True), *lead_to(cluster, serving(cluster)))
        return Decision((*actions, *done), "switchover_done", f"{primary.name} is primary", 0.0)
    if target is None or now > request.deadline_s:
        why = "no standby can take over at once" if target is None else f"{target.name} does not catch up in time"
        stay = (EndRequest(is_done=False), *lead_to(cluster, serving(cluster)))
        return Decision((*actions, *stay), "switchover_aborted", f"{primary.name} stays primary: {why}", 0.0)
    if not is_closed(cluster):
        closing = lead_to(cluster, without_primary(cluster))
        message = f"writers wait while {target.name} gets the last of {primary.name}'s WAL"
        return Decision((*actions, *closing), "switchover_closes_endpoint", message, STEP_S)
    if _lag_bytes(primary, target) > 0:
        # Only now: whoever is cut off while the endpoint is open comes back, and is cut off a second time.
        message = f"{target.name} lacks {_lag_bytes(primary, target)} bytes"
        return Decision((*actions, EndSessions(primary.name)), "switchover_waits", message, STEP_S)
    message = f"{target.name} has all of {primary.name}'s WAL, {primary.name} steps down"
    return Decision((*actions, Fence(primary.name)), "primary_steps_down", message, 0.0)


def _target(cluster: Cluster, request: Switchover) -> ObservedNode | None:
    """The standby to take over: named and fit, or the one that lacks least; None when there is none, or when too few
    could vote for it."""
    streaming = connected(cluster.record, cluster.primary)
    fit = [
        node
        for node in cluster.others
        if node.name in streaming
        and node.is_streaming
        and not node.is_stopped
        and _lag_bytes(cluster.primary, node) <= HANDOVER_LAG_BYTES_MAX
    ]
    if not cluster.rule.is_satisfied_by({node.name for node in cluster.others if node.answers}):
        return None
    if request.target is not None:
        return next((node for node in fit if node.name == request.target), None)
    return min(fit, key=lambda node: (_lag_bytes(cluster.primary, node), node.name), default=None)


def _lag_bytes(primary: ObservedNode, node: ObservedNode) -> int:
    if primary.position is None or node.position is None:
        return HANDOVER_LAG_BYTES_MAX + 1
    return max(0, primary.position.lsn - node.position.lsn)


def restart_next(cluster: Cluster, request: RollingRestart, actions: tuple[Action, ...]) -> Decision[Action]:
    """Start the next node anew once all the others are well; nobody is led to it by then."""
    name = next_to_restart(cluster, request)
    if failed := [node.name for node in cluster.others if not node.is_running and node.failures]:
        message = f"{', '.join(failed)} does not start any more: the others stay as they are"
        return Decision((*actions, EndRequest(is_done=False)), "restart_aborted", message, 0.0)
    if name is None:
        is_whole = len(serving(cluster).standbys) == len(cluster.others)
        done: tuple[Action, ...] = (EndRequest(is_done=True),) if is_whole else ()
        return Decision((*actions, *done), "restart_finishes", "every node was started anew", REST_S)
    if actions or not _are_well(cluster, name):
        return Decision(actions, "restart_waits", f"{name} is next, once all others are well", STEP_S)
    return Decision((*actions, Fence(name)), "node_restarts", f"{name} is started anew", STEP_S)


def _are_well(cluster: Cluster, name: NodeName) -> bool:
    return {node.name for node in cluster.others} - {name} <= set(serving(cluster).standbys)
