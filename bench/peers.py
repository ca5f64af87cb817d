"""The same failures of the primary, under the same load, on Colonnade and on Patroni with the same PostgreSQL.

A process death is kill -9 of the primary's postmaster. A node death is that of everything that watches over this node
as well: with Patroni its Patroni process and all of its PostgreSQL, with Colonnade the controller and all of the node's
PostgreSQL. What died with the node is started again as soon as writes go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import psutil
from blog import Blog, wait_for
from figures import distribution
from open_writes import OpenWrites
from patroni_cluster import DEFAULTS, PROGRAMS, TUNED, PatroniCluster, Tuning

from colonnade.core.processes import marked_processes

ROUNDS = 5
STARTS = 3
IDLE_S = 30.0
REST_S = 3.0


class Cluster(Protocol):
    """What is done to either of them."""

    dsn: str

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def is_well(self) -> bool: ...
    def kill_process(self) -> None: ...
    def kill_node(self) -> Callable[[], None]: ...
    def groups(self) -> dict[str, list[psutil.Process]]: ...


class Colonnade:
    """As `colonnade up` starts it, with the blog's services beside the database."""

    def __init__(self) -> None:
        self._blog = Blog()
        self.dsn = ""

    def __enter__(self) -> Self:
        self._blog.__enter__()
        self._blog.up()
        self.dsn = self._blog.dsn()
        return self

    def __exit__(self, *_: object) -> None:
        self._blog.__exit__()

    def is_well(self) -> bool:
        return bool(self._blog.status()["database"]["reason"] == "all_well")

    def kill_process(self) -> None:
        os.kill(self._blog.node("primary")["pid"], signal.SIGKILL)

    def kill_node(self) -> Callable[[], None]:
        """The keeper starts the controller again by itself."""
        postmaster = psutil.Process(self._blog.node("primary")["pid"])
        controller = self._blog.status()["controller_pid"]
        _kill([controller, postmaster.pid, *(child.pid for child in postmaster.children())])
        return lambda: None

    def groups(self) -> dict[str, list[psutil.Process]]:
        """Without the blog's own replicas."""
        status = self._blog.status()
        ours = {status["keeper_pid"], status["controller_pid"]}
        found: dict[str, list[psutil.Process]] = {"postgres": [], "supervision": []}
        for pid in {*marked_processes(self._blog.paths.mark), *ours}:
            process = psutil.Process(pid)
            if process.name().startswith("postgres"):
                found["postgres"].append(process)
            elif pid in ours or process.name() == "haproxy":
                found["supervision"].append(process)
        return found


class Patroni(PatroniCluster):
    def __init__(self, tuning: Tuning) -> None:
        super().__init__(tuning)

    def kill_process(self) -> None:
        self.kill_primary_process()

    def kill_node(self) -> Callable[[], None]:
        node = self.kill_primary_node()
        return lambda: self.start_node(node)


@dataclass
class Measured:
    """Seconds, but for counts."""

    starts_s: list[float] = field(default_factory=list)
    gaps_s: dict[str, list[float]] = field(default_factory=lambda: {"process": [], "node": []})
    well_s: dict[str, list[float]] = field(default_factory=lambda: {"process": [], "node": []})
    acknowledged: int = 0
    lost: int = 0
    unknown: int = 0
    idle: dict[str, dict[str, float]] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        return {
            "three_well_from_nothing_s": distribution(self.starts_s, 1),
            **{f"write_gap_after_{kind}_death_s": distribution(found, 2) for kind, found in self.gaps_s.items()},
            **{f"three_well_again_after_{kind}_death_s": distribution(found, 2) for kind, found in self.well_s.items()},
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "unknown": self.unknown,
            "idle": self.idle,
        }


def measure(repetitions: int) -> dict[str, Any]:
    """Raises SystemExit when the programs are not there."""
    if not (PROGRAMS / "patroni").exists():
        raise SystemExit("Patroni is not installed here; `make bench-peers` installs it beside and measures")
    makers: dict[str, Callable[[], Cluster]] = {
        "Colonnade": Colonnade,
        TUNED.name: lambda: Patroni(TUNED),
        DEFAULTS.name: lambda: Patroni(DEFAULTS),
    }
    return {name: _measure_one(make, repetitions or ROUNDS).figures() for name, make in makers.items()}


def _measure_one(make: Callable[[], Cluster], rounds: int) -> Measured:
    measured = Measured(starts_s=[_start_s(make) for _ in range(STARTS)])
    with make() as cluster:
        wait_for("three nodes are well", cluster.is_well, timeout_s=120.0)
        time.sleep(REST_S)
        measured.idle = _idle(cluster)
        writes = OpenWrites(cluster.dsn)

        async def play() -> None:
            for number in range(2 * rounds):
                await _break_once(cluster, writes, measured, ("process", "node")[number % 2])

        measured.lost = asyncio.run(writes.during(play))
        measured.acknowledged, measured.unknown = len(writes.acknowledged_at_s), len(writes.unknown)
    return measured


def _start_s(make: Callable[[], Cluster]) -> float:
    """From an empty directory; Colonnade's with the blog's services beside."""
    began_s = time.monotonic()
    with make() as cluster:
        wait_for("three nodes are well", cluster.is_well, timeout_s=120.0)
        return time.monotonic() - began_s


async def _break_once(cluster: Cluster, writes: OpenWrites, measured: Measured, kind: str) -> None:
    await asyncio.sleep(REST_S)
    await writes.until_acknowledged_after(time.monotonic())
    repair: Callable[[], None] = lambda: None  # noqa: E731
    at_s = time.monotonic()
    if kind == "process":
        await asyncio.to_thread(cluster.kill_process)
    else:
        repair = await asyncio.to_thread(cluster.kill_node)
    killed_s = time.monotonic()
    # An answer that was on its way arrives within some milliseconds; what comes later is the new primary's.
    await writes.until_acknowledged_after(killed_s + 0.15)
    repair()
    await asyncio.sleep(0.2)
    await asyncio.to_thread(wait_for, "three nodes are well", cluster.is_well, 180.0)
    measured.well_s[kind].append(time.monotonic() - killed_s)
    measured.gaps_s[kind].append(writes.gap_s(at_s))


def _idle(cluster: Cluster) -> dict[str, dict[str, float]]:
    groups = cluster.groups()
    before = {name: _cpu_s(found) for name, found in groups.items()}
    time.sleep(IDLE_S)
    return {
        name: {
            "processes": len(found),
            "cpu_percent_of_one_core": round(100 * (_cpu_s(found) - before[name]) / IDLE_S, 2),
            "pss_mb": round(sum(process.memory_full_info().pss for process in found) / 1e6, 1),
        }
        for name, found in groups.items()
    }


def _cpu_s(found: Iterable[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in found)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
