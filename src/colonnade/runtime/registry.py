"""What a next controller must know to adopt the replicas of this one: one small file, rewritten at each change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from colonnade.core.errors import HostError
from colonnade.core.files import read_json, write_json_atomically
from colonnade.core.processes import ProcessId
from colonnade.runtime.state import ReplicaId


@dataclass(frozen=True, slots=True)
class RegisteredReplica:
    """A replica whose process runs, as far as its last controller knew."""

    id: ReplicaId
    process: ProcessId
    port: int
    is_ready: bool
    """It was in rotation: its next controller leaves it there."""
    total_restarts: int


def write_registry(path: Path, replicas: Iterable[RegisteredReplica], desired: Mapping[str, int], cursor: int) -> None:
    """`desired` counts survive too, so that a scaled service stays scaled; `cursor` is the port allocator's."""
    write_json_atomically(
        path,
        {
            "replicas": [
                {
                    "service": replica.id.service,
                    "number": replica.id.number,
                    "pid": replica.process.pid,
                    "start_ticks": replica.process.start_ticks,
                    "port": replica.port,
                    "is_ready": replica.is_ready,
                    "total_restarts": replica.total_restarts,
                }
                for replica in replicas
            ],
            "desired": dict(desired),
            "port_cursor": cursor,
        },
    )


@dataclass(frozen=True, slots=True)
class Registry:
    replicas: tuple[RegisteredReplica, ...]
    desired: Mapping[str, int]
    port_cursor: int | None


def read_registry(path: Path) -> Registry:
    """Empty when there is none. Raises HostError when the file is not one of ours."""
    value = read_json(path)
    if value is None:
        return Registry((), {}, None)
    try:
        replicas = tuple(
            RegisteredReplica(
                ReplicaId(item["service"], item["number"]),
                ProcessId(item["pid"], item["start_ticks"]),
                item["port"],
                item["is_ready"],
                item["total_restarts"],
            )
            for item in value["replicas"]
        )
        return Registry(replicas, value["desired"], value["port_cursor"])
    except (KeyError, TypeError) as error:
        raise HostError(
            f"is not a registry of replicas ({error})",
            subject=str(path),
            hint="run `colonnade down --force`, remove the file and start again",
        ) from error
