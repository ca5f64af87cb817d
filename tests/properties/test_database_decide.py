"""Whatever the nodes look like: what `decide` wants is allowed, and explains itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from colonnade.core.transitions import edge
from colonnade.database import actions as act
from colonnade.database.actions import EVENT_KINDS, NOT_TOLD, goals_of
from colonnade.database.cluster import Cluster
from colonnade.database.decide import decide
from colonnade.database.disk import MIB
from colonnade.database.state import (
    ClusterRecord,
    Disk,
    Follower,
    Fork,
    NodeName,
    NodeState,
    ObservedNode,
    Position,
    Promotion,
    PromotionPhase,
    Request,
    RollingRestart,
    Routing,
    Stage,
    Standing,
    Switchover,
    Wanted,
    state_of,
)
from colonnade.database.symptoms import Symptom, Symptoms
from colonnade.database.transitions import TRANSITIONS

MEMBERS = ("a", "b", "c", "d")
NOW_S = 100.0

positions = st.one_of(
    st.builds(Position, st.just(1), st.integers(0, 20)),
    st.builds(Position, st.just(2), st.integers(0, 20), st.just((Fork(1, 10),))),
)


@st.composite
def nodes(draw: st.DrawFn, name: NodeName, members: tuple[NodeName, ...]) -> ObservedNode:
    running, exists = draw(st.booleans()), draw(st.integers(0, 5)) > 0
    answers = running and draw(st.integers(0, 3)) > 0
    in_recovery = draw(st.integers(0, 3)) > 0 if answers else None
    upstream = draw(st.sampled_from((None, *members))) if in_recovery else None
    followers = tuple(
        Follower(other, "streaming", "quorum", draw(st.integers(0, 20)), 0)
        for other in members
        if in_recovery is False and other != name and draw(st.booleans())
    )
    return ObservedNode(
        name=name,
        exists=exists,
        is_running=running,
        is_proved_dead=not running and draw(st.booleans()),
        dead_since_s=None if running else draw(st.floats(90.0, NOW_S)),
        operation="" if running else draw(st.sampled_from(("", "", "", "clone", "rewind"))),
        restored_generation=draw(st.integers(0, 2)),
        answered_before=answers or draw(st.booleans()),
        in_recovery=in_recovery,
        position=draw(positions) if answers else None,
        replay_lsn=draw(st.integers(0, 20)) if in_recovery else None,
        upstream=upstream,
        is_quiet=bool(in_recovery) and upstream is None and draw(st.booleans()),
        is_streaming=upstream is not None and draw(st.booleans()),
        unlinked_since_s=draw(st.one_of(st.none(), st.floats(50.0, NOW_S))),
        is_history_kept=draw(st.booleans()),
        opening_lsn=draw(st.integers(0, 20)) if in_recovery is False else None,
        followers=followers,
        process_key=f"{name}.1" if running else "",
        failures=draw(st.integers(0, 4)),
        retry_at_s=draw(st.sampled_from((0.0, NOW_S + 1))),
        is_stopped=running and draw(st.integers(0, 4)) == 0,
        is_writing=draw(st.sampled_from((None, True, False))) if in_recovery is False else None,
        quorum=draw(st.sampled_from((None, 'ANY 1 ("a", "b")', ""))) if answers else None,
        disk_answers=draw(st.sampled_from((None, True, False))),
        is_data_gone=running and draw(st.integers(0, 9)) == 0,
        reached_from=draw(st.sampled_from((None, frozenset(members) - {name}))),
    )


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    members = MEMBERS[: draw(st.integers(1, 4))]
    primary: NodeName = draw(st.sampled_from(members))
    standing = {name: draw(st.sampled_from(tuple(Standing))) for name in members} | {primary: Standing.VOTER}
    others: list[NodeName] = [name for name in members if name != primary]
    promotion = None
    is_promoted: bool = draw(st.booleans())
    if others and is_promoted:
        replaced = draw(st.sampled_from(others))
        written_down = {name: draw(positions) for name in members if draw(st.booleans())}
        promotion = Promotion(primary, replaced, draw(st.sampled_from(tuple(PromotionPhase))), written_down)
    acknowledgements = draw(st.integers(0, len(others)))
    record = ClusterRecord(
        members=members,
        primary=primary,
        standing=standing,
        acknowledgements=acknowledgements,
        waits_for=draw(st.integers(acknowledgements, len(others))),
        stage=draw(st.sampled_from((Stage.PREPARED, Stage.READY, Stage.READY, Stage.READY))),
        generation=2,
        joined={name: draw(st.integers(1, 2)) for name in members},
        promotion=promotion,
        opened_for=draw(st.sampled_from(("", f"{primary}.1"))),
    )
    record.check()
    leads_to: NodeName | None = draw(st.sampled_from((None, *members)))
    published = Routing(leads_to, tuple(others)) if draw(st.booleans()) else None
    seen = {name: draw(nodes(name, members)) for name in members}
    # Only members that are not the record's primary are ever cloned or rewound.
    seen[primary] = replace(seen[primary], operation="")
    keys = st.tuples(st.sampled_from(tuple(Symptom)), st.sampled_from(members))
    symptoms = Symptoms(
        since_s=draw(st.dictionaries(keys, st.floats(50.0, NOW_S), max_size=3)),
        acted_at_s=draw(st.dictionaries(keys, st.floats(50.0, NOW_S), max_size=2)),
        settled=draw(st.sampled_from((None, (f"{primary}.1", "", 5)))),
    )
    requests: st.SearchStrategy[Request | None] = st.one_of(
        st.none(),
        st.builds(Switchover, st.sampled_from(members), st.sampled_from((None, *members)), st.floats(90.0, 110.0)),
        st.builds(RollingRestart, st.just({name: f"{name}.1" for name in members}), st.booleans()),
    )
    wanted = draw(st.one_of(st.none(), st.builds(Wanted, st.integers(0, 4), st.integers(0, 2))))
    disks = st.builds(Disk, st.sampled_from((0, 40 * MIB, 10**10)), st.booleans())
    return Cluster(record, seen, published, symptoms, wanted, draw(requests), draw(st.one_of(st.none(), disks)))


@given(clusters())
def test_every_goal_has_an_edge(cluster: Cluster) -> None:
    states = {name: state_of(node, cluster.record) for name, node in cluster.nodes.items()}
    for action in decide(cluster, NOW_S).actions:
        for name, goal in goals_of(action):
            edge(TRANSITIONS, states[name], goal, subject=name)
            states[name] = goal


@given(clusters())
def test_decisions_are_deterministic_and_explain_themselves(cluster: Cluster) -> None:
    decision = decide(cluster, NOW_S)
    assert decision == decide(cluster, NOW_S)
    assert decision.reason.isidentifier()
    assert len(decision.message) > 5
    assert all((type(action) in EVENT_KINDS) != (type(action) in NOT_TOLD) for action in decision.actions)


@given(clusters())
def test_nobody_becomes_primary_beside_another(cluster: Cluster) -> None:
    record = cluster.record
    out_of_recovery = {name for name, node in cluster.nodes.items() if node.in_recovery is False}
    for action in decide(cluster, NOW_S).actions:
        if isinstance(action, act.IntendPromotion):
            assert cluster.nodes[action.replaces].is_proved_dead
            assert not out_of_recovery
            assert cluster.nodes[action.node].is_quiet
        elif isinstance(action, act.StartPrimary):
            assert action.node == record.primary
            assert not record.is_promotion_open, "no restart in place once a promotion is intended"
            assert not out_of_recovery
            assert cluster.published is not None, "no writer may be led to it"
            assert cluster.published.primary is None, "no writer may be led to it"
        elif isinstance(action, act.Publish) and action.routing.primary is not None:
            assert out_of_recovery == {action.routing.primary}


@given(clusters())
def test_members_change_only_to_what_elections_count_on(cluster: Cluster) -> None:
    record = cluster.record
    for action in decide(cluster, NOW_S).actions:
        if isinstance(action, act.Forget):
            assert record.standing[action.node] is not Standing.VOTER, "first it leaves"
            assert action.node != record.primary
        elif isinstance(action, act.SetAcknowledgements):
            assert action.acknowledgements <= action.waits_for
            if action.acknowledgements > record.acknowledgements:
                assert action.waits_for == record.waits_for, "a COMMIT has to wait for more before an election may"
                assert cluster.symptoms.settled is not None


@given(clusters())
def test_promotion_counts_on_everyone_who_may_have_acknowledged(cluster: Cluster) -> None:
    record = cluster.record
    for action in decide(cluster, NOW_S).actions:
        if isinstance(action, act.IntendPromotion):
            seen = dict(action.positions)
            winner = seen[action.node]
            voters = record.voters
            assert all(winner.contains(at) for name, at in seen.items() if name in voters)
            if record.acknowledgements:
                assert len(seen.keys() & (voters | {record.primary})) >= len(voters) - record.acknowledgements + 1


@given(clusters())
def test_rewind_waits_for_a_primary_that_serves(cluster: Cluster) -> None:
    record = cluster.record
    serving = cluster.primary.in_recovery is False and record.opened_for == cluster.primary.process_key
    states = {name: state_of(node, record) for name, node in cluster.nodes.items()}
    for action in decide(cluster, NOW_S).actions:
        if isinstance(action, act.Rejoin):
            assert serving
            assert states[action.node] is NodeState.FENCED
