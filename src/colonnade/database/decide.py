"""What to do with the cluster now. Pure: no clock, no I/O, nothing remembered.

A failover is a handful of short decisions, each made from the record and a fresh look, so a controller that dies
between two of them is continued by its successor:

    primary_died            fence it, quiesce the standbys, lead clients nowhere
    candidate_elected       every voter seen stands still: record the intention, then promote
    primary_promoted        keep its history, let the others follow, wait until enough of them have the fork
    endpoint_opened         record that, lead clients there
    member_rejoining        only now is the old primary rewound

Read `quorum.py` and `election.py` for why nothing is lost. This module never starts a promotion by itself for a
primary that runs but does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from colonnade.core.decision import Decision
from colonnade.database.actions import (
    Action,
    Admit,
    Clone,
    CreateCluster,
    Disqualify,
    EndSessions,
    Fence,
    Follow,
    IntendPromotion,
    KeepHistory,
    OpenFor,
    PrepareDatabase,
    Promote,
    Publish,
    Quiesce,
    Rejoin,
    StartPrimary,
    StartStandby,
)
from colonnade.database.election import Elected, NotElected, elect
from colonnade.database.quorum import QuorumRule, have_flushed
from colonnade.database.state import (
    ClusterRecord,
    NodeName,
    NodeState,
    ObservedNode,
    Position,
    Routing,
    Stage,
    Standing,
    format_lsn,
    state_of,
)

POLL_S = 1.0
"""Between two looks when nothing happens. Deaths wake the controller at once, so this bounds only what is silent."""

STEP_S = 0.005
"""Between two looks while clients wait."""

START_STEP_S = 0.02
"""Between two looks while a server starts, which takes tenths of a second."""

READERS_PATIENCE_S = 0.1
"""A standby that does not stand still by then is held up by somebody who reads: replay takes milliseconds otherwise."""

ELECTION_PATIENCE_S = 2.0
"""How long a running standby may take to stand still before the election goes on without it, if it can."""

START_FAILURES_MAX = 3
"""A standby that failed to start this often is cloned anew."""

COMING_UP_S = 5.0
"""A standby that does not stream after this long is looked at in the ordinary pace."""

UNLINKED_S_MAX = 20.0
"""A standby that runs and cannot stream for this long lacks WAL that the primary no longer has: it is cloned anew.
wal_receiver_timeout (5 s) and a primary's restart fit in several times."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that a decision rests on."""

    record: ClusterRecord
    nodes: Mapping[NodeName, ObservedNode]
    published: Routing | None = None
    """Where the endpoints lead; None: not known, as after a start of the controller."""

    @property
    def primary(self) -> ObservedNode:
        return self.nodes[self.record.primary]

    @property
    def others(self) -> tuple[ObservedNode, ...]:
        return tuple(self.nodes[name] for name in self.record.members if name != self.record.primary)

    def state(self, node: ObservedNode) -> NodeState:
        return state_of(node, self.record)

    @property
    def rules(self) -> tuple[QuorumRule, ...]:
        """While members change there will be two; today there is one."""
        return (QuorumRule(self.record.voters, self.record.acknowledgements),)


def decide(cluster: Cluster, now: float) -> Decision[Action]:
    """The next step towards one primary that takes writes and standbys that stream."""
    if cluster.record.stage is Stage.CREATING:
        return Decision((CreateCluster(),), "cluster_absent", "nothing is there yet: a new cluster is made", STEP_S)
    if strays := [node for node in cluster.others if cluster.state(node) is NodeState.STRAY]:
        names = ", ".join(node.name for node in strays)
        message = f"{names} left recovery although {cluster.record.primary} is primary"
        return Decision(tuple(Fence(node.name) for node in strays), "second_primary_seen", message, STEP_S)
    match cluster.state(cluster.primary):
        case NodeState.PRIMARY:
            return _serve(cluster, now)
        case NodeState.PROMOTING:
            return _promote(cluster)
        case NodeState.STARTING | NodeState.SILENT:
            return _await_primary(cluster, now)
        case NodeState.STANDBY | NodeState.QUIESCED:
            name = cluster.record.primary
            message = f"{name} is in recovery although it is primary: somebody started it by hand"
            return Decision((Fence(name),), "primary_in_recovery", message, STEP_S)
        case _ if cluster.record.is_promotion_open:
            return _resume_promotion(cluster, now)
        case _:
            return _replace_primary(cluster, now)


