"""Everything that a decision about the database rests on, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from colonnade.database.quorum import QuorumRule
from colonnade.database.state import (
    ClusterRecord,
    Disk,
    NodeName,
    NodeState,
    ObservedNode,
    Request,
    Routing,
    Wanted,
    state_of,
)
from colonnade.database.symptoms import NO_SYMPTOMS, Symptoms


@dataclass(frozen=True, slots=True)
class Cluster:
    """The record, the last look, and what is remembered or asked for beside them."""

    record: ClusterRecord
    nodes: Mapping[NodeName, ObservedNode]
    published: Routing | None = None
    """Where the endpoints lead; None: not known, as after a start of the controller."""
    symptoms: Symptoms = NO_SYMPTOMS
    wanted: Wanted | None = None
    """None: the members stay who they are."""
    request: Request | None = None
    disk: Disk | None = None
    """None: not looked at."""

    @property
    def primary(self) -> ObservedNode:
        return self.nodes[self.record.primary]

    @property
    def others(self) -> tuple[ObservedNode, ...]:
        return tuple(self.nodes[name] for name in self.record.members if name != self.record.primary)

    def state(self, node: ObservedNode) -> NodeState:
        return state_of(node, self.record)

    @property
    def rule(self) -> QuorumRule:
        """What an election must see. While members change, the record holds the stricter of both rules."""
        return QuorumRule(self.record.voters, self.record.acknowledgements)
