"""The controller's own memory on disk: what was decided, written before anything rests on it.

One JSON file, replaced atomically. A record that this version cannot read is an error for people, never a reason to
begin anew: the data directories are worth more than our convenience.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from colonnade.core.errors import Bug, HostError
from colonnade.core.files import read_json, write_json_durably
from colonnade.database.state import (
    ClusterRecord,
    Fork,
    Position,
    Promotion,
    PromotionPhase,
    Stage,
    Standing,
)

FORMAT = 1
"""Rises when an older Colonnade could no longer read the file."""


class RecordStore(Protocol):
    """Where the record is kept. `save` returns only when it would survive a crash; HostError when it cannot be."""

    def load(self) -> ClusterRecord | None: ...

    def save(self, record: ClusterRecord) -> None: ...


class RecordFile:
    """The record as a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> ClusterRecord | None:
        value = read_json(self._path)
        if value is None:
            return None
        if value.get("format") != FORMAT:
            raise HostError(
                f"was written by another version of Colonnade (format {value.get('format')}, expected {FORMAT})",
                subject=str(self._path),
                hint="start it with the version that wrote it",
            )
        try:
            record = record_from_json(value)
            record.check()
        except (KeyError, ValueError, TypeError, Bug) as error:
            raise HostError(
                f"does not hold a consistent record ({error!r})",
                subject=str(self._path),
                hint="restore it from a copy; the data directories beside it are untouched",
            ) from error
        return record

    def save(self, record: ClusterRecord) -> None:
        record.check()
        write_json_durably(self._path, record_to_json(record), mode=0o600)


def record_to_json(record: ClusterRecord) -> dict[str, Any]:
    promotion = record.promotion
    return {
        "format": FORMAT,
        "members": list(record.members),
        "primary": record.primary,
        "standing": {name: standing.value for name, standing in record.standing.items()},
        "acknowledgements": record.acknowledgements,
        "waits_for": record.waits_for,
        "system_id": record.system_id,
        "stage": record.stage.value,
        "generation": record.generation,
        "joined": dict(record.joined),
        "opened_for": record.opened_for,
        "promotion": None
        if promotion is None
        else {
            "node": promotion.node,
            "replaces": promotion.replaces,
            "phase": promotion.phase.value,
            "positions": {name: _position_to_json(at) for name, at in promotion.positions.items()},
        },
    }


def record_from_json(value: dict[str, Any]) -> ClusterRecord:
    promotion = value["promotion"]
    return ClusterRecord(
        members=tuple(value["members"]),
        primary=value["primary"],
        standing={name: Standing(standing) for name, standing in value["standing"].items()},
        acknowledgements=int(value["acknowledgements"]),
        # A record of an earlier version knows of no change that is under way.
        waits_for=int(value.get("waits_for", value["acknowledgements"])),
        system_id=value["system_id"],
        stage=Stage(value["stage"]),
        generation=int(value["generation"]),
        joined={name: int(generation) for name, generation in value["joined"].items()},
        opened_for=value["opened_for"],
        promotion=None
        if promotion is None
        else Promotion(
            node=promotion["node"],
            replaces=promotion["replaces"],
            phase=PromotionPhase(promotion["phase"]),
            positions={name: _position_from_json(at) for name, at in promotion["positions"].items()},
        ),
    )


def _position_to_json(position: Position) -> dict[str, Any]:
    return {
        "timeline": position.timeline,
        "lsn": position.lsn,
        "forks": [[fork.timeline, fork.ends_at] for fork in position.forks],
    }


def _position_from_json(value: dict[str, Any]) -> Position:
    forks = tuple(Fork(int(timeline), int(ends_at)) for timeline, ends_at in value["forks"])
    return Position(int(value["timeline"]), int(value["lsn"]), forks)