# The primary is gone.


def _replace_primary(cluster: Cluster, now: float) -> Decision[Action]:
    """Elect when enough standbys run; otherwise start the primary where it was."""
    primary = cluster.primary
    running = {node.name for node in cluster.others if node.is_running and not node.operation}
    if not all(rule.is_satisfied_by(running) for rule in cluster.rules):
        return _restart_in_place(cluster, now, running)
    preparation = _fence_and_quiesce(cluster)
    if preparation:
        message = f"{primary.name} does not run; {len(running)} standbys do, so one of them takes over"
        return Decision(preparation, "primary_died", message, STEP_S)
    quiet = _quiet_positions(cluster)
    waited_s = now - (primary.dead_since_s if primary.dead_since_s is not None else now)
    if quiet.keys() != running & cluster.record.voters and waited_s < ELECTION_PATIENCE_S:
        moving = sorted((running & cluster.record.voters) - quiet.keys())
        message = f"{', '.join(moving)} must stand still before positions are compared"
        # Whoever reads there would hold up the election for max_standby_streaming_delay.
        ending = [EndSessions(name) for name in moving if waited_s > READERS_PATIENCE_S and cluster.nodes[name].answers]
        return Decision(tuple(ending), "election_waits", message, STEP_S)
    result = elect(quiet, quiet.keys(), cluster.rules)
    if isinstance(result, Elected):
        return _intend(cluster, result, quiet)
    if result.reason == "too_few_standbys_seen":
        return _restart_in_place(cluster, now, set(quiet))
    return Decision((), result.reason, result.message, POLL_S)


def _fence_and_quiesce(cluster: Cluster) -> tuple[Action, ...]:
    """What has to be done before positions mean anything. The endpoints come last: a gateway that does not answer
    must not hold up the rest, and the old primary is dead anyway."""
    actions: list[Action] = []
    moving = [
        node.name
        for node in cluster.others
        if cluster.state(node) is NodeState.STANDBY and cluster.record.standing[node.name] is Standing.VOTER
    ]
    if moving:
        # First, because the standbys do it while the old primary is being fenced.
        actions.append(Quiesce(tuple(moving)))
    if not cluster.primary.is_proved_dead:
        actions.append(Fence(cluster.primary.name))
    if actions:
        actions += _lead_to(cluster, _without_primary(cluster))
    return tuple(actions)


def _quiet_positions(cluster: Cluster) -> dict[NodeName, Position]:
    return {
        node.name: node.position
        for node in cluster.others
        if cluster.state(node) is NodeState.QUIESCED
        and node.is_quiet
        and node.position is not None
        and node.name in cluster.record.voters
    }


def _intend(cluster: Cluster, result: Elected, positions: Mapping[NodeName, Position]) -> Decision[Action]:
    intention = IntendPromotion(result.node, cluster.record.primary, tuple(sorted(positions.items())))
    closing = _lead_to(cluster, _without_primary(cluster, leaving=result.node))
    return Decision((intention, *closing, Promote(result.node)), "candidate_elected", result.message, 0.0)


def _restart_in_place(cluster: Cluster, now: float, seen: set[NodeName]) -> Decision[Action]:
    """Safe because nobody else was ever meant to be promoted; what the old run had not replicated waits for the
    standbys once more before clients come (`_may_open`)."""
    primary = cluster.primary
    rule = cluster.rules[0]
    why = f"{len(seen)} of {len(rule.voters)} standbys run, an election needs {rule.seen_min}"
    if not primary.exists:
        message = f"{primary.name} has lost its data and {why}"
        return Decision(tuple(_start_members(cluster, now)), "data_lost_and_no_quorum", message, POLL_S)
    actions: list[Action] = []
    if primary.dead_since_s is not None and not primary.is_proved_dead and primary.answered_before:
        actions.append(Fence(primary.name))
    if now >= primary.retry_at_s:
        actions.append(StartPrimary(primary.name))
    actions += _start_members(cluster, now)
    if cluster.published is not None and cluster.published.primary is not None:
        actions += _lead_to(cluster, _without_primary(cluster))
    message = f"{primary.name} is started where it was: {why}"
    return Decision(tuple(actions), "primary_restarts_in_place", message, START_STEP_S)


