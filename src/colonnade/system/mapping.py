"""What one subsystem says, put into another's words. No policy: only what belongs together is named. Pure, but for ways
that lead through detours, which are written down where somebody asked for them.

A replica's number is its slot in the gateway; a database node's place among the members is its slot in dbgate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from colonnade.gateway.pools import leaving_state, service_pool, weight_of
from colonnade.gateway.state import GatewayView, Membership, PoolView, Server, ServerState
from colonnade.runtime.canary import Tally
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState
from colonnade.runtime.traffic import Traffic
from colonnade.runtime.view import RuntimeView
from colonnade.spec.model import ServiceSpec
from colonnade.system.detours import GATEWAY, STRAIGHT, Detours, replica_end

IN_GATEWAY = (ReplicaState.READY, ReplicaState.DRAINING)
"""Replicas in any other state have no place in the gateway."""

CHECK_EXPECT = "200-499"
"""As at a replica's start: an application without a readiness page answers 404, one that is not ready 503."""


NO_FACTORS: Mapping[ReplicaId, float] = {}


def service_membership(
    services: Mapping[str, ServiceSpec],
    runtime: RuntimeView,
    factors: Mapping[ReplicaId, float] = NO_FACTORS,
    detours: Detours = STRAIGHT,
) -> Membership:
    """Who is in rotation, from where the replicas are in their lives. `factors` are the parts of their weight that
    replicas get for now; those that are not named have all of it."""
    pools = []
    for name, service in services.items():
        servers = tuple(
            Server(
                slot=replica.id.number,
                address=_address(replica.id, replica.port, detours),
                state=leaving_state(service) if replica.state is ReplicaState.DRAINING else ServerState.READY,
                weight=weight_of(service, replica.id.number, factors.get(replica.id, 1.0)),
                is_unproven=replica.history.in_vain > 0,
            )
            for replica in runtime.replicas
            if replica.id.service == name and replica.state in IN_GATEWAY and replica.port is not None
        )
        pools.append(service_pool(name, service, servers, check_expect=CHECK_EXPECT))
    return Membership(tuple(pools))


def _address(replica: ReplicaId, port: int, detours: Detours) -> str:
    """Where the gateway reaches it."""
    way = detours.through(GATEWAY, replica_end(replica.service, replica.number), ("127.0.0.1", port))
    return f"{way[0]}:{way[1]}"


def answers_of(pool: PoolView) -> dict[int, Tally]:
    """Per slot, what was answered since HAProxy began: for comparing versions."""
    return {
        slot: Tally(server.requests_total, server.errors_total + server.server_errors_total, server.latency)
        for slot, server in pool.servers.items()
    }


def traffic_of(view: GatewayView, replicas: Iterable[ObservedReplica]) -> dict[ReplicaId, Traffic]:
    """Per replica that the gateway knows. Of a pool that mostly fails all are spared but the one that fails longest, of
    those that do not answer: replacing them one by one keeps the others answering what they can."""
    alive = {replica.id for replica in replicas if replica.answers}
    seen: dict[ReplicaId, Traffic] = {}
    for name, pool in view.pools.items():
        failing = {
            ReplicaId(name, slot): server.failing_since_s
            for slot, server in pool.servers.items()
            if server.failing_since_s is not None
        }
        silent = [(since, replica) for replica, since in failing.items() if replica not in alive]
        worst = min(silent)[1] if silent else None
        for slot, server in pool.servers.items():
            replica = ReplicaId(name, slot)
            is_spared = pool.is_failed_open and replica != worst
            seen[replica] = Traffic(server.in_flight, replica in failing, pool.is_failed_open, is_spared)
    return seen
