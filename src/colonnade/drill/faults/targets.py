"""Whom a fault strikes: from an aim and the status of this moment to names, and from names to processes.

Choosing is pure. A process is named by its pid and its start together, and only after it was seen to belong to the
drill's own instance: a pid that was given to somebody else meanwhile is never struck.
Read next: `kill`, which uses all of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

from colonnade.core.processes import SYSTEM_MARK, ProcessId, group_members, is_alive, start_ticks_of, variable_of
from colonnade.database.fence import processes_in
from colonnade.drill.faults.fault import NotPossible, Surroundings
from colonnade.drill.scenario import Aim, Extent, Role
from colonnade.system.paths import StatePaths

T = TypeVar("T")


class Seen(Protocol):
    """What choosing needs, on one machine and in a cluster."""

    @property
    def status(self) -> Mapping[str, Any]: ...

    @property
    def random(self) -> Random: ...


@dataclass(frozen=True, slots=True)
class Target:
    """A part of the system that is a process, or several below one."""

    name: str
    """As in `status` and in events: backend/2, a, gateway."""
    role: Role
    """What it is: of a database node PRIMARY or STANDBY."""
    pid: int

    def __str__(self) -> str:
        called = self.name if self.name == self.role.value else f"{self.name}, the {self.role.value}"
        if self.role in (Role.REPLICA, Role.STANDBY):
            called = f"{self.name}, a {self.role.value}"
        return f"{called} (pid {self.pid})"


SINGLE = {Role.GATEWAY: "gateway", Role.DBGATE: "dbgate", Role.CONTROLLER: "controller", Role.KEEPER: "keeper"}
NODES = (Role.NODE, Role.PRIMARY, Role.STANDBY)


def candidates(status: Mapping[str, Any], aim: Aim) -> tuple[Target, ...]:
    """All who have the aim's role now and a process, in the order of their names. Pure."""
    if aim.role in SINGLE:
        return _single(status, aim.role)
    if aim.role in NODES:
        return tuple(node for node in _nodes(status) if aim.role in (Role.NODE, node.role))
    if aim.role is Role.REPLICA:
        return tuple(_replicas(status, aim.service))
    return ()


def draw(found: Sequence[T], extent: Extent, random: Random) -> tuple[T, ...]:
    """As many of `found` as the extent says, in their order; the same for the same seed. Empty only when all is."""
    if extent is Extent.ALL or not found:
        return tuple(found)
    count = 1 if extent is Extent.ONE else max(1, len(found) // 2)
    return tuple(found[index] for index in sorted(random.sample(range(len(found)), count)))


def targets(aim: Aim, around: Surroundings) -> tuple[Target, ...]:
    """Who is to be struck. Raises NotPossible when nobody has that role now."""
    found = draw(candidates(around.status, aim), aim.extent, around.random)
    if not found:
        whose = f" of {aim.service}" if aim.service else ""
        raise NotPossible("no_such_target", f"there is no {aim.role.value}{whose} with a process at this moment")
    return found


def service_meant(aim: Aim, around: Seen) -> str:
    """The name of the service that a change is made to, drawn where several are meant: the one that the aim names, or
    one of those that visitors reach. Raises NotPossible."""
    if aim.role is not Role.SERVICE:
        raise NotPossible("not_a_service", f"{aim.role.value} is no service: aim at the role service")
    names = sorted(
        str(one["name"])
        for one in around.status.get("services", ())
        if one["name"] == aim.service or (not aim.service and one["route"])
    )
    if not names:
        raise NotPossible("no_such_target", f"there is no service {aim.service or 'that visitors reach'}")
    return draw(names, aim.extent, around.random)[0]


def process_of(target: Target, paths: StatePaths) -> ProcessId | None:
    """The process itself; None when it is gone, or its pid belongs to somebody else by now."""
    return identify(target.pid, paths)


def identify(pid: int, paths: StatePaths) -> ProcessId | None:
    """A process of this instance by its pid; None when it is gone or none of the instance's."""
    ticks = start_ticks_of(pid)
    if ticks is None or not _belongs(pid, paths):
        return None
    found = ProcessId(pid, ticks)
    return found if is_alive(found) else None  # what was looked at is what is named


def tree_of(target: Target, paths: StatePaths) -> list[ProcessId]:
    """The process and what works for it: of a node whatever works in its directory, of a replica or a gateway its
    group. Of controller and keeper only they themselves: what they started are parts of their own."""
    if target.role in NODES:
        pids = processes_in([paths.root / "database" / "nodes" / target.name])
    elif target.role in (Role.CONTROLLER, Role.KEEPER):
        pids = []
    else:
        pids = list(group_members(target.pid))
    found = (identify(pid, paths) for pid in dict.fromkeys([target.pid, *pids]))
    return [process for process in found if process is not None]


def send(processes: Iterable[ProcessId], number: signal.Signals) -> int:
    """Signal each that is still itself; returns how many were."""
    count = 0
    for process in processes:
        if is_alive(process):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)
                count += 1
    return count


def in_words(found: Iterable[object]) -> str:
    return " and ".join(map(str, found))


def _belongs(pid: int, paths: StatePaths) -> bool:
    """As `core.processes.marked_processes` tells it: the mark; or, for a backend of PostgreSQL that wrote its title
    over its environment, a place below the state directory."""
    if variable_of(pid, SYSTEM_MARK) == paths.mark:
        return True
    try:
        place = Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return False
    return place.is_relative_to(paths.root / "database")


def _single(status: Mapping[str, Any], role: Role) -> tuple[Target, ...]:
    name = SINGLE[role]
    pid = status.get(f"{name}_pid") if role in (Role.CONTROLLER, Role.KEEPER) else status.get(name, {}).get("pid")
    return (Target(name, role, pid),) if pid else ()


def _nodes(status: Mapping[str, Any]) -> Iterator[Target]:
    database = status.get("database") or {}
    for node in sorted(database.get("nodes", ()), key=lambda node: str(node["name"])):
        if node["pid"]:
            role = Role.PRIMARY if node["name"] == database.get("primary") else Role.STANDBY
            yield Target(node["name"], role, node["pid"])


def _replicas(status: Mapping[str, Any], service: str) -> Iterator[Target]:
    for one in status.get("services", ()):
        if one["name"] == service or (not service and one["route"]):
            for replica in one["replicas"]:
                if replica["pid"]:
                    yield Target(replica["id"], Role.REPLICA, replica["pid"])