# A promotion is on disk as intended.


def _promote(cluster: Cluster) -> Decision[Action]:
    node = cluster.primary
    return Decision((Promote(node.name),), "promotion_intended", f"{node.name} is elected and not yet primary", 0.0)


def _resume_promotion(cluster: Cluster, now: float) -> Decision[Action]:
    """The node meant to be primary has died. No client could write to it, so it may be started again, and if that
    fails another one may be elected from the positions that were written down."""
    node, promotion = cluster.primary, cluster.record.promotion
    written_down = promotion.positions if promotion is not None else {}
    if not node.is_proved_dead:
        message = f"{node.name} died while it was being promoted"
        closing = _lead_to(cluster, _without_primary(cluster))
        return Decision((Fence(node.name), *closing), "candidate_died", message, 0.0)
    if node.exists and node.failures < START_FAILURES_MAX:
        start = (StartStandby(node.name, None),) if now >= node.retry_at_s else ()
        return Decision(start, "candidate_restarts", f"{node.name} is started again to be promoted", START_STEP_S)
    preparation = _fence_and_quiesce(cluster)
    if preparation:
        message = f"{node.name} cannot be started: another one is looked for"
        return Decision(preparation, "candidate_lost", message, STEP_S)
    quiet = _quiet_positions(cluster)
    # The lost candidate voted too: its position counts, itself it cannot be chosen.
    voters = cluster.record.voters | {node.name}
    rules = [replace(rule, voters=voters) for rule in cluster.rules]
    result = elect({**written_down, **quiet}, quiet.keys(), rules)
    if isinstance(result, NotElected):
        return Decision(tuple(_start_members(cluster, now)), result.reason, result.message, POLL_S)
    return _intend(cluster, result, {**written_down, **quiet})


# The primary is there, or will be.


def _await_primary(cluster: Cluster, now: float) -> Decision[Action]:
    primary = cluster.primary
    if cluster.state(primary) is NodeState.SILENT:
        message = f"{primary.name} runs and does not answer"
        return Decision((), "primary_silent", message, START_STEP_S)
    return Decision(
        tuple(_start_members(cluster, now)), "primary_starting", f"{primary.name} is starting", START_STEP_S
    )


def _serve(cluster: Cluster, now: float) -> Decision[Action]:
    """The primary is out of recovery: get it followed, let clients in, repair the rest."""
    record, primary = cluster.record, cluster.primary
    actions: list[Action] = [*_lead_standbys(cluster)]
    if not primary.is_history_kept:
        # The others connect meanwhile; clients come only when it is kept.
        actions.append(KeepHistory(primary.name))
    if record.stage is Stage.PREPARED:
        actions += [PrepareDatabase(primary.name), *_start_members(cluster, now)]
        return Decision(tuple(actions), "database_prepared", "roles and the database are made", 0.0)
    if record.opened_for != primary.process_key:
        return _open(cluster, actions, now)
    actions += _start_members(cluster, now)
    actions += _bring_back(cluster, now)
    actions += _rewind(cluster, now)
    actions += _replace_broken(cluster, now)
    actions += _lead_to(cluster, _routing(cluster))
    return _steady(cluster, tuple(actions), now)


def _open(cluster: Cluster, actions: list[Action], now: float) -> Decision[Action]:
    """Let clients in once enough standbys have this primary's history up to where it came out of recovery."""
    primary = cluster.primary
    opening_lsn = primary.opening_lsn or 0
    flushed = [(follower.name, follower.flush_lsn) for follower in primary.followers if _counts(cluster, follower.name)]
    actions += _start_members(cluster, now)
    if not primary.is_history_kept or not have_flushed(flushed, opening_lsn, cluster.record.acknowledgements):
        actions += _bring_back(cluster, now)
        actions += _make_enough(cluster, now)
        ready, needed = sum(lsn >= opening_lsn for _, lsn in flushed), cluster.record.acknowledgements
        message = f"{ready} of the {needed} standbys needed have {primary.name}'s WAL up to {format_lsn(opening_lsn)}"
        reason = "primary_promoted" if cluster.record.is_promotion_open else "primary_waits_for_standbys"
        return Decision(tuple(actions), reason, message, STEP_S)
    opened = replace(cluster, record=replace(cluster.record, opened_for=primary.process_key))
    actions += [OpenFor(primary.name, primary.process_key), *_lead_to(opened, _routing(opened))]
    return Decision(tuple(actions), "endpoint_opened", f"{primary.name} takes writes", 0.0)


