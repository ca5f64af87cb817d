"""What one subsystem says, put into another's words. Pure, and no policy: only what belongs together is named.

A replica's number is its slot in the gateway; a database node's place among the members is its slot in dbgate.
"""

from __future__ import annotations

from collections.abc import Mapping

from colonnade.gateway.config import slots_for
from colonnade.gateway.state import GatewayView, Membership, Pool, Server, ServerState
from colonnade.runtime.controller import RuntimeView
from colonnade.runtime.state import ReplicaId, ReplicaState
from colonnade.spec.derive import replica_group_of
from colonnade.spec.model import ServiceSpec

IN_ROTATION: Mapping[ReplicaState, ServerState] = {
    ReplicaState.READY: ServerState.READY,
    ReplicaState.DRAINING: ServerState.DRAIN,
}
"""Replicas in any other state have no place in the gateway."""


CHECK_EXPECT = "200-499"
"""As at a replica's start: an application without a readiness page answers 404, one that is not ready 503."""


def service_membership(services: Mapping[str, ServiceSpec], runtime: RuntimeView) -> Membership:
    """Who is in rotation, from where the replicas are in their lives."""
    pools = []
    for name, service in services.items():
        servers = tuple(
            Server(
                slot=replica.id.number,
                address=f"127.0.0.1:{replica.port}",
                state=IN_ROTATION[replica.state],
                weight=replica_group_of(service, replica.id.number).weight,
            )
            for replica in runtime.replicas
            if replica.id.service == name and replica.state in IN_ROTATION and replica.port is not None
        )
        pools.append(Pool(name, slots_for(service), servers, check_expect=CHECK_EXPECT))
    return Membership(tuple(pools))


def traffic_of(view: GatewayView) -> dict[ReplicaId, tuple[int, bool]]:
    """Per replica that the gateway knows: requests in flight, and whether its checks fail."""
    return {
        ReplicaId(pool, slot): (server.in_flight, server.is_down)
        for pool, pool_view in view.pools.items()
        for slot, server in pool_view.servers.items()
    }
