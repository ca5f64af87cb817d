"""What each decision does to the record. Pure: from one record to the next."""

from __future__ import annotations

from dataclasses import replace

from colonnade.database import actions as act
from colonnade.database.config import acknowledgements_of
from colonnade.database.state import (
    NODE_NAMES,
    ClusterRecord,
    NodeName,
    Promotion,
    PromotionPhase,
    Standing,
)
from colonnade.spec.model import DatabaseSpec


def new_record(spec: DatabaseSpec) -> ClusterRecord:
    members = tuple(NODE_NAMES[: 1 + spec.standbys])
    return ClusterRecord(
        members=members,
        primary=members[0],
        standing=dict.fromkeys(members, Standing.VOTER),
        acknowledgements=acknowledgements_of(spec),
        waits_for=acknowledgements_of(spec),
        joined=dict.fromkeys(members, 1),
    )


def intended(record: ClusterRecord, action: act.IntendPromotion) -> ClusterRecord:
    """The node becomes the record's primary in a new generation, and whom it replaces loses its standing. A primary
    is not on its way out, whatever was meant before."""
    promotion = Promotion(action.node, action.replaces, PromotionPhase.INTENDED, dict(action.positions))
    generation = record.generation + 1
    return replace(
        record,
        primary=action.node,
        standing={**record.standing, action.replaces: Standing.FENCED, action.node: Standing.VOTER},
        generation=generation,
        joined={**record.joined, action.node: generation},
        promotion=promotion,
        opened_for="",
    )


def opened(record: ClusterRecord, process_key: str) -> ClusterRecord:
    promotion = record.promotion
    if promotion is not None:
        promotion = replace(promotion, phase=PromotionPhase.CONFIRMED, positions={})
    return replace(record, opened_for=process_key, promotion=promotion)


def added(record: ClusterRecord, node: NodeName) -> ClusterRecord:
    members = tuple(sorted({*record.members, node}))
    return replace(record, members=members, standing={**record.standing, node: Standing.JOINING})


def forgotten(record: ClusterRecord, node: NodeName) -> ClusterRecord:
    """Without the node, also in what an election may fall back on."""
    promotion = record.promotion
    if promotion is not None:
        positions = {name: at for name, at in promotion.positions.items() if name != node}
        promotion = replace(promotion, positions=positions)
    return replace(
        record,
        members=tuple(name for name in record.members if name != node),
        standing={name: standing for name, standing in record.standing.items() if name != node},
        joined={name: generation for name, generation in record.joined.items() if name != node},
        promotion=promotion,
    )
