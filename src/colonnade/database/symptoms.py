"""What is wrong with a node and for how long. Pure: a fold over looks.

A process that died is told by the kernel at once; everything else (frozen, silent, unable to write, cut off) is only
probable at first and becomes certain by lasting. Time counts only while we were looking: after a pause of our own,
nothing is known and everything begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from colonnade.database.quorum import synchronous_names
from colonnade.database.state import ClusterRecord, NodeName, NodeState, ObservedNode, Standing, state_of

PAUSE_S_MAX = 3.0
"""Two looks further apart than this prove a pause of the controller: a look takes up to 1 s, and so does a rest."""


class Symptom(Enum):
    DIED = "died"
    """Its process ended. Seen as a state, so only what was done about it is noted here."""

    STOPPED = "stopped"
    """Frozen by a signal."""

    SILENT = "silent"
    """Answered before and does not now, while its WAL does not reach anybody either."""

    NOT_WRITING = "not_writing"
    """A primary that answers and whose local writes do not come to an end."""

    CUT_OFF = "cut_off"
    """A primary whose COMMITs wait because too few standbys are connected to it, or because none of those confirms
    anything: a link that carries nothing leaves a connection that looks well until wal_sender_timeout."""

    DISK_FULL = "disk_full"
    """A primary whose own file system, which it does not share with the others, has no room left."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What one run of the primary had on disk at a look, and what enough standbys had confirmed of it. In bytes."""

    process_key: str
    flushed_lsn: int
    confirmed_lsn: int


@dataclass(frozen=True, slots=True)
class Symptoms:
    """`since_s` and `acted_at_s` are monotonic seconds."""

    looked_at_s: float | None = None
    since_s: Mapping[tuple[Symptom, NodeName], float] = field(default_factory=dict)
    acted_at_s: Mapping[tuple[Symptom, NodeName], float] = field(default_factory=dict)
    """When something was last done about it."""
    head_lsn: int = 0
    """How far the furthest standby was at the last look."""
    settled: tuple[str, str, int] | None = None
    """The primary's run, the quorum that all of its walsenders had in force, and its position when that was first
    seen: what comes later is acknowledged by that quorum."""
    confirmed: Confirmed | None = None
    """As it was at the last look; None while too few standbys are connected, or none has to confirm."""

    def lasts_s(self, symptom: Symptom, node: NodeName, now: float) -> float | None:
        """For how long, in seconds; None when it is not there."""
        since_s = self.since_s.get((symptom, node))
        return None if since_s is None else now - since_s

    def acted_within(self, duration_s: float, symptom: Symptom, node: NodeName, now: float) -> bool:
        at_s = self.acted_at_s.get((symptom, node))
        return at_s is not None and now - at_s < duration_s

    def acted(self, symptom: Symptom, node: NodeName, now: float) -> Symptoms:
        return replace(self, acted_at_s={**self.acted_at_s, (symptom, node): now})


NO_SYMPTOMS = Symptoms()


def note(before: Symptoms, record: ClusterRecord, nodes: Mapping[NodeName, ObservedNode], now: float) -> Symptoms:
    """`before`, and what this look adds to it."""
    has_paused = before.looked_at_s is None or now - before.looked_at_s > PAUSE_S_MAX
    head_lsn = max((n.position.lsn for n in nodes.values() if n.in_recovery and n.position), default=0)
    since_s: dict[tuple[Symptom, NodeName], float] = {}
    for key in _present(record, nodes):
        is_alive_after_all = key == (Symptom.SILENT, record.primary) and head_lsn > before.head_lsn
        known = None if has_paused or is_alive_after_all else before.since_s.get(key)
        since_s[key] = now if known is None else known
    primary = nodes[record.primary]
    confirmed = _confirmed(record, primary)
    cut_off = (Symptom.CUT_OFF, primary.name)
    if not has_paused and before.looked_at_s is not None and _nothing_confirmed_since(before.confirmed, confirmed):
        # What waits now has waited since that look.
        since_s[cut_off] = before.since_s.get(cut_off, before.looked_at_s)
    settled = _settled(before, record, primary)
    return replace(before, looked_at_s=now, since_s=since_s, head_lsn=head_lsn, settled=settled, confirmed=confirmed)


def _present(record: ClusterRecord, nodes: Mapping[NodeName, ObservedNode]) -> Iterator[tuple[Symptom, NodeName]]:
    for name, node in nodes.items():
        if node.is_running and node.is_stopped:
            yield Symptom.STOPPED, name
        if state_of(node, record) is NodeState.SILENT:
            yield Symptom.SILENT, name
    primary = nodes[record.primary]
    if state_of(primary, record) is NodeState.PRIMARY:
        if primary.is_writing is False:
            yield Symptom.NOT_WRITING, primary.name
        if primary.is_disk_full:
            yield Symptom.DISK_FULL, primary.name
        if record.opened_for == primary.process_key and len(connected(record, primary)) < record.acknowledgements:
            yield Symptom.CUT_OFF, primary.name


def connected(record: ClusterRecord, primary: ObservedNode) -> frozenset[NodeName]:
    """Standbys that stream from the primary and may acknowledge."""
    voters = {name for name in record.voters if record.standing[name] is Standing.VOTER}
    return frozenset(f.name for f in primary.followers if f.state == "streaming" and f.name in voters)


def _confirmed(record: ClusterRecord, primary: ObservedNode) -> Confirmed | None:
    """Up to where COMMITs are confirmed by as many connected standbys as they wait for."""
    if primary.position is None or record.opened_for != primary.process_key or not record.acknowledgements:
        return None
    names = connected(record, primary)
    flushed = sorted((f.flush_lsn for f in primary.followers if f.name in names), reverse=True)
    if len(flushed) < record.acknowledgements:
        return None
    return Confirmed(primary.process_key, primary.position.lsn, flushed[record.acknowledgements - 1])


def _nothing_confirmed_since(before: Confirmed | None, now: Confirmed | None) -> bool:
    """Of what was on the primary's disk at the look before, something was not confirmed then and is not now."""
    if before is None or now is None or before.process_key != now.process_key:
        return False
    return now.confirmed_lsn <= before.confirmed_lsn < before.flushed_lsn


def _settled(before: Symptoms, record: ClusterRecord, primary: ObservedNode) -> tuple[str, str, int] | None:
    names = synchronous_names(record.waits_for, record.quorum_names)
    is_in_force = primary.quorum == names and all(follower.is_current for follower in primary.followers)
    if not is_in_force or primary.position is None:
        return None
    if before.settled is not None and before.settled[:2] == (primary.process_key, names):
        return before.settled
    return primary.process_key, names, primary.position.lsn
