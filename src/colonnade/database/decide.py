"""What to do with the cluster now. Pure: no clock, no I/O, nothing remembered.

A failover is a handful of short decisions, each made from the record and a fresh look, so a controller that dies
between two of them is continued by its successor:

    primary_died            fence it, quiesce the standbys, lead clients nowhere        takeover.py
    candidate_elected       every voter seen stands still: record the intention, then promote
    primary_promoted        keep its history, let the others follow, wait until enough of them have the fork
    endpoint_opened         record that, lead clients there
    member_rejoining        only now is the old primary rewound                         members.py

A primary that runs and is of no use (frozen, mute, its disk stuck, cut off) is given up for a cause that lasts
(`symptoms.py`); one that nothing is wrong with steps down when asked (`planned.py`). Both take the same way from
the fence on. Read `quorum.py` and `election.py` for why nothing is lost.
"""

from __future__ import annotations

from dataclasses import replace

from colonnade.core.decision import Decision
from colonnade.database.actions import (
    Action,
    CreateCluster,
    EndRequest,
    Fence,
    KeepHistory,
    OpenFor,
    PrepareDatabase,
)
from colonnade.database.cluster import Cluster
from colonnade.database.disk import describe, is_full, relief
from colonnade.database.members import (
    admit_restored,
    change_members,
    copy_for_absent,
    lead_standbys,
    make_enough,
    replace_broken,
    restart_frozen,
    restart_outdated,
    rewind,
    start_members,
)
from colonnade.database.planned import restart_next, switch_over
from colonnade.database.quorum import have_flushed
from colonnade.database.routing import lead_to, serving, without_primary
from colonnade.database.state import NodeState, RollingRestart, Stage, Switchover, format_lsn
from colonnade.database.symptoms import Symptom, connected
from colonnade.database.takeover import (
    START_STEP_S,
    STEP_S,
    await_primary,
    probes,
    promote,
    replace_primary,
    resume_promotion,
    take_over,
)

POLL_S = 1.0
"""Between two looks when nothing happens. Deaths wake the controller at once, so this bounds only what is silent."""

COMING_UP_S = 5.0
"""A standby that does not stream after this long is looked at in the ordinary pace."""


def decide(cluster: Cluster, now: float) -> Decision[Action]:
    """The next step towards one primary that takes writes and standbys that stream."""
    decision = _decide(cluster, now)
    # First, because all the rest may need the room.
    return replace(decision, actions=(*relief(cluster), *decision.actions))


def _decide(cluster: Cluster, now: float) -> Decision[Action]:
    if cluster.record.stage is Stage.CREATING:
        return Decision((CreateCluster(),), "cluster_absent", "nothing is there yet: a new cluster is made", STEP_S)
    if strays := [node for node in cluster.others if cluster.state(node) is NodeState.STRAY]:
        names = ", ".join(node.name for node in strays)
        message = f"{names} left recovery although {cluster.record.primary} is primary"
        return Decision(tuple(Fence(node.name) for node in strays), "second_primary_seen", message, STEP_S)
    if (giving_up := take_over(cluster, now)) is not None:
        return giving_up
    match cluster.state(cluster.primary):
        case NodeState.PRIMARY:
            return _serve(cluster, now)
        case NodeState.PROMOTING:
            return promote(cluster)
        case NodeState.STARTING | NodeState.SILENT:
            return await_primary(cluster, now)
        case NodeState.STANDBY | NodeState.QUIESCED:
            name = cluster.record.primary
            message = f"{name} is in recovery although it is primary: somebody started it by hand"
            return Decision((Fence(name),), "primary_in_recovery", message, STEP_S)
        case _ if cluster.record.is_promotion_open:
            return resume_promotion(cluster, now)
        case _:
            return replace_primary(cluster, now)


def _serve(cluster: Cluster, now: float) -> Decision[Action]:
    """The primary is out of recovery: get it followed, let clients in, repair the rest."""
    record, primary = cluster.record, cluster.primary
    actions: list[Action] = [*lead_standbys(cluster)]
    if not primary.is_history_kept:
        # The others connect meanwhile; clients come only when it is kept. Having it first would not spare a standby the
        # old timeline's end: it asks from the beginning of a segment, which is of that timeline.
        actions.append(KeepHistory(primary.name))
    if record.stage is Stage.PREPARED:
        actions += [PrepareDatabase(primary.name), *start_members(cluster, now)]
        return Decision(tuple(actions), "database_prepared", "roles and the database are made", 0.0)
    if record.opened_for != primary.process_key:
        return _open(cluster, actions, now)
    if isinstance(cluster.request, Switchover):
        return switch_over(cluster, cluster.request, tuple(actions), now)
    actions += start_members(cluster, now)
    actions += restart_frozen(cluster, now)
    actions += restart_outdated(cluster)
    actions += probes(cluster, now)
    actions += admit_restored(cluster, now)
    actions += copy_for_absent(cluster, now)
    actions += rewind(cluster, now)
    actions += replace_broken(cluster, now)
    # Who is a member changes only while nobody has to be repaired: one thing at a time, and on fresh looks.
    changes = () if actions else tuple(change_members(cluster))
    actions += [*changes, *lead_to(cluster, serving(cluster))]
    if isinstance(cluster.request, RollingRestart):
        return restart_next(cluster, cluster.request, tuple(actions))
    if changes:
        members = f"{len(record.members) - 1} standbys, a COMMIT waits for {record.waits_for}"
        message = f"{members}: on the way to {_wanted(cluster)}"
        return Decision(tuple(actions), "members_change", message, START_STEP_S)
    return _steady(cluster, tuple(actions), now)


