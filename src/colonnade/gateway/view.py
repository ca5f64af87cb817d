"""From a raw look at HAProxy to what the rest of the system wants to know: by pool and slot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from colonnade.core.histogram import EMPTY, Histogram
from colonnade.gateway.state import (
    GatewayView,
    Membership,
    ObservedBackend,
    ObservedGateway,
    ObservedServer,
    Pool,
    PoolView,
    ServerState,
    ServerView,
)

FailingSince = Mapping[tuple[str, int], float]
"""Per pool and slot, the monotonic time since when no check has passed."""


def pool_views(observed: ObservedGateway, membership: Membership, failing_since: FailingSince) -> dict[str, PoolView]:
    return {pool.name: _pool_view(pool, observed, failing_since) for pool in membership.pools}


def leading_servers(pool: Pool, observed: ObservedGateway) -> dict[int, ObservedServer]:
    """The slots of a pool that should have an address, as seen at its leading place."""
    place = pool.where()[0]
    names = {server.slot: place.server(server.slot) for server in pool.servers if server.address is not None}
    return {slot: observed.servers[name] for slot, name in names.items() if name in observed.servers}


def status_of(server: ObservedServer) -> str:
    """UP, DOWN, DRAIN, MAINT or "no check", without HAProxy's details."""
    if server.state is not ServerState.READY:
        return server.state.name
    if not server.has_checks:
        return "no check"
    return "UP" if server.is_up else "DOWN"


def went_down(before: GatewayView, after: GatewayView) -> list[tuple[str, int]]:
    """Slots that are DOWN now and were not, at the same address."""
    return [
        (name, slot)
        for name, pool in after.pools.items()
        for slot, server in pool.servers.items()
        if server.is_down and not _was_down(before, name, server)
    ]


def came_up(before: GatewayView, after: GatewayView) -> list[tuple[str, int]]:
    """Slots that were DOWN and are UP now, at the same address."""
    return [
        (name, slot)
        for name, pool in after.pools.items()
        for slot, server in pool.servers.items()
        if server.status == "UP" and _was_down(before, name, server)
    ]


def _was_down(before: GatewayView, pool: str, server: ServerView) -> bool:
    earlier = before.pools[pool].servers.get(server.slot) if pool in before.pools else None
    return earlier is not None and earlier.address == server.address and earlier.is_down


def _pool_view(pool: Pool, observed: ObservedGateway, failing_since: FailingSince) -> PoolView:
    lead, *followers = pool.where()
    leading = leading_servers(pool, observed)
    latencies = observed.latencies.get(lead.backend, {})
    views: dict[int, ServerView] = {}
    for slot, server in leading.items():
        others = [observed.servers[place.server(slot)] for place in followers]
        views[slot] = ServerView(
            slot=slot,
            address=server.address,
            status=status_of(server),
            check_status=server.check_status,
            sessions=server.sessions,
            streams=sum(other.sessions for other in others),
            queued=server.queued + sum(other.queued for other in others),
            requests_total=server.requests_total + sum(other.requests_total for other in others),
            errors_total=server.errors_total + sum(other.errors_total for other in others),
            failing_since_s=failing_since.get((pool.name, slot)),
            server_errors_total=server.server_errors_total,
            response_ms_mean=server.response_ms_mean,
            latency=latencies.get(slot, EMPTY),
        )
    return PoolView(
        servers=views,
        traffic=observed.backends.get(lead.backend, ObservedBackend()),
        streams=sum(view.streams for view in views.values()),
        is_failed_open=any(server.ignores_health for server in leading.values()),
        latency=reduce(Histogram.plus, latencies.values(), EMPTY),
    )
