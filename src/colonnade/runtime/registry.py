"""What a next controller must know to adopt the replicas of this one: one small file, rewritten at each change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colonnade.core.errors import HostError
from colonnade.core.files import read_json, write_json_atomically
from colonnade.core.processes import ProcessId
from colonnade.runtime.rollouts import Versions
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState, RestartHistory
from colonnade.runtime.wanted import Rollout, Stage


@dataclass(frozen=True, slots=True)
class RegisteredReplica:
    """A replica whose process runs, as far as its last controller knew."""

    id: ReplicaId
    process: ProcessId
    port: int
    is_ready: bool
    """It was in rotation: its next controller leaves it there."""
    total_restarts: int
    version: int = 1
    is_draining: bool = False
    """It finishes what it has, and then is to be stopped."""
    is_held: bool = False
    """Somebody asked to have it out of rotation: it drains, and stays."""


def write_registry(
    path: Path, replicas: Iterable[RegisteredReplica], desired: Mapping[str, int], cursor: int, versions: Versions
) -> None:
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
                    "version": replica.version,
                    "is_draining": replica.is_draining,
                    "is_held": replica.is_held,
                }
                for replica in replicas
            ],
            "desired": dict(desired),
            "port_cursor": cursor,
            "versions": dict(versions.current),
            "rollouts": [_written(rollout) for rollout in versions.open.values()],
            "ended_rollouts": [_written(rollout) for rollout in versions.ended.values()],
        },
    )


@dataclass(frozen=True, slots=True)
class Registry:
    replicas: tuple[RegisteredReplica, ...]
    desired: Mapping[str, int]
    port_cursor: int | None
    versions: Versions = field(default_factory=Versions)

    def versions_of(self, service: str) -> set[int]:
        """Those that replicas of this service are of, or are to become."""
        rollout = self.versions.open.get(service)
        return {replica.version for replica in self.replicas if replica.id.service == service} | (
            {rollout.old, rollout.new} if rollout is not None else set()
        )


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
                item.get("version", 1),  # written before there were versions
                item.get("is_draining", False),
                item.get("is_held", False),
            )
            for item in value["replicas"]
        )
        versions = Versions(
            value.get("versions", {}), _rollouts(value.get("rollouts", [])), _rollouts(value.get("ended_rollouts", []))
        )
        return Registry(replicas, value["desired"], value["port_cursor"], versions)
    except (KeyError, TypeError, ValueError) as error:
        raise HostError(
            f"is not a registry of replicas ({error})",
            subject=str(path),
            hint="run `colonnade down --force`, remove the file and start again",
        ) from error


def adopted(entry: RegisteredReplica, pid: int, now: float) -> ObservedReplica:
    """As a next controller sees it: in rotation, on its way out, or still to be asked whether it is ready."""
    state = ReplicaState.DRAINING if entry.is_draining else ReplicaState.STARTING
    if entry.is_ready:
        state = ReplicaState.READY
    return ObservedReplica(
        entry.id,
        state,
        now,
        pid,
        entry.port,
        now,
        # One that drains has served: it gets its whole grace period.
        is_probe_ok=state is not ReplicaState.STARTING,
        version=entry.version,
        history=RestartHistory(total_restarts=entry.total_restarts),
        is_held=entry.is_held,
    )


def _written(rollout: Rollout) -> dict[str, Any]:
    return {
        "service": rollout.service,
        "old": rollout.old,
        "new": rollout.new,
        "stage": rollout.stage.value,
        "moved": sorted(rollout.moved),
        "numbers": None if rollout.numbers is None else sorted(rollout.numbers),
        "replaces": [[number, pid] for number, pid in rollout.replaces.items()],
        "is_judged": rollout.is_judged,
        "reason": rollout.reason,
        "message": rollout.message,
        "doubt": rollout.doubt,
    }


def _rollouts(items: Iterable[Mapping[str, Any]]) -> dict[str, Rollout]:
    return {
        item["service"]: Rollout(
            item["service"],
            item["old"],
            item["new"],
            Stage(item["stage"]),
            moved=frozenset(item["moved"]),
            numbers=None if item["numbers"] is None else frozenset(item["numbers"]),
            replaces=dict(item["replaces"]),
            is_judged=item["is_judged"],
            reason=item["reason"],
            message=item["message"],
            doubt=item.get("doubt", ""),
        )
        for item in items
    }
