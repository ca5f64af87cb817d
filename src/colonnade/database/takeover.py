"""The primary is gone, or is of no use: prove it dead, elect and promote another, or start it where it was. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from colonnade.core.decision import Decision
from colonnade.database.actions import (
    Action,
    EndSessions,
    Fence,
    IntendPromotion,
    NoteCause,
    ProbeLinks,
    Promote,
    Quiesce,
    StartPrimary,
    StartStandby,
)
from colonnade.database.cluster import Cluster
from colonnade.database.election import Elected, NotElected, elect
from colonnade.database.members import START_FAILURES_MAX, start_members
from colonnade.database.quorum import QuorumRule
from colonnade.database.routing import is_closed, lead_to, without_primary
from colonnade.database.state import (
    NodeName,
    NodeState,
    ObservedNode,
    Position,
    RollingRestart,
    Switchover,
)
from colonnade.database.symptoms import Symptom, connected

STEP_S = 0.005
"""Between two looks while clients wait."""

START_STEP_S = 0.02
"""Between two looks while a server starts, which takes tenths of a second."""

POLL_S = 1.0

READERS_PATIENCE_S = 0.1
"""A standby that does not stand still by then is held up by somebody who reads: replay takes milliseconds otherwise."""

ELECTION_PATIENCE_S = 2.0
"""How long a running standby may take to stand still before the election goes on without it, if it can."""

STOPPED_S_MAX = 1.0
"""Frozen by a signal for this long is no accident of a debugger; a second of waiting costs nobody an answer."""

SILENT_S_MAX = 1.5
"""On top of the second in which the first answer failed to come. A machine with both cores taken answers in tenths."""

NOT_WRITING_S_MAX = 2.0
"""On top of the second after which a local write counts as overdue."""

CUT_OFF_S_MAX = 5.0
"""Standbys that lost their primary look for it every 0.25 s; a standby's disk may be stuck for seconds and go on."""

ALONE_S_MAX = 30.0
"""With nobody to take over, a silent primary is started anew where it is; later, because that is all there is."""

TAKEOVERS_APART_S = 60.0
"""The same uncertain symptom of the same node leads to one takeover a minute: the cause may be elsewhere."""

CERTAIN = frozenset({Symptom.STOPPED})


@dataclass(frozen=True, slots=True)
class Cause:
    symptom: Symptom
    reason: str
    message: str


def take_over(cluster: Cluster, now: float) -> Decision[Action] | None:
    """Give up a primary that runs and is of no use, if somebody else can be primary; None: nothing of that kind."""
    primary = cluster.primary
    if cluster.state(primary) not in (NodeState.PRIMARY, NodeState.SILENT) or cluster.record.is_promotion_open:
        return None
    if primary.is_data_gone and _can_elect(cluster, _healthy(cluster)):
        message = f"the data directory of {primary.name} is gone while it runs"
        return _give_up(cluster, (), "primary_data_gone", message)
    cause = _cause(cluster, now)
    if cause is None:
        return None
    if cause.symptom not in CERTAIN and cluster.symptoms.acted_within(
        TAKEOVERS_APART_S, cause.symptom, primary.name, now
    ):
        return None
    return _give_up(cluster, (NoteCause(cause.symptom, primary.name),), cause.reason, cause.message)


def _give_up(cluster: Cluster, first: tuple[Action, ...], reason: str, message: str) -> Decision[Action]:
    return Decision((*first, *_fence_and_quiesce(cluster)), reason, message, STEP_S)


def _cause(cluster: Cluster, now: float) -> Cause | None:
    """What has lasted long enough, given that others are well."""
    primary, symptoms = cluster.primary, cluster.symptoms
    lasts = {symptom: symptoms.lasts_s(symptom, primary.name, now) or 0.0 for symptom in Symptom}
    healthy = _healthy(cluster)
    is_alone = not _can_elect(cluster, healthy)
    if lasts[Symptom.STOPPED] >= (ALONE_S_MAX if is_alone else STOPPED_S_MAX):
        return Cause(Symptom.STOPPED, "primary_frozen", f"{primary.name} is stopped by a signal")
    if lasts[Symptom.SILENT] >= (ALONE_S_MAX if is_alone else SILENT_S_MAX):
        message = f"{primary.name} runs and has not answered for {lasts[Symptom.SILENT] + 1.0:.1f} s"
        return Cause(Symptom.SILENT, "primary_frozen", f"{message}, while {_listed(healthy)} do")
    if lasts[Symptom.NOT_WRITING] >= NOT_WRITING_S_MAX and not is_alone:
        # All of them slow is the disk that they share: nobody would be better off with another primary.
        working = {name for name in healthy if cluster.nodes[name].disk_answers}
        if _can_elect(cluster, working):
            message = f"{primary.name} has not written for {lasts[Symptom.NOT_WRITING] + 1.0:.1f} s"
            return Cause(Symptom.NOT_WRITING, "primary_disk_stuck", f"{message}; the disk of {_listed(working)} works")
    if primary.is_disk_full:
        roomy = {name for name in healthy if not cluster.nodes[name].is_disk_full}
        if _can_elect(cluster, roomy):
            message = f"the file system of {primary.name} alone is full; {_listed(roomy)} have room"
            return Cause(Symptom.DISK_FULL, "primary_disk_full", message)
    if lasts[Symptom.CUT_OFF] >= CUT_OFF_S_MAX and not is_alone and _is_cut_off(cluster):
        candidate = next((name for name in sorted(healthy) if _has_its_own_quorum(cluster, name)), None)
        if candidate is not None:
            message = f"too few standbys reach {primary.name} for {lasts[Symptom.CUT_OFF]:.0f} s"
            return Cause(Symptom.CUT_OFF, "primary_cut_off", f"{message}, and enough of them reach {candidate}")
    return None


