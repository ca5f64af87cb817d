"""What is seen of the nodes, what is recorded about them, and what is shown: frozen data, no behaviour but reading.

Two kinds of knowledge are kept apart. `ObservedNode` is what a look at the machine says now; it may be stale a
moment later. `ClusterRecord` is what the controller has decided; it is on disk before anything follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from colonnade.core.errors import Bug

NodeName = str
"""`a`, `b`, `c`, …: also the node's application_name towards its primary, and so its name in the quorum."""

NODE_NAMES = "abcdefghi"
"""One primary and at most eight standbys."""

OWN_FREE_BYTES_MIN = 8 * 1024 * 1024
"""Two segments of WAL: below it the next write may be the one that fails."""


class NodeState(Enum):
    """What a node is, derived from a look at it and from the record (`state_of`)."""

    ABSENT = "absent"
    """No usable data directory: never cloned, or a clone that was not finished. Leaves by being cloned."""

    CLONING = "cloning"
    """A base backup is being made into a directory beside the real one. It has no vote and never had its name on
    the primary. Leaves to STOPPED when complete, back to ABSENT when it fails."""

    STOPPED = "stopped"
    """A data directory in good standing and no process. A standby may be started; a primary may be started in place
    as long as nobody else was meant to be promoted."""

    STARTING = "starting"
    """Its process runs and has not answered yet: crash recovery, or only the first milliseconds."""

    SILENT = "silent"
    """Its process runs, answered before, and does not answer now: frozen, or cut off."""

    PRIMARY = "primary"
    """Out of recovery, and the one whom the record names. There is never a second one."""

    STRAY = "stray"
    """Out of recovery although the record names another: what it takes would be lost. Fenced at sight."""

    STANDBY = "standby"
    """In recovery and told whom to follow, whether or not it is streaming at this moment."""

    QUIESCED = "quiesced"
    """In recovery and told to follow nobody: its position stands still and can be compared."""

    PROMOTING = "promoting"
    """In recovery, and the record intends it as primary. It may leave recovery at any moment, also after a time-out."""

    FENCED = "fenced"
    """Every process proved dead, and marked so that starting it by hand gives no primary. Its WAL may hold what no
    other node has, so it comes back by rewind or by clone."""

    REJOINING = "rejoining"
    """Being rewound onto the history of the new primary. No vote until it is started under its name."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Fork:
    """One line of a timeline history: `timeline` ended at `ends_at` and the next one began there."""

    timeline: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far a node has come, and on which history. LSNs are bytes since the beginning of the WAL.

    Invariant: `forks` is ordered, timelines and LSNs rise, and every fork's timeline is below `timeline`.
    """

    timeline: int
    lsn: int
    forks: tuple[Fork, ...] = ()

    def path_to(self, lsn: int) -> tuple[tuple[int, int], ...]:
        """The timelines (and where each began) that lead to `lsn` on this history."""
        begins = 0
        steps: list[tuple[int, int]] = []
        for timeline, ends_at in (*((fork.timeline, fork.ends_at) for fork in self.forks), (self.timeline, None)):
            # A timeline that begins exactly at `lsn` has contributed nothing yet, so it does not tell nodes apart.
            if not steps or begins < lsn:
                steps.append((timeline, begins))
            begins = ends_at if ends_at is not None else begins
        return tuple(steps)

    def contains(self, other: Position) -> bool:
        """True when every byte that led to `other` is on this history and has been reached."""
        return self.lsn >= other.lsn and self.path_to(other.lsn) == other.path_to(other.lsn)


@dataclass(frozen=True, slots=True)
class Follower:
    """A standby as its primary sees it. `sync_state` is PostgreSQL's word: quorum, async, …"""

    name: NodeName
    state: str
    sync_state: str
    flush_lsn: int
    replay_lsn: int
    is_current: bool = True
    """Its walsender was started after the primary's configuration was last loaded, so it acknowledges by that one."""


