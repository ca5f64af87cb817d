"""Safety of the gateway's decisions, for any membership and any state of HAProxy."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from colonnade.gateway.actions import (
    Action,
    HeedHealth,
    IgnoreHealth,
    SetAddress,
    SetState,
    SetWeight,
    ShutdownSessions,
)
from colonnade.gateway.decide import decide
from colonnade.gateway.failopen import decide_fail_open
from colonnade.gateway.state import (
    DEAD_ADDRESS,
    Membership,
    ObservedGateway,
    ObservedServer,
    Pool,
    Server,
    ServerState,
)

SLOTS = 4

addresses = st.sampled_from([f"127.0.0.1:{port}" for port in range(15000, 15006)])
states = st.sampled_from(ServerState)


@st.composite
def servers(draw: st.DrawFn) -> tuple[Server, ...]:
    slots = draw(st.sets(st.integers(1, SLOTS)))
    return tuple(Server(slot, draw(addresses), draw(states), draw(st.integers(1, 4))) for slot in sorted(slots))


@st.composite
def memberships(draw: st.DrawFn) -> Membership:
    names = draw(st.sets(st.sampled_from(["web", "api"]), min_size=1))
    exclusive = draw(st.booleans())
    return Membership(tuple(Pool(name, SLOTS, draw(servers()), exclusive=exclusive) for name in sorted(names)))


@st.composite
def observed_of(draw: st.DrawFn, membership: Membership) -> ObservedGateway:
    """Anything HAProxy may look like, with the slots of `membership`."""
    found: dict[str, ObservedServer] = {}
    for pool in membership.pools:
        for place in pool.where():
            for slot in range(1, SLOTS + 1):
                found[place.server(slot)] = ObservedServer(
                    draw(st.one_of(addresses, st.just(DEAD_ADDRESS))),
                    draw(states),
                    draw(st.integers(1, 4)),
                    is_up=draw(st.booleans()),
                    has_checks=not place.follows,
                    ignores_health=not place.follows and draw(st.booleans()),
                    sessions=draw(st.integers(0, 2)),
                )
    return ObservedGateway(1, 1, found)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Membership, ObservedGateway]:
    membership = draw(memberships())
    return membership, draw(observed_of(membership))


def applied(observed: ObservedGateway, membership: Membership, action: Action) -> ObservedGateway:
    """What HAProxy looks like afterwards."""
    found = dict(observed.servers)
    assert not isinstance(action, type(None))
    pool = membership.pool(action.pool) if hasattr(action, "pool") else None
    assert pool is not None
    for place in pool.where():
        name = place.server(getattr(action, "slot", 0))
        server = found[name]
        match action:
            case SetAddress(address=address):
                found[name] = replace(server, address=address)
            case SetWeight(weight=weight):
                found[name] = replace(server, weight=weight)
            case SetState(state=state):
                # A place that follows is told its state by the leading one.
                found[name] = replace(server, state=state)
            case HeedHealth():
                found[name] = replace(server, ignores_health=False)
            case IgnoreHealth():
                found[name] = replace(server, ignores_health=server.has_checks, is_up=True)
            case ShutdownSessions():
                found[name] = replace(server, sessions=0)
            case _:
                raise AssertionError(f"unexpected {action}")
    return replace(observed, servers=found)


def decided(observed: ObservedGateway, membership: Membership) -> tuple[Action, ...]:
    return decide(observed, membership, loaded_structure="a", structure="a").actions


@given(situations())
def test_applying_and_deciding_again_gives_nothing(situation: tuple[Membership, ObservedGateway]) -> None:
    membership, observed = situation
    for action in decided(observed, membership):
        observed = applied(observed, membership, action)
    assert decided(observed, membership) == ()


@given(situations())
def test_an_address_changes_only_while_its_slot_is_out(situation: tuple[Membership, ObservedGateway]) -> None:
    membership, observed = situation
    for action in decided(observed, membership):
        if isinstance(action, SetAddress):
            pool = membership.pool(action.pool)
            assert pool is not None
            assert observed.servers[pool.where()[0].server(action.slot)].state is ServerState.MAINT
        observed = applied(observed, membership, action)


@given(situations())
def test_nobody_in_rotation_has_an_address_that_was_not_meant(situation: tuple[Membership, ObservedGateway]) -> None:
    """After each action by itself: a server that was made READY here has the address of its slot."""
    membership, observed = situation
    for action in decided(observed, membership):
        observed = applied(observed, membership, action)
        if isinstance(action, SetState) and action.state is ServerState.READY:
            pool = membership.pool(action.pool)
            assert pool is not None
            wanted = next(server for server in pool.servers if server.slot == action.slot)
            for place in pool.where():
                assert observed.servers[place.server(action.slot)].address == wanted.address


@given(situations())
def test_whether_a_server_is_up_changes_no_decision(situation: tuple[Membership, ObservedGateway]) -> None:
    """So a server is never taken out because it is DOWN, the last one least of all."""
    membership, observed = situation
    down = {name: replace(server, is_up=False, status="DOWN") for name, server in observed.servers.items()}
    assert decided(observed, membership) == decided(replace(observed, servers=down), membership)


@given(situations())
def test_of_an_exclusive_pool_nobody_enters_before_all_who_leave_are_out(
    situation: tuple[Membership, ObservedGateway],
) -> None:
    membership, observed = situation
    for pool in (pool for pool in membership.pools if pool.exclusive):
        actions = [action for action in decided(observed, membership) if getattr(action, "pool", "") == pool.name]
        wanted = {server.slot for server in pool.servers if server.state is ServerState.READY}
        enters = [
            index
            for index, action in enumerate(actions)
            if isinstance(action, SetState) and action.state is ServerState.READY
        ]
        leaves = [
            index
            for index, action in enumerate(actions)
            if isinstance(action, SetState) and action.slot not in wanted and action.state is ServerState.MAINT
        ]
        assert not enters or not leaves or max(leaves) < min(enters)


@given(situations(), st.integers(0, 3), st.dictionaries(st.integers(1, SLOTS), st.booleans()))
def test_failing_open_never_touches_who_is_not_in_rotation(
    situation: tuple[Membership, ObservedGateway], bad_looks: int, probes: dict[int, bool]
) -> None:
    membership, observed = situation
    for pool in membership.pools:
        found = {slot: observed.servers[pool.where()[0].server(slot)] for slot in range(1, SLOTS + 1)}
        ready = {server.slot for server in pool.servers if server.state is ServerState.READY}
        decision = decide_fail_open(pool, found, probes, bad_looks)
        assert {action.slot for action in decision.actions} <= ready
        kinds = {type(action) for action in decision.actions}
        assert kinds <= {IgnoreHealth} or kinds <= {HeedHealth}