def probes(cluster: Cluster, now: float) -> tuple[Action, ...]:
    """What has to be found out before a cut-off primary may be given up."""
    lasts_s = cluster.symptoms.lasts_s(Symptom.CUT_OFF, cluster.primary.name, now)
    return (ProbeLinks(),) if lasts_s is not None and lasts_s >= CUT_OFF_S_MAX / 2 else ()


def _healthy(cluster: Cluster) -> set[NodeName]:
    """Voters that answer now."""
    return {
        node.name
        for node in cluster.others
        if node.answers and not node.is_stopped and not node.operation and node.name in cluster.record.voters
    }


def _can_elect(cluster: Cluster, seen: set[NodeName]) -> bool:
    return bool(seen) and cluster.rule.is_satisfied_by(seen)


def _is_cut_off(cluster: Cluster) -> bool:
    """While enough standbys stream and confirm nothing, their disks may be stuck: then it takes proof that they do not
    reach the primary."""
    is_streaming = len(connected(cluster.record, cluster.primary)) >= cluster.record.acknowledgements
    return not is_streaming or not _has_its_own_quorum(cluster, cluster.primary.name)


def _has_its_own_quorum(cluster: Cluster, name: NodeName) -> bool:
    """As many other members reach it as a COMMIT there would wait for."""
    reached_from = cluster.nodes[name].reached_from or frozenset()
    others = reached_from & cluster.record.voters - {name}
    return len(others) >= cluster.record.acknowledgements


def _listed(names: set[NodeName]) -> str:
    return ", ".join(sorted(names))


# The primary does not run.


def replace_primary(cluster: Cluster, now: float) -> Decision[Action]:
    """Elect when enough standbys run; otherwise start the primary where it was."""
    primary, request = cluster.primary, cluster.request
    running = {node.name for node in cluster.others if node.is_running and not node.is_stopped and not node.operation}
    if not cluster.rule.is_satisfied_by(running):
        why = f"{len(running)} of {len(cluster.rule.voters)} standbys run, an election needs {cluster.rule.seen_min}"
        return _restart_in_place(cluster, now, why)
    if isinstance(request, RollingRestart) and request.is_primary_first and not primary.failures:
        return _restart_in_place(cluster, now, "a parameter goes down, which the primary must know first")
    if request is None and _is_better_restarted(cluster, running, now):
        why = f"whoever of {_listed(running)} were promoted would have too few to follow"
        return _noting_start(_restart_in_place(cluster, now, why), primary.name)
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
    target = request.target if isinstance(request, Switchover) else None
    result = elect(quiet, quiet.keys(), cluster.rule, target, _outdated(cluster))
    if isinstance(result, Elected):
        return _intend(cluster, result, quiet)
    if result.reason == "too_few_standbys_seen":
        return _restart_in_place(cluster, now, result.message)
    return Decision((), result.reason, result.message, POLL_S)


def _is_better_restarted(cluster: Cluster, running: set[NodeName], now: float) -> bool:
    """Whoever were promoted would need a copy made before a COMMIT can return, which takes seconds, while the data of
    the one that died is there. Not for one that was given up or started again a moment ago: a restart mends nothing."""
    primary, record, symptoms = cluster.primary, cluster.record, cluster.symptoms
    is_enough = len(running & record.voters) - 1 >= record.acknowledgements
    has_tried = any(symptoms.acted_within(TAKEOVERS_APART_S, symptom, primary.name, now) for symptom in Symptom)
    return not is_enough and primary.exists and not primary.is_disk_full and not primary.failures and not has_tried


