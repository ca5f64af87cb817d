"""Which actions bring a live HAProxy to the desired membership."""

from __future__ import annotations

import pytest

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
    commands_for,
    describe,
)
from colonnade.gateway.dbconfig import database_membership
from colonnade.gateway.decide import SETTLE_S, decide
from colonnade.gateway.state import (
    DEAD_ADDRESS,
    Membership,
    ObservedGateway,
    ObservedServer,
    Pool,
    Server,
    ServerState,
)

READY, DRAIN, MAINT = ServerState.READY, ServerState.DRAIN, ServerState.MAINT


def web(*servers: Server) -> Membership:
    return Membership((Pool("web", 3, servers),))


def seen(membership: Membership, **changes: ObservedServer) -> ObservedGateway:
    """HAProxy exactly as `membership` has it, apart from `changes` (by server, `r1`, at both places)."""
    servers = {}
    for pool in membership.pools:
        for place in pool.where():
            for server in pool.slots():
                asis = ObservedServer(server.address or DEAD_ADDRESS, server.state, server.weight, is_up=True)
                servers[place.server(server.slot)] = changes.get(f"{place.prefix}{server.slot}", asis)
    return ObservedGateway(1, 10, servers)


def decided(observed: ObservedGateway | None, desired: Membership) -> Decision[Action]:
    return decide(observed, desired, loaded_structure="a", structure="a")


def test_nothing_is_done_when_all_is_as_desired() -> None:
    desired = web(Server(1, "h:1", READY), Server(2, "h:2", DRAIN))
    decision = decided(seen(desired), desired)
    assert (decision.actions, decision.reason) == ((), "as_desired")
    assert "2 servers" in decision.message


def test_no_process_means_a_start_and_another_structure_a_reload() -> None:
    desired = web(Server(1, "h:1", READY))
    assert decided(None, desired).actions == (Restart(),)
    other = decide(seen(desired), desired, loaded_structure="a", structure="b")
    assert (other.actions, other.reason) == ((Reload(),), "text_differs")


def test_a_pool_that_the_process_does_not_know_means_a_reload() -> None:
    decision = decided(ObservedGateway(1, 10, {}), web())
    assert (decision.actions, decision.reason) == ((Reload(),), "slot_missing")


def test_a_replica_joins_with_its_address_before_its_state() -> None:
    decision = decided(seen(web()), web(Server(2, "h:2", READY, 3)))
    assert decision.actions == (
        SetAddress("web", 2, "h:2"),
        SetWeight("web", 2, 3),
        SetState("web", 2, READY),
    )
    assert decision.message == "to be set: web/2 is at h:2, web/2 has weight 3, web/2 ready"


def test_a_replica_that_was_not_reached_is_let_in_by_its_check() -> None:
    desired = web(Server(2, "h:2", READY, is_unproven=True))
    actions = decided(seen(web()), desired).actions
    assert actions[-2:] == (SetState("web", 2, READY), Doubt("web", 2))
    commands = commands_for([action for action in actions if isinstance(action, SlotAction)], desired)
    assert commands[-2:] == ["set server web/r2 state ready", "set server web/r2 health down"]
    assert decided(seen(desired), desired).actions == (), "and once there, its checks decide"


def test_a_replica_that_left_leaves_an_empty_slot() -> None:
    before = web(Server(1, "h:1", READY))
    assert decided(seen(before), web()).actions == (SetState("web", 1, MAINT), SetAddress("web", 1, DEAD_ADDRESS))


def test_a_replacement_takes_the_slot_only_after_it_was_out() -> None:
    before, after = web(Server(1, "h:1", READY)), web(Server(1, "h:9", READY))
    assert decided(seen(before), after).actions == (
        SetState("web", 1, MAINT),
        SetAddress("web", 1, "h:9"),
        SetState("web", 1, READY),
    )


def test_who_comes_is_in_before_who_leaves_is_out() -> None:
    before, after = web(Server(1, "h:1", READY)), web(Server(2, "h:2", READY))
    actions = decided(seen(before), after).actions
    assert actions.index(SetState("web", 2, READY)) < actions.index(SetState("web", 1, MAINT))


def test_a_slot_that_is_freed_goes_by_its_health_again() -> None:
    blind = ObservedServer(DEAD_ADDRESS, MAINT, 1, is_up=False, has_checks=True, ignores_health=True)
    assert decided(seen(web(), r1=blind), web()).actions == (HeedHealth("web", 1),)


def test_a_server_that_is_merely_down_is_left_to_haproxy() -> None:
    desired = web(Server(1, "h:1", READY))
    down = ObservedServer("h:1", READY, 1, is_up=False, has_checks=True, status="DOWN")
    assert decided(seen(desired, r1=down), desired).actions == ()


def test_of_a_database_role_the_old_holder_is_cut_off_before_the_new_one_is_let_in() -> None:
    nodes = {1: "h:1", 2: "h:2"}
    before, after = database_membership(nodes, 1, [2]), database_membership(nodes, 2, [])
    actions = decided(seen(before), after).actions
    # Drained first, so that no client that merely waits is on the slot when its sessions are cut.
    steps = (
        SetState("primary", 1, DRAIN),
        Settle(SETTLE_S),
        SetState("primary", 1, MAINT),
        ShutdownSessions("primary", 1),
    )
    order = [actions.index(step) for step in steps]
    assert order == sorted(order)
    assert order[-1] < actions.index(SetState("primary", 2, READY))
    assert ShutdownSessions("standbys", 2) in actions
    assert SetState("fallback", 2, READY) in actions


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (
            SetAddress("web", 1, "127.0.0.1:80"),
            ["set server web/r1 addr 127.0.0.1 port 80", "set server web.streams/r1 addr 127.0.0.1 port 80"],
        ),
        (
            SetAddress("web", 1, "[::1]:80"),
            ["set server web/r1 addr ::1 port 80", "set server web.streams/r1 addr ::1 port 80"],
        ),
        (SetWeight("web", 2, 7), ["set server web/r2 weight 7", "set server web.streams/r2 weight 7"]),
        (SetState("web", 1, DRAIN), ["set server web/r1 state drain"]),
        (
            ShutdownSessions("web", 1),
            ["shutdown sessions server web/r1", "shutdown sessions server web.streams/r1"],
        ),
        (HeedHealth("web", 3), ["enable health web/r3"]),
    ],
)
def test_an_action_becomes_commands_at_every_place_that_does_not_merely_follow(
    action: SetAddress | SetWeight | SetState | ShutdownSessions | HeedHealth, expected: list[str]
) -> None:
    assert commands_for([action], web()) == expected


def test_what_goes_without_saying_is_not_said() -> None:
    assert describe([SetState("web", 1, MAINT), SetAddress("web", 1, DEAD_ADDRESS)]) == "web/1 maint"
