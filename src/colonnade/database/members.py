"""The standbys: led to the primary, started, brought back, copied anew; and who is a member at all. Pure.

Members change one step at a time, each recorded so that the stricter of the old and the new rule always holds:

    more standbys     record JOINING, copy, record VOTER, reload: elections count on it before a COMMIT may
    fewer             record LEAVING, reload, new walsenders, enough of the rest have all: only then forget it
    fewer needed (k)  record, reload
    more needed (k)   reload, new walsenders, enough standbys have all: only then record
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from colonnade.database.actions import (
    Action,
    AddMember,
    Admit,
    Clone,
    Disqualify,
    Fence,
    Follow,
    Forget,
    Leave,
    NoteCause,
    Quiesce,
    Reconfigure,
    Rejoin,
    RestartWalsenders,
    SetAcknowledgements,
    StartStandby,
)
from colonnade.database.cluster import Cluster
from colonnade.database.quorum import have_flushed, synchronous_names
from colonnade.database.routing import is_led_to
from colonnade.database.state import COUNTED, NODE_NAMES, NodeName, NodeState, ObservedNode, Position, Standing
from colonnade.database.symptoms import Symptom, connected

START_FAILURES_MAX = 3
"""A standby that failed to start this often is cloned anew."""

UNLINKED_S_MAX = 20.0
"""A standby that runs and cannot stream for this long lacks WAL that the primary no longer has: it is cloned anew.
wal_receiver_timeout (5 s) and a primary's restart fit in several times."""

FROZEN_S_MAX = 5.0
"""A standby that is stopped or silent for this long is killed and started again. Nobody waits for it meanwhile, unless
COMMITs need every standby."""

RESTARTS_APART_S = 60.0

# Following.


def lead_standbys(cluster: Cluster) -> Iterator[Action]:
    """Every running standby follows the primary, unless its history says that it must not."""
    record, primary = cluster.record, cluster.primary
    for node in cluster.others:
        state = cluster.state(node)
        if state not in (NodeState.STANDBY, NodeState.QUIESCED) or node.position is None:
            continue
        if record.standing[node.name] not in COUNTED:
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


def start_members(cluster: Cluster, now: float) -> Iterator[Action]:
    """Start standbys in good standing that do not run. Who was last on this generation's history may follow at once."""
    record = cluster.record
    for node in cluster.others:
        stopped = cluster.state(node) in (NodeState.STOPPED, NodeState.FENCED) and not node.is_running
        if not stopped or record.standing[node.name] not in COUNTED or now < node.retry_at_s:
            continue
        if node.failures >= START_FAILURES_MAX or is_led_to(cluster, node):
            continue  # `replace_broken` clones it; or writers would still reach it
        known = record.joined.get(node.name) == record.generation and not record.is_promotion_open
        yield StartStandby(node.name, record.primary if known else None)


def restart_frozen(cluster: Cluster, now: float) -> Iterator[Action]:
    """Kill standbys that run and are of no use; `start_members` starts them again."""
    for node in cluster.others:
        if not node.is_running or node.operation:
            continue
        for symptom in (Symptom.STOPPED, Symptom.SILENT):
            lasts_s = cluster.symptoms.lasts_s(symptom, node.name, now)
            is_new = not cluster.symptoms.acted_within(RESTARTS_APART_S, symptom, node.name, now)
            if lasts_s is not None and lasts_s >= FROZEN_S_MAX and (is_new or symptom is Symptom.STOPPED):
                yield NoteCause(symptom, node.name)
                yield Fence(node.name)
                break
        if node.is_data_gone:
            yield Fence(node.name)


def restart_outdated(cluster: Cluster) -> Iterator[Action]:
    """Start standbys anew that have other limits than the primary, one at a time.

    One that has less stops to replay as soon as its primary's limits reach it; its next start takes what its data asks
    for. One that had to start with more than is declared goes back to that when the primary has it, or else it would
    take its limits along as the next primary."""
    primary = cluster.primary
    for node in cluster.others:
        if cluster.state(node) is not NodeState.STANDBY or len(node.limits) != len(primary.limits):
            continue
        behind = primary.position.lsn - (node.replay_lsn or 0) if primary.position is not None else 0
        has_less = any(own < its for own, its in zip(node.limits, primary.limits, strict=True))
        has_more = any(own > its for own, its in zip(node.limits, primary.limits, strict=True))
        if (has_less and behind > 0) or (has_more and node.has_old_settings and behind <= 0):
            yield Fence(node.name)
            return


# Coming back.


def admit_restored(cluster: Cluster, now: float) -> Iterator[Action]:
    """Members that were rewound or copied vote again, then start."""
    record = cluster.record
    for node in _idle(cluster, now):
        is_restored = node.exists and node.restored_generation == record.generation
        is_outside = record.standing[node.name] in (Standing.FENCED, Standing.JOINING)
        if is_restored and is_outside and not is_led_to(cluster, node):
            yield Admit(node.name)
            yield StartStandby(node.name, record.primary)


def copy_for_absent(cluster: Cluster, now: float) -> Iterator[Action]:
    """Copy the primary for members that have nothing.

    A voter that lost its data stays a voter: what only it and the primary had acknowledged is counted on until its
    new copy, which has all of that, is complete."""
    record = cluster.record
    for node in _idle(cluster, now):
        if not node.exists and record.standing[node.name] is not Standing.LEAVING:
            yield Clone(node.name, record.primary, record.generation)


def rewind(cluster: Cluster, now: float) -> Iterator[Action]:
    """Take fenced nodes back to where they left the primary's history. It throws WAL away, so it runs only under a
    primary that serves: by then enough others have what follows the fork."""
    for node in _outdated(cluster, now):
        # A rewind that failed once is not repeated: it may have left the directory half way.
        can_rewind = cluster.record.standing[node.name] is Standing.FENCED and node.failures == 0
        action = Rejoin if can_rewind else Clone
        yield action(node.name, cluster.record.primary, cluster.record.generation)