@dataclass(frozen=True, slots=True)
class ObservedNode:
    """One look at one node. None means: not seen, because it did not answer or the question does not apply."""

    name: NodeName
    exists: bool = False
    """It has a complete data directory."""
    is_running: bool = False
    """Its postmaster runs."""
    is_proved_dead: bool = False
    """Fenced since it last ran: no process of it is left, its marker is written, its histories are kept."""
    dead_since_s: float | None = None
    """Monotonic time at which it was first seen not running."""
    operation: str = ""
    """`clone` or `rewind` while one is under way."""
    restored_generation: int = 0
    """The generation whose primary it was last rewound onto or cloned from; 0: not by this controller."""
    answered_before: bool = False
    in_recovery: bool | None = None
    position: Position | None = None
    """Primary: flushed so far. Standby: the greatest of received and replayed."""
    replay_lsn: int | None = None
    upstream: NodeName | None = None
    """Whom it was told to follow; None: nobody (quiesced) or unknown."""
    is_quiet: bool = False
    """In recovery with no WAL receiver, and everything it has locally is replayed."""
    is_streaming: bool = False
    unlinked_since_s: float | None = None
    """Monotonic time since when it has not been streaming, though it should; None: it streams."""
    is_history_kept: bool = True
    """The history file of its timeline is where every node looks for it."""
    own_free_bytes: int | None = None
    """Free on its file system where that is not the cluster's; None where it is, as usual."""
    opening_lsn: int | None = None
    """Of a primary: its position when it was first seen out of recovery; what k others need before clients come."""
    followers: tuple[Follower, ...] = ()
    address: Address | None = None
    pid: int | None = None
    process_key: str = ""
    """Names this run of the process, so that what was granted to it is not inherited by its successor."""
    failures: int = 0
    """Starts, rewinds or clones of this node that failed in a row."""
    retry_at_s: float = 0.0
    """Monotonic time before which it is not tried again."""
    is_stopped: bool = False
    """Frozen by a signal: its postmaster, or the server process that answers us, is in the kernel's state T."""
    is_writing: bool | None = None
    """Of a primary: a local write was answered, or its WAL moved, since the last look; False: one is overdue although
    no standby has to confirm it; None: not asked."""
    quorum: str | None = None
    """synchronous_standby_names as the server has it in force."""
    disk_answers: bool | None = None
    """A small file can be written and synced beside its data; asked only while the primary's writes are overdue."""
    is_data_gone: bool = False
    """It runs, and its data directory is no longer there."""
    reached_from: frozenset[NodeName] | None = None
    """Other members that could open a replication connection to it when last tried; None: never tried."""

    has_old_settings: bool = False
    """A standby that had to start with what its data asks for, which is more than is declared by now."""
    limits: tuple[int, ...] = ()
    """Its settings that PostgreSQL compares between a standby and its primary, always in the same order."""

    @property
    def answers(self) -> bool:
        return self.in_recovery is not None

    @property
    def is_disk_full(self) -> bool:
        """Its own file system, if it has one, has no room left."""
        return self.own_free_bytes is not None and self.own_free_bytes < OWN_FREE_BYTES_MIN


class Standing(Enum):
    """What the record says of a member's data."""

    VOTER = "voter"
    """May have acknowledged writes under its name; elections must count on that."""

    FENCED = "fenced"
    """Was primary, is past a fork, or has lost its data: no vote, and no start before a rewind or a clone."""

    JOINING = "joining"
    """New: no vote and no place in anybody's quorum until its copy of the primary is complete."""

    LEAVING = "leaving"
    """About to be removed: it acknowledges no new write, and elections count on it for the earlier ones until enough
    of the others have those."""


COUNTED = frozenset({Standing.VOTER, Standing.LEAVING})
"""Members of this standing may hold an acknowledged write that no other standby has."""


class PromotionPhase(Enum):
    INTENDED = "intended"
    """On disk before the promotion is asked for: from now on nobody else may become primary without this node being
    fenced first, and the old primary may not be restarted in place."""

    CONFIRMED = "confirmed"
    """The node is primary, enough others have its history, clients may come."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """The last promotion. `positions` are those of the quiesced voters, so that the election can be repeated when
    the chosen node is lost before anyone wrote to it."""

    node: NodeName
    replaces: NodeName
    phase: PromotionPhase
    positions: Mapping[NodeName, Position] = field(default_factory=dict)


class Stage(Enum):
    CREATING = "creating"
    """Nothing of value is in the directories yet; a start that was interrupted here begins anew."""

    PREPARED = "prepared"
    """Data directories exist; roles and the database may not."""

    READY = "ready"


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """What the controller has decided. Written durably before anything is done that rests on it.

    Invariants (`check`): the primary is a member and a voter; an intended promotion names the primary, which is
    another one than it replaces.
    """

    members: tuple[NodeName, ...]
    primary: NodeName
    standing: Mapping[NodeName, Standing]
    acknowledgements: int = 0
    """How many standbys every acknowledged COMMIT has waited for, at least; elections rest on it. 0: asynchronous."""
    waits_for: int = 0
    """How many a COMMIT is to wait for from now on. Above `acknowledgements` while that is being raised."""
    system_id: str = ""
    stage: Stage = Stage.CREATING
    generation: int = 1
    """Counts promotions."""
    joined: Mapping[NodeName, int] = field(default_factory=dict)
    """In which generation each member was last known to be on the primary's history."""
    promotion: Promotion | None = None
    opened_for: str = ""
    """`process_key` of the primary that clients were let in to."""

    def check(self) -> None:
        """Raises Bug when an invariant is broken; called before every write and after every read."""
        _require(self.primary in self.members, "the primary is a member")
        _require(set(self.standing) == set(self.members), "every member has a standing")
        _require(self.standing[self.primary] is Standing.VOTER, "the primary is in good standing")
        _require(self.waits_for >= self.acknowledgements, "elections never count on more than COMMITs wait for")
        if (promotion := self.promotion) is not None and promotion.phase is PromotionPhase.INTENDED:
            _require(promotion.node == self.primary, "an intended promotion names the next primary")
            _require(promotion.node != promotion.replaces, "nobody replaces himself")

    @property
    def is_promotion_open(self) -> bool:
        return self.promotion is not None and self.promotion.phase is PromotionPhase.INTENDED

    @property
    def voters(self) -> frozenset[NodeName]:
        """Members that may have acknowledged what the primary took; the primary itself is not among them."""
        return frozenset(name for name in self.members if self.standing[name] in COUNTED and name != self.primary)

    @property
    def quorum_names(self) -> tuple[NodeName, ...]:
        """Who is named in every node's quorum. A fenced member stays: it does not run, and comes back as a voter."""
        outside = (Standing.JOINING, Standing.LEAVING)
        return tuple(name for name in self.members if self.standing[name] not in outside)

    def with_standing(self, name: NodeName, standing: Standing) -> ClusterRecord:
        joined = {**self.joined, name: self.generation} if standing is Standing.VOTER else dict(self.joined)
        return replace(self, standing={**self.standing, name: standing}, joined=joined)


