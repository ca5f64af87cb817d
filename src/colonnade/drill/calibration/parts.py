"""How much processor time and memory each part of a running system has used: its processes and all below them.

By /proc, so without asking anybody; a process that came and went in between is counted with whoever waited for it.
Reads; decides nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.core.groups import usage_of_groups
from colonnade.core.proc import TICKS_PER_S
from colonnade.planning.declared import STANDBYS
from colonnade.spec.check_plan import GATEWAY
from colonnade.spec.derive import DATABASE

UPKEEP = "upkeep"
"""Keeper and controller: what the system costs by being there."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Processes at the top of each part, by its name: services, `gateway`, `database`, STANDBYS, `upkeep`."""

    roots: Mapping[str, tuple[int, ...]]
    replicas: Mapping[str, int]
    """Of each service, those that are ready."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Processor seconds used since the processes began. Differences of two are what counts."""

    cpu_s: Mapping[str, float]
    machine_busy_s: float
    """Of all cores together, everything that runs on the machine."""
    kernel_s: float = 0.0
    """Of that, interrupts and what follows them (packets between processes): mostly in nobody's own time."""

    def since(self, earlier: Reading) -> Reading:
        cpu_s = {name: max(0.0, value - earlier.cpu_s.get(name, 0.0)) for name, value in self.cpu_s.items()}
        return Reading(cpu_s, self.machine_busy_s - earlier.machine_busy_s, self.kernel_s - earlier.kernel_s)


def parts_of(status: Mapping[str, Any]) -> Parts:
    """From what `status --json` says. The gateway of the database counts as its primary."""
    roots: dict[str, list[int]] = {GATEWAY: [status["gateway"]["pid"]]}
    roots[UPKEEP] = [status["keeper_pid"], status["controller_pid"]]
    replicas = {}
    for service in status["services"]:
        ready = [each["pid"] for each in service["replicas"] if each["state"] == "ready" and each["pid"]]
        roots[service["name"]] = ready
        replicas[service["name"]] = len(ready)
    database = status.get("database")
    if database and not database["external"]:
        roots[DATABASE], roots[STANDBYS] = [status["dbgate"]["pid"]], []
        for node in database["nodes"]:
            roots[STANDBYS if node["role"] == "standby" else DATABASE].append(node.get("pid"))
    return Parts({name: tuple(pid for pid in pids if pid) for name, pids in roots.items()}, replicas)


def read_parts(parts: Parts) -> Reading:
    """What they have used until now."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for pid, parent, cpu_s in _processes():
        children.setdefault(parent, []).append(pid)
        used[pid] = cpu_s
    owned = {pid for pids in parts.roots.values() for pid in pids}

    def below(pid: int) -> float:
        # The keeper's child is the controller, which is a part of its own, and its children are others' parts.
        return used.get(pid, 0.0) + sum(below(child) for child in children.get(pid, ()) if child not in owned)

    return Reading({name: sum(map(below, pids)) for name, pids in parts.roots.items()}, *_machine_s())


def memory_of_replicas(parts: Parts) -> dict[str, int]:
    """Bytes of its own that one replica of each service holds, on average."""
    found = {}
    for name in parts.replicas:
        groups = usage_of_groups(parts.roots[name])
        if groups:
            found[name] = sum(each.own_bytes for each in groups.values()) // len(groups)
    return found


def _processes() -> Iterator[tuple[int, int, float]]:
    """(pid, parent, seconds of its own and of its children that have ended)."""
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            # The name is in brackets and may hold anything; behind the last one the columns are fixed.
            columns = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # gone meanwhile
        yield int(entry), int(columns[1]), sum(map(int, columns[11:15])) / TICKS_PER_S


def _machine_s() -> tuple[float, float]:
    """(busy, of that in interrupts): all that is neither idle nor waiting for a disk; time that the machine was not
    given (steal) counts as busy."""
    columns = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, steal = map(int, columns)
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S, (irq + softirq) / TICKS_PER_S
