"""What must be done so that HAProxy is as desired: pure, by comparing the last look with the membership.

A server that is merely DOWN is never taken out here: that is HAProxy's own, quicker doing, and `failopen.py` bounds
it. An address changes only while its slot is out (MAINT), so no request that was meant for one replica ever reaches
another. Applying the actions and deciding again gives none.
"""

from __future__ import annotations

from colonnade.core.decision import Decision
from colonnade.gateway.actions import (
    Action,
    Doubt,
    HeedHealth,
    Reload,
    Restart,
    SetAddress,
    SetState,
    Settle,
    SetWeight,
    ShutdownSessions,
    SlotAction,
    describe,
)
from colonnade.gateway.state import DEAD_ADDRESS, Membership, ObservedGateway, ObservedServer, Pool, Server, ServerState

SETTLE_S = 0.01
"""A connection that is refused on loopback is so within 1 ms; ten times that for a busy machine."""


def decide(
    observed: ObservedGateway | None, desired: Membership, *, loaded_structure: str, structure: str
) -> Decision[Action]:
    """`observed` is None when no process runs. A *structure* is a digest of the text with all slots empty: what the
    live process was started with, and what it would be started with now."""
    if observed is None:
        return Decision(
            (Restart(),), "not_running", "no HAProxy is running: one is started with the servers in its text"
        )
    if loaded_structure != structure:
        return Decision(
            (Reload(),), "text_differs", "what changed cannot be set in a live HAProxy: its text is reloaded"
        )
    if missing := _missing(observed, desired):
        return Decision((Reload(),), "slot_missing", f"the live HAProxy has no server {missing}: its text is reloaded")
    actions: list[Action] = []
    for pool in desired.pools:
        actions += _pool_actions(pool, observed)
    # Sessions are cut per slot, and a client that waits is on a slot for the moment of each try: cut then, it would be
    # turned away. So nobody tries a slot any more when its sessions are cut.
    if drains := [SetState(at.pool, at.slot, ServerState.DRAIN) for at in actions if isinstance(at, ShutdownSessions)]:
        actions = [*drains, Settle(SETTLE_S), *actions]
    if not actions:
        count = sum(len(pool.servers) for pool in desired.pools)
        return Decision((), "as_desired", f"all {count} servers are as desired")
    return Decision(tuple(actions), "membership_differs", f"to be set: {describe(actions)}")


def _missing(observed: ObservedGateway, desired: Membership) -> str | None:
    names = (place.server(slot) for pool in desired.pools for place in pool.where() for slot in (1, pool.slots_max))
    return next((name for name in names if name not in observed.servers), None)


def _pool_actions(pool: Pool, observed: ObservedGateway) -> list[SlotAction]:
    coming: list[SlotAction] = []
    leaving: list[SlotAction] = []
    for server in pool.slots():
        seen = [observed.servers[place.server(server.slot)] for place in pool.where()]
        side = coming if server.state is ServerState.READY else leaving
        side += _slot_actions(pool, server, seen)
    # A service is never without anybody in between; a role of the database never has two holders.
    return leaving + coming if pool.exclusive else coming + leaving


def _slot_actions(pool: Pool, server: Server, seen: list[ObservedServer]) -> list[SlotAction]:
    """`seen` has the slot at each place, the leading one first."""
    name, slot = pool.name, server.slot
    actions: list[SlotAction] = []
    state = seen[0].state
    address = server.address or DEAD_ADDRESS
    moves = any(at.address != address for at in seen)
    if state is not ServerState.MAINT and (moves or server.state is ServerState.MAINT):
        actions.append(SetState(name, slot, ServerState.MAINT))
        state = ServerState.MAINT
        if pool.exclusive:
            actions.append(ShutdownSessions(name, slot))
    if moves:
        actions.append(SetAddress(name, slot, address))
    if server.address is None:
        if seen[0].ignores_health:
            actions.append(HeedHealth(name, slot))
        return actions
    if any(at.weight != server.weight for at in seen):
        actions.append(SetWeight(name, slot, server.weight))
    if state is not server.state:
        actions.append(SetState(name, slot, server.state))
        if server.is_unproven and server.state is ServerState.READY:
            # HAProxy takes whoever comes for healthy until a check has failed, which is a third of a second.
            actions.append(Doubt(name, slot))
    return actions
