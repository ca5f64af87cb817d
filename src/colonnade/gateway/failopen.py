"""When more than half of a pool would be out, checks are not believed: everybody is sent to again. Pure.

HAProxy has no such rule of its own. The usual cause is not that most replicas broke at once but that what the check
asks is shared, or that all are too busy to answer in time; taking them out would turn slowness into an outage.
While the pool is open, HAProxy's checks are off and the controller asks each replica itself, until half of them pass.
"""

from __future__ import annotations

from collections.abc import Mapping

from colonnade.core.decision import Decision
from colonnade.gateway.actions import HeedHealth, IgnoreHealth, SlotAction
from colonnade.gateway.state import ObservedServer, Pool, Server, ServerState

LOOKS_BEFORE_OPEN = 2
"""Consecutive looks, half a second apart: a replica that just died is taken out of the membership well before. When
nobody is left who could answer, one look is enough: until then all are turned away."""

REFUSED = "L4CON"
"""HAProxy's word for a refused connection: nothing listens there, and sending to it would help nobody."""


def is_open(pool: Pool, servers: Mapping[int, ObservedServer]) -> bool:
    """True while the checks of any slot in rotation are off. The live process is the memory: a controller that was
    restarted sees it as well."""
    return any(servers[server.slot].ignores_health for server in _in_rotation(pool, servers))


def decide_fail_open(
    pool: Pool, servers: Mapping[int, ObservedServer], probes: Mapping[int, bool], bad_looks: int
) -> Decision[SlotAction]:
    """`probes` are the controller's own results while open; `bad_looks` counts looks in a row, this one included, at
    which `is_mostly_out` held."""
    ready = _in_rotation(pool, servers)
    slots = [server.slot for server in ready]
    if is_open(pool, servers):
        passing = [slot for slot in slots if probes.get(slot, False)]
        numbers = f"{len(passing)} of {len(slots)} replicas of {pool.name} pass their check"
        if 2 * len(passing) >= len(slots):
            heed = tuple(HeedHealth(pool.name, slot) for slot in slots if servers[slot].ignores_health)
            return Decision(heed, "health_is_back", f"{numbers}: checks decide again")
        # A check that was under way when they were switched off still takes its server out.
        rest = tuple(IgnoreHealth(pool.name, slot) for slot in slots if not _is_sent_to(servers[slot]))
        return Decision(rest, "still_failed_open", f"{numbers}, less than half: all are sent to")
    if not is_mostly_out(pool, servers):
        return Decision((), "enough_are_up", f"at least half of the {len(slots)} replicas of {pool.name} are up")
    out = sum(not servers[slot].is_up for slot in slots)
    numbers = f"{out} of {len(slots)} replicas of {pool.name} fail their check"
    if bad_looks < LOOKS_BEFORE_OPEN and out < len(slots):
        return Decision((), "waiting_for_another_look", f"{numbers}, seen {bad_looks} time(s)")
    ignore = tuple(IgnoreHealth(pool.name, slot) for slot in slots)
    return Decision(ignore, "most_are_out", f"{numbers}: checks are ignored, all are sent to")


def _is_sent_to(server: ObservedServer) -> bool:
    return server.ignores_health and (server.is_up or server.check_status == REFUSED)


def is_mostly_out(pool: Pool, servers: Mapping[int, ObservedServer]) -> bool:
    """More than half of the replicas in rotation that listen at all are down."""
    listening = [
        servers[server.slot]
        for server in _in_rotation(pool, servers)
        if servers[server.slot].is_up or servers[server.slot].check_status != REFUSED
    ]
    return 2 * sum(not server.is_up for server in listening) > len(listening)


def _in_rotation(pool: Pool, servers: Mapping[int, ObservedServer]) -> list[Server]:
    return [
        server
        for server in pool.servers
        if server.state is ServerState.READY
        and server.slot in servers
        and servers[server.slot].has_checks
        and servers[server.slot].state is ServerState.READY
    ]