def _counts(cluster: Cluster, name: NodeName) -> bool:
    return name in cluster.record.voters


def _lead_standbys(cluster: Cluster) -> Iterator[Action]:
    """Every running standby follows the primary, unless its history says that it must not."""
    record, primary = cluster.record, cluster.primary
    for node in cluster.others:
        state = cluster.state(node)
        if state not in (NodeState.STANDBY, NodeState.QUIESCED) or node.position is None:
            continue
        if record.standing[node.name] is not Standing.VOTER:
            yield Fence(node.name)
        elif record.joined.get(node.name) == record.generation and state is NodeState.QUIESCED:
            yield Follow(node.name, primary.name)
        elif record.joined.get(node.name) != record.generation:
            if state is NodeState.STANDBY:
                yield Quiesce((node.name,))
            elif node.is_quiet and primary.position is not None:
                yield from _follow_or_fence(primary, primary.position, node)
        elif node.upstream != primary.name:
            yield Follow(node.name, primary.name)


def _follow_or_fence(primary: ObservedNode, reached: Position, node: ObservedNode) -> Iterator[Action]:
    position = node.position
    if position is not None and node.replay_lsn is not None:
        # What was received beyond the last whole record is not history: it is received again.
        position = replace(position, lsn=node.replay_lsn)
    if position is not None and reached.contains(position):
        yield Admit(node.name)
        yield Follow(node.name, primary.name)
    else:
        yield Disqualify(node.name)
        yield Fence(node.name)


def _start_members(cluster: Cluster, now: float) -> Iterator[Action]:
    """Start standbys in good standing that do not run. Who was last on this generation's history may follow at once."""
    record = cluster.record
    for node in cluster.others:
        stopped = cluster.state(node) in (NodeState.STOPPED, NodeState.FENCED) and not node.is_running
        if not stopped or record.standing[node.name] is not Standing.VOTER or now < node.retry_at_s:
            continue
        if node.failures >= START_FAILURES_MAX:
            continue  # `_replace_broken` clones it
        known = record.joined.get(node.name) == record.generation and not record.is_promotion_open
        yield StartStandby(node.name, record.primary if known else None)


def _bring_back(cluster: Cluster, now: float) -> Iterator[Action]:
    """Copy the primary for members that have nothing, and admit those that were rewound or copied.

    A voter that lost its data stays a voter: what only it and the primary had acknowledged is counted on until its
    new copy, which has all of that, is complete."""
    record = cluster.record
    for node in _idle(cluster, now):
        if not node.exists:
            yield Clone(node.name, record.primary, record.generation)
        elif record.standing[node.name] is Standing.FENCED and node.restored_generation == record.generation:
            yield Admit(node.name)
            yield StartStandby(node.name, record.primary)


def _rewind(cluster: Cluster, now: float) -> Iterator[Action]:
    """Take fenced nodes back to where they left the primary's history. It throws WAL away, so it runs only under a
    primary that serves: by then enough others have what follows the fork."""
    for node in _fenced(cluster, now):
        # A rewind that failed once is not repeated: it may have left the directory half way.
        action = Rejoin if node.failures == 0 else Clone
        yield action(node.name, cluster.record.primary, cluster.record.generation)


def _make_enough(cluster: Cluster, now: float) -> Iterator[Action]:
    """When fewer voters are left than a COMMIT waits for, a fenced node is needed before clients can come. It is
    cloned: unlike a rewind that keeps what it has until the copy is complete."""
    if len(cluster.record.voters) < cluster.record.acknowledgements:
        for node in _fenced(cluster, now):
            yield Clone(node.name, cluster.record.primary, cluster.record.generation)