def _noting_start(decision: Decision[Action], name: NodeName) -> Decision[Action]:
    if not any(isinstance(action, StartPrimary) for action in decision.actions):
        return decision
    return replace(decision, actions=(NoteCause(Symptom.DIED, name), *decision.actions))


def _fence_and_quiesce(cluster: Cluster) -> tuple[Action, ...]:
    """What has to be done before positions mean anything. The endpoints come last: a gateway that does not answer
    must not hold up the rest, and the old primary is dead anyway."""
    actions: list[Action] = []
    moving = [
        node.name
        for node in cluster.others
        if cluster.state(node) is NodeState.STANDBY and node.name in cluster.record.voters
    ]
    if moving:
        # First, because the standbys do it while the old primary is being fenced.
        actions.append(Quiesce(tuple(moving)))
    if not cluster.primary.is_proved_dead:
        actions.append(Fence(cluster.primary.name))
    if actions:
        actions += lead_to(cluster, without_primary(cluster))
    return tuple(actions)


def _quiet_positions(cluster: Cluster) -> dict[NodeName, Position]:
    return {node.name: node.position for node in cluster.others if node.position is not None and _votes(cluster, node)}


def _outdated(cluster: Cluster) -> set[NodeName]:
    record = cluster.record
    return {name for name in record.members if record.joined.get(name) != record.generation}


def _votes(cluster: Cluster, node: ObservedNode) -> bool:
    return cluster.state(node) is NodeState.QUIESCED and node.is_quiet and node.name in cluster.record.voters


def _intend(cluster: Cluster, result: Elected, positions: Mapping[NodeName, Position]) -> Decision[Action]:
    intention = IntendPromotion(result.node, cluster.record.primary, tuple(sorted(positions.items())))
    closing = lead_to(cluster, without_primary(cluster, leaving=result.node))
    return Decision((intention, *closing, Promote(result.node)), "candidate_elected", result.message, 0.0)


def _restart_in_place(cluster: Cluster, now: float, why: str) -> Decision[Action]:
    """Safe because nobody else was ever meant to be promoted, and because no client gets there before what the old run
    had not replicated has waited for the standbys once more."""
    primary = cluster.primary
    if not primary.exists:
        message = f"{primary.name} has lost its data and {why}"
        return Decision(tuple(start_members(cluster, now)), "data_lost_and_no_quorum", message, POLL_S)
    actions: list[Action] = []
    if primary.dead_since_s is not None and not primary.is_proved_dead and primary.answered_before:
        actions.append(Fence(primary.name))
    if not is_closed(cluster):
        # Before it runs again: clients that are still led there would see what no standby has.
        actions += lead_to(cluster, without_primary(cluster))
    elif now >= primary.retry_at_s:
        actions.append(StartPrimary(primary.name))
    actions += start_members(cluster, now)
    message = f"{primary.name} is started where it was: {why}"
    return Decision(tuple(actions), "primary_restarts_in_place", message, START_STEP_S)


# A promotion is on disk as intended.


def promote(cluster: Cluster) -> Decision[Action]:
    node = cluster.primary
    return Decision((Promote(node.name),), "promotion_intended", f"{node.name} is elected and not yet primary", 0.0)


def resume_promotion(cluster: Cluster, now: float) -> Decision[Action]:
    """The node meant to be primary has died. No client could write to it, so it may be started again, and if that
    fails another one may be elected from the positions that were written down."""
    node, promotion = cluster.primary, cluster.record.promotion
    written_down = promotion.positions if promotion is not None else {}
    if not node.is_proved_dead:
        message = f"{node.name} died while it was being promoted"
        closing = lead_to(cluster, without_primary(cluster))
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
    rule = QuorumRule(cluster.record.voters | {node.name}, cluster.record.acknowledgements)
    result = elect({**written_down, **quiet}, quiet.keys(), rule, outdated=_outdated(cluster))
    if isinstance(result, NotElected):
        # It may have what nobody else has, so it is tried again for as long as its data is there.
        again = (StartStandby(node.name, None),) if node.exists and now >= node.retry_at_s else ()
        return Decision((*again, *start_members(cluster, now)), result.reason, result.message, POLL_S)
    return _intend(cluster, result, {**written_down, **quiet})


# The primary runs and says nothing.


def await_primary(cluster: Cluster, now: float) -> Decision[Action]:
    primary = cluster.primary
    if cluster.state(primary) is NodeState.SILENT:
        lasts_s = cluster.symptoms.lasts_s(Symptom.SILENT, primary.name, now) or 0.0
        message = f"{primary.name} runs and does not answer, for {lasts_s:.0f} s by now"
        return Decision((), "primary_silent", message, START_STEP_S)
    return Decision(tuple(start_members(cluster, now)), "primary_starting", f"{primary.name} is starting", START_STEP_S)