@dataclass(frozen=True, slots=True)
class Routing:
    """Who serves what, by name: what `decide` wants the endpoints to be."""

    primary: NodeName | None
    standbys: tuple[NodeName, ...]


@dataclass(frozen=True, slots=True)
class Routes:
    """The same with addresses. `nodes` has every node in the order of its slot, whether or not it serves."""

    primary: Address | None
    standbys: tuple[tuple[NodeName, Address], ...]
    nodes: tuple[tuple[NodeName, Address], ...]
    primary_name: NodeName | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who the members should be, as declared."""

    standbys: int
    acknowledgements: int


@dataclass(frozen=True, slots=True)
class Switchover:
    """Somebody asked for another primary, and nothing is wrong with the present one."""

    replaces: NodeName
    target: NodeName | None
    """None: whichever standby is best."""
    deadline_s: float
    """Monotonic time at which writers have waited long enough: all stays as it is."""


@dataclass(frozen=True, slots=True)
class RollingRestart:
    """Somebody asked for every node to be started anew, one after the other."""

    old_runs: Mapping[NodeName, str]
    """`process_key` of each node when it was asked for."""
    is_primary_first: bool = False
    """A parameter goes down that standbys compare with their primary's."""


Request = Switchover | RollingRestart


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that the cluster's files are on."""

    free_bytes: int
    has_ballast: bool


@dataclass(frozen=True, slots=True)
class FailoverReport:
    """The last failover and where its time went; seconds per phase, in the order of the phases."""

    at_s: float
    old_primary: NodeName
    new_primary: NodeName
    phases_s: Mapping[str, float]
    is_finished: bool

    @property
    def total_s(self) -> float:
        """Until clients were let in again; the rejoin comes after and disturbs nobody."""
        return sum(seconds for phase, seconds in self.phases_s.items() if phase != "rejoin")


@dataclass(frozen=True, slots=True)
class NodeView:
    """One line of `colonnade db status`."""

    name: NodeName
    role: str
    state: NodeState
    pid: int | None
    port: int | None
    timeline: int | None
    lsn: str
    lag_bytes: int | None
    sync_state: str


@dataclass(frozen=True, slots=True)
class DatabaseView:
    """What `status` and `db status` show. `reason` and `message` are those of the last decision."""

    nodes: tuple[NodeView, ...]
    primary: NodeName | None
    is_writable: bool
    reason: str
    message: str
    durability: str
    generation: int
    last_failover: FailoverReport | None


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Bug(f"the record contradicts itself: {what}", subject="database")


def format_lsn(lsn: int | None) -> str:
    """PostgreSQL's own way of writing an LSN, `1/2A3B4C5D`."""
    return "" if lsn is None else f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def parse_lsn(text: str) -> int:
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def state_of(node: ObservedNode, record: ClusterRecord) -> NodeState:
    """What this node is: the look at it, read in the light of the record."""
    if node.operation:
        return NodeState.CLONING if node.operation == "clone" else NodeState.REJOINING
    if not node.is_running:
        if not node.exists:
            return NodeState.ABSENT
        fenced = node.is_proved_dead or record.standing[node.name] not in COUNTED
        return NodeState.FENCED if fenced else NodeState.STOPPED
    if not node.answers:
        return NodeState.SILENT if node.answered_before else NodeState.STARTING
    if not node.in_recovery:
        return NodeState.PRIMARY if node.name == record.primary else NodeState.STRAY
    if record.is_promotion_open and node.name == record.primary:
        return NodeState.PROMOTING
    return NodeState.QUIESCED if node.upstream is None else NodeState.STANDBY
