"""Safety of the gateway's decisions, for any membership and any state of HAProxy."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from colonnade.gateway.actions import (
    Action,
    Doubt,
    HeedHealth,
    IgnoreHealth,
    Reload,
    Restart,
    SetAddress,
    SetState,
    Settle,
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

SLOTS = 3

ADDRESSES = ("127.0.0.1:15000", "127.0.0.1:15001", "127.0.0.1:15002")

SERVERS = [(address, state, weight) for address in ADDRESSES for state in ServerState for weight in (1, 3)]
"""What may be desired of a slot; built once, because drawing each field by itself took most of the time."""

OBSERVED = [
    ObservedServer(address, state, weight, is_up=is_up, has_checks=True, ignores_health=ignores, sessions=sessions)
    for address in (*ADDRESSES, DEAD_ADDRESS)
    for state in ServerState
    for weight in (1, 3)
    for is_up in (True, False)
    for ignores in (True, False)
    for sessions in (0, 2)
]

slots = st.lists(st.none() | st.sampled_from(SERVERS), min_size=SLOTS, max_size=SLOTS)
looks = st.lists(st.sampled_from(OBSERVED), min_size=4 * SLOTS, max_size=4 * SLOTS)


def membership_of(web: list[tuple[str, ServerState, int] | None], *more: Pool, exclusive: bool) -> Membership:
    servers = tuple(Server(slot, *wanted) for slot, wanted in enumerate(web, start=1) if wanted is not None)
    return Membership((Pool("web", SLOTS, servers, exclusive=exclusive), *more))


def observed_of(membership: Membership, found: list[ObservedServer]) -> ObservedGateway:
    """Anything HAProxy may look like, with the slots of `membership`."""
    remaining = iter(found)
    servers: dict[str, ObservedServer] = {}
    for pool in membership.pools:
        for place in pool.where():
            for slot in range(1, SLOTS + 1):
                server = next(remaining)
                if place.follows:
                    server = replace(server, has_checks=False, ignores_health=False)
                servers[place.server(slot)] = server
    return ObservedGateway(1, 1, servers)


API = Pool("api", SLOTS, (Server(1, "127.0.0.1:16000", ServerState.READY),))

Situation = tuple[Membership, ObservedGateway]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    membership = membership_of(draw(slots), API, exclusive=draw(st.booleans()))
    return membership, observed_of(membership, draw(looks))


def applied(observed: ObservedGateway, membership: Membership, action: Action) -> ObservedGateway:
    """What HAProxy looks like afterwards."""
    if isinstance(action, Settle):
        return observed
    assert not isinstance(action, Reload | Restart)
    found = dict(observed.servers)
    pool = membership.pool(action.pool)
    assert pool is not None
    for place in pool.where():
        name = place.server(action.slot)
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
            case Doubt():
                found[name] = replace(server, is_up=False)
            case IgnoreHealth():
                found[name] = replace(server, ignores_health=server.has_checks, is_up=True)
            case ShutdownSessions():
                found[name] = replace(server, sessions=0)
    return replace(observed, servers=found)


def decided(observed: ObservedGateway, membership: Membership) -> tuple[Action, ...]:
    return decide(observed, membership, loaded_structure="a", structure="a").actions


@given(situations())
def test_applying_and_deciding_again_gives_nothing(situation: Situation) -> None:
    membership, observed = situation
    for action in decided(observed, membership):
        observed = applied(observed, membership, action)
    assert decided(observed, membership) == ()


@given(situations())
def test_an_address_changes_only_while_its_slot_is_out(situation: Situation) -> None:
    membership, observed = situation
    for action in decided(observed, membership):
        if isinstance(action, SetAddress):
            pool = membership.pool(action.pool)
            assert pool is not None
            assert observed.servers[pool.where()[0].server(action.slot)].state is ServerState.MAINT
        observed = applied(observed, membership, action)


@given(situations())
def test_nobody_in_rotation_has_an_address_that_was_not_meant(situation: Situation) -> None:
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
def test_whether_a_server_is_up_changes_no_decision(situation: Situation) -> None:
    """So a server is never taken out because it is DOWN, the last one least of all."""
    membership, observed = situation
    down = {name: replace(server, is_up=False, status="DOWN") for name, server in observed.servers.items()}
    assert decided(observed, membership) == decided(replace(observed, servers=down), membership)


@given(situations())
def test_of_an_exclusive_pool_nobody_enters_before_all_who_leave_are_out(
    situation: Situation,
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
    situation: Situation, bad_looks: int, probes: dict[int, bool]
) -> None:
    membership, observed = situation
    for pool in membership.pools:
        found = {slot: observed.servers[pool.where()[0].server(slot)] for slot in range(1, SLOTS + 1)}
        ready = {server.slot for server in pool.servers if server.state is ServerState.READY}
        decision = decide_fail_open(pool, found, probes, bad_looks)
        assert {action.slot for action in decision.actions} <= ready
        kinds = {type(action) for action in decision.actions}
        assert kinds <= {IgnoreHealth} or kinds <= {HeedHealth}
