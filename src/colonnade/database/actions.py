"""What the controller can do to the nodes, the record and the endpoints, as values.

Each action on a node has a goal: the state it leads to (`transitions.py` says which goals are reachable from where).
Each is safe to repeat.
"""

from __future__ import annotations

from dataclasses import dataclass

from colonnade.database.state import NodeName, NodeState, Position, Routing
from colonnade.database.symptoms import Symptom


@dataclass(frozen=True, slots=True)
class CreateCluster:
    """Make the data directories of a new, empty cluster."""


@dataclass(frozen=True, slots=True)
class PrepareDatabase:
    """Make roles and the database on the primary, or find them made."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class StartPrimary:
    """Start in place: allowed only for the node that the record names."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class StartStandby:
    """Start as a standby of `upstream`; None: of nobody, so that its position can be compared first."""

    node: NodeName
    upstream: NodeName | None


@dataclass(frozen=True, slots=True)
class Fence:
    """Prove every process of the node dead and mark its directory."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class Quiesce:
    """Make the nodes follow nobody, at once and side by side."""

    nodes: tuple[NodeName, ...]


@dataclass(frozen=True, slots=True)
class EndSessions:
    """End clients' sessions on a standby: an open read holds up its replay."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class Follow:
    """Make a running standby follow `upstream`."""

    node: NodeName
    upstream: NodeName


@dataclass(frozen=True, slots=True)
class IntendPromotion:
    """Record who shall be primary, before anything is done about it."""

    node: NodeName
    replaces: NodeName
    positions: tuple[tuple[NodeName, Position], ...]


@dataclass(frozen=True, slots=True)
class Promote:
    """End the node's client sessions and promote it."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class KeepHistory:
    """Copy the node's timeline histories to where every node looks for them."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class OpenFor:
    """Record that this run of the primary may have clients; confirms an open promotion."""

    node: NodeName
    process_key: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Make the endpoints lead to these nodes."""

    routing: Routing


@dataclass(frozen=True, slots=True)
class Disqualify:
    """Record that the node is past a fork: no vote until it has been rewound or cloned."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Rewind a fenced node onto the primary's history."""

    node: NodeName
    upstream: NodeName
    generation: int


@dataclass(frozen=True, slots=True)
class Clone:
    """Copy the primary into a new directory for the node; what it had is thrown away once the copy is complete."""

    node: NodeName
    upstream: NodeName
    generation: int


@dataclass(frozen=True, slots=True)
class Admit:
    """Record that the node votes (again): always before it is started under its name."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class AddMember:
    """Record a new member that has neither data nor a vote."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class Leave:
    """Record that the member is to go: named in no quorum from the next reload on, and still counted on."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class Forget:
    """Record the members without this one, and remove its data."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class SetAcknowledgements:
    """Record how many standbys a COMMIT is to wait for, and how many elections may count on."""

    waits_for: int
    acknowledgements: int


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Write a running node's configuration anew and have it loaded."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class RestartWalsenders:
    """End the primary's walsenders that were started under an earlier quorum; standbys connect again at once."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class ReleaseBallast:
    """Give the room of the ballast file back."""


@dataclass(frozen=True, slots=True)
class RefillBallast:
    """Take the room for the ballast file again."""


@dataclass(frozen=True, slots=True)
class NoteCause:
    """Remember that something is being done about this symptom of the node."""

    symptom: Symptom
    node: NodeName


@dataclass(frozen=True, slots=True)
class ProbeLinks:
    """Find out which members reach each other; seen by the next looks."""


@dataclass(frozen=True, slots=True)
class EndRequest:
    """What somebody asked for is done, or given up."""

    is_done: bool


Action = (
    CreateCluster
    | PrepareDatabase
    | StartPrimary
    | StartStandby
    | Fence
    | Quiesce
    | EndSessions
    | Follow
    | IntendPromotion
    | Promote
    | KeepHistory
    | OpenFor
    | Publish
    | Disqualify
    | Rejoin
    | Clone
    | Admit
    | AddMember
    | Leave
    | Forget
    | SetAcknowledgements
    | Reconfigure
    | RestartWalsenders
    | ReleaseBallast
    | RefillBallast
    | NoteCause
    | ProbeLinks
    | EndRequest
)

GOALS: dict[type, NodeState] = {
    StartPrimary: NodeState.PRIMARY,
    StartStandby: NodeState.STANDBY,
    Fence: NodeState.FENCED,
    Follow: NodeState.STANDBY,
    IntendPromotion: NodeState.PROMOTING,
    Promote: NodeState.PRIMARY,
    Rejoin: NodeState.REJOINING,
    Clone: NodeState.CLONING,
}
"""Actions that are not here change no node's state."""


def goals_of(action: Action) -> tuple[tuple[NodeName, NodeState], ...]:
    """Which nodes the action takes where."""
    match action:
        case Quiesce(nodes):
            return tuple((node, NodeState.QUIESCED) for node in nodes)
        case StartStandby(node, None):
            return ((node, NodeState.QUIESCED),)
        case StartPrimary() | StartStandby() | Fence() | Follow() | IntendPromotion() | Promote() | Rejoin() | Clone():
            return ((action.node, GOALS[type(action)]),)
        case _:
            return ()


EVENT_KINDS: dict[type, str] = {
    CreateCluster: "cluster_created",
    PrepareDatabase: "database_prepared",
    StartPrimary: "node_started",
    StartStandby: "node_started",
    Fence: "node_fenced",
    Quiesce: "standbys_quiesced",
    EndSessions: "sessions_ended",
    Follow: "upstream_changed",
    IntendPromotion: "promotion_intended",
    Promote: "node_promoted",
    KeepHistory: "history_kept",
    OpenFor: "endpoint_opened",
    Disqualify: "node_disqualified",
    Rejoin: "rewind_started",
    Clone: "clone_started",
    Admit: "node_admitted",
    AddMember: "member_added",
    Leave: "member_leaving",
    Forget: "member_removed",
    SetAcknowledgements: "quorum_changed",
    Reconfigure: "node_reconfigured",
    RestartWalsenders: "walsenders_restarted",
    ReleaseBallast: "ballast_released",
    RefillBallast: "ballast_refilled",
    EndRequest: "request_ended",
}
"""What is told once the action is done, in the past tense."""

NOT_TOLD: frozenset[type] = frozenset({Publish, NoteCause, ProbeLinks})
"""New routes are told when the endpoints have them; the others change nothing."""