def make_enough(cluster: Cluster, now: float) -> Iterator[Action]:
    """When fewer voters are of use than a COMMIT waits for, another one is needed before clients can come. It is
    cloned: unlike a rewind that keeps what it has until the copy is complete. Otherwise copies wait until clients are
    in: they would take the processor from whoever lets them in."""
    useful = {node.name for node in cluster.others if node.exists and not _is_broken(cluster, node, now)}
    if len(useful & cluster.record.voters) < cluster.record.acknowledgements:
        yield from copy_for_absent(cluster, now)
        for node in _outdated(cluster, now):
            yield Clone(node.name, cluster.record.primary, cluster.record.generation)
        yield from replace_broken(cluster, now)


def _outdated(cluster: Cluster, now: float) -> Iterator[ObservedNode]:
    """Who has to be rewound or copied. On a full disk of its own neither can end well, and a rewind that fails half way
    has spoilt what was there: that node waits for room."""
    record = cluster.record
    for node in _idle(cluster, now):
        is_restored = node.restored_generation == record.generation
        is_outdated = node.exists and record.standing[node.name] not in COUNTED and not is_restored
        if is_outdated and not node.is_disk_full:
            yield node


def replace_broken(cluster: Cluster, now: float) -> Iterator[Action]:
    """Clone standbys anew that do not start or cannot stream."""
    record = cluster.record
    for node in cluster.others:
        is_voter = record.standing[node.name] is Standing.VOTER
        can_be_cloned = node.exists and not node.operation and now >= node.retry_at_s
        if is_voter and can_be_cloned and _is_broken(cluster, node, now):
            yield Fence(node.name)
            yield Clone(node.name, record.primary, record.generation)


def _is_broken(cluster: Cluster, node: ObservedNode, now: float) -> bool:
    if node.is_running:
        return _cannot_stream(cluster, node, now)
    return node.failures >= START_FAILURES_MAX


def _idle(cluster: Cluster, now: float) -> Iterator[ObservedNode]:
    """Members that do not run, with nothing under way and no pause after a failure."""
    for node in cluster.others:
        if not node.operation and not node.is_running and now >= node.retry_at_s:
            yield node


def _cannot_stream(cluster: Cluster, node: ObservedNode, now: float) -> bool:
    since_s = node.unlinked_since_s
    # A primary that nobody reaches is not mended by copying it.
    others_stream = bool(connected(cluster.record, cluster.primary) - {node.name}) or len(cluster.others) == 1
    is_cut = cluster.state(node) is NodeState.STANDBY and since_s is not None and now - since_s > UNLINKED_S_MAX
    return is_cut and others_stream


# Who is a member.


def change_members(cluster: Cluster) -> Iterator[Action]:
    """The next step towards the members that are wanted, under a primary that serves."""
    record = cluster.record
    text = synchronous_names(record.waits_for, record.quorum_names)
    outdated = [node for node in cluster.nodes.values() if node.answers and node.quorum not in (None, text)]
    if outdated:
        for node in outdated:
            yield Reconfigure(node.name)
        return
    leaving = [name for name in record.members if record.standing[name] is Standing.LEAVING]
    if leaving or record.waits_for > record.acknowledgements:
        yield from _tighten(cluster, leaving)
    elif cluster.wanted is not None:
        yield from _next_change(cluster, cluster.wanted.standbys, cluster.wanted.acknowledgements)


def _tighten(cluster: Cluster, leaving: list[NodeName]) -> Iterator[Action]:
    """The new quorum is written. Once every walsender goes by it and enough standbys have all that was acknowledged
    under the old one, the old one is forgotten."""
    record, primary, settled = cluster.record, cluster.primary, cluster.symptoms.settled
    if any(not follower.is_current for follower in primary.followers):
        yield RestartWalsenders(primary.name)
        return
    if settled is None or settled[0] != primary.process_key:
        return
    flushed = [(f.name, f.flush_lsn) for f in primary.followers if f.name in record.quorum_names]
    if have_flushed(flushed, settled[2], record.waits_for):
        for name in leaving:
            yield from _remove(cluster, name)
        if not leaving:
            yield SetAcknowledgements(record.waits_for, record.waits_for)


def _next_change(cluster: Cluster, standbys: int, acknowledgements: int) -> Iterator[Action]:
    record = cluster.record
    is_busy = any(record.standing[name] is Standing.JOINING for name in record.members)
    if acknowledgements < record.acknowledgements:
        yield SetAcknowledgements(acknowledgements, acknowledgements)
    elif len(record.members) - 1 < standbys:
        yield AddMember(next(name for name in NODE_NAMES if name not in record.members))
    elif len(record.members) - 1 > standbys:
        name = _least_useful(cluster)
        # Who has no vote has acknowledged nothing that others lack.
        if record.standing[name] in COUNTED:
            yield Leave(name)
        else:
            yield from _remove(cluster, name)
    elif acknowledgements > record.acknowledgements and not is_busy:
        yield SetAcknowledgements(acknowledgements, record.acknowledgements)


def _remove(cluster: Cluster, name: NodeName) -> Iterator[Action]:
    if not cluster.nodes[name].operation:  # its copy in the making ends with it
        yield Fence(name)
    yield Forget(name)


def _least_useful(cluster: Cluster) -> NodeName:
    """Whoever has no vote, then whoever does not stream, then the last one."""
    streaming = connected(cluster.record, cluster.primary)
    standing = cluster.record.standing
    names = [node.name for node in cluster.others]
    return max(names, key=lambda name: (standing[name] not in COUNTED, name not in streaming, name))