def _wanted(cluster: Cluster) -> str:
    wanted = cluster.wanted
    if wanted is None:
        return "one configuration for all"
    return f"{wanted.standbys} standbys, of whom a COMMIT waits for {wanted.acknowledgements}"


def _open(cluster: Cluster, actions: list[Action], now: float) -> Decision[Action]:
    """Let clients in once enough standbys have this primary's history up to where it came out of recovery."""
    primary = cluster.primary
    opening_lsn = primary.opening_lsn or 0
    record = cluster.record
    flushed = [(follower.name, follower.flush_lsn) for follower in primary.followers if follower.name in record.voters]
    # Whoever can acknowledge must be known as one of this generation: elections go by that. A controller that died had
    # perhaps admitted it and not written it down; then it is looked at and admitted once more.
    unknown = [name for name, _ in flushed if record.joined.get(name) != record.generation]
    actions += start_members(cluster, now)
    if unknown or not primary.is_history_kept or not have_flushed(flushed, opening_lsn, record.acknowledgements):
        actions += admit_restored(cluster, now)
        actions += restart_frozen(cluster, now)
        actions += make_enough(cluster, now)
        # The endpoints may still lead to the old primary, which must not come back while they do.
        actions += lead_to(cluster, without_primary(cluster))
        ready, needed = sum(lsn >= opening_lsn for _, lsn in flushed), record.acknowledgements
        message = f"{ready} of the {needed} standbys needed have {primary.name}'s WAL up to {format_lsn(opening_lsn)}"
        if unknown:
            message += f"; {', '.join(unknown)} must be admitted again"
        reason = "primary_promoted" if record.is_promotion_open else "primary_waits_for_standbys"
        return Decision(tuple(actions), reason, message, STEP_S)
    opened = replace(cluster, record=replace(cluster.record, opened_for=primary.process_key))
    actions += [OpenFor(primary.name, primary.process_key), *lead_to(opened, serving(opened))]
    if isinstance(cluster.request, Switchover):
        actions.append(EndRequest(is_done=cluster.record.primary != cluster.request.replaces))
    return Decision(tuple(actions), "endpoint_opened", f"{primary.name} takes writes", 0.0)


def _steady(cluster: Cluster, actions: tuple[Action, ...], now: float) -> Decision[Action]:
    record, primary = cluster.record, cluster.primary
    streaming = sorted(connected(record, primary))
    serves = serving(cluster).standbys
    wanted = len(cluster.others)
    recheck_s = STEP_S if actions else _patience_s(cluster, serves, now)
    listed = ", ".join(streaming) or "none"
    if is_full(cluster):
        return Decision(actions, "disk_full", f"writes wait for room: {describe(cluster)} are needed", recheck_s)
    if primary.is_writing is False and cluster.symptoms.lasts_s(Symptom.NOT_WRITING, primary.name, now):
        message = f"{primary.name} answers and cannot write, and its standbys' disk is no better"
        return Decision(actions, "disk_is_slow", message, recheck_s)
    if len(streaming) < record.acknowledgements:
        message = f"writes wait: {len(streaming)} standbys stream, a COMMIT needs {record.acknowledgements}"
        return Decision(actions, "writes_wait_for_standbys", message, recheck_s)
    if len(serves) < wanted:
        message = f"{primary.name} is primary, {len(serves)} of {wanted} standbys serve ({listed} stream)"
        return Decision(actions, "member_rejoining", message, recheck_s)
    return Decision(actions, "all_well", f"{primary.name} is primary, standbys that stream: {listed}", recheck_s)


def _patience_s(cluster: Cluster, serves: tuple[str, ...], now: float) -> float:
    """Short while a standby is just coming up. The end of a clone or rewind wakes the controller by itself."""
    for node in cluster.others:
        since_s = node.unlinked_since_s
        if node.is_running and node.name not in serves and (since_s is None or now - since_s < COMING_UP_S):
            return START_STEP_S
    return POLL_S