def _fenced(cluster: Cluster, now: float) -> Iterator[ObservedNode]:
    record = cluster.record
    for node in _idle(cluster, now):
        is_restored = node.restored_generation == record.generation
        if node.exists and record.standing[node.name] is Standing.FENCED and not is_restored:
            yield node


def _replace_broken(cluster: Cluster, now: float) -> Iterator[Action]:
    """Clone standbys anew that do not start or cannot stream. Only under a primary that serves."""
    record = cluster.record
    for node in cluster.others:
        if node.operation or not node.exists or record.standing[node.name] is not Standing.VOTER:
            continue
        never_starts = not node.is_running and node.failures >= START_FAILURES_MAX and now >= node.retry_at_s
        if never_starts or (node.is_running and _cannot_stream(cluster, node, now)):
            yield Fence(node.name)
            yield Clone(node.name, record.primary, record.generation)


def _idle(cluster: Cluster, now: float) -> Iterator[ObservedNode]:
    """Members that do not run, with nothing under way and no pause after a failure."""
    for node in cluster.others:
        if not node.operation and not node.is_running and now >= node.retry_at_s:
            yield node


def _cannot_stream(cluster: Cluster, node: ObservedNode, now: float) -> bool:
    since_s = node.unlinked_since_s
    return cluster.state(node) is NodeState.STANDBY and since_s is not None and now - since_s > UNLINKED_S_MAX


# Where clients are led.


def _lead_to(cluster: Cluster, routing: Routing) -> tuple[Action, ...]:
    return () if cluster.published == routing else (Publish(routing),)


def _routing(cluster: Cluster) -> Routing:
    """Readers go to standbys that stream and are on the primary's history; writers to a primary that was opened."""
    record, primary = cluster.record, cluster.primary
    standbys = tuple(
        node.name
        for node in cluster.others
        if cluster.state(node) is NodeState.STANDBY
        and node.is_streaming
        and node.upstream == primary.name
        # One that has yet to replay what came before this primary opened would show people the past.
        and (node.replay_lsn or 0) >= (primary.opening_lsn or 0)
        and record.standing[node.name] is Standing.VOTER
        and record.joined.get(node.name) == record.generation
    )
    return Routing(primary.name if record.opened_for == primary.process_key else None, standbys)


def _without_primary(cluster: Cluster, leaving: NodeName | None = None) -> Routing:
    """Nowhere to write; readers stay where they are, except on the node that is about to be promoted."""
    published = cluster.published.standbys if cluster.published is not None else ()
    return Routing(None, tuple(name for name in published if name != leaving and cluster.nodes[name].is_running))


def _steady(cluster: Cluster, actions: tuple[Action, ...], now: float) -> Decision[Action]:
    streaming = sorted(f.name for f in cluster.primary.followers if f.state == "streaming" and _counts(cluster, f.name))
    serving = _routing(cluster).standbys
    wanted = len(cluster.others)
    recheck_s = STEP_S if actions else _patience_s(cluster, serving, now)
    listed = ", ".join(streaming) or "none"
    if len(streaming) < cluster.record.acknowledgements:
        message = f"writes wait: {len(streaming)} standbys stream, a COMMIT needs {cluster.record.acknowledgements}"
        return Decision(actions, "writes_wait_for_standbys", message, recheck_s)
    if len(serving) < wanted:
        message = f"{cluster.primary.name} is primary, {len(serving)} of {wanted} standbys serve ({listed} stream)"
        return Decision(actions, "member_rejoining", message, recheck_s)
    message = f"{cluster.primary.name} is primary, standbys that stream: {listed}"
    return Decision(actions, "all_well", message, recheck_s)


def _patience_s(cluster: Cluster, serving: tuple[NodeName, ...], now: float) -> float:
    """Short while a standby is just coming up. The end of a clone or rewind wakes the controller by itself."""
    for node in cluster.others:
        since_s = node.unlinked_since_s
        if node.is_running and node.name not in serving and (since_s is None or now - since_s < COMING_UP_S):
            return START_STEP_S
    return POLL_S
