"""Memory of process groups and of the machine, as /proc and control groups say it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from colonnade.core import processes
from colonnade.core.memory import MachineMemory, machine_memory, memory_of_groups


@pytest.mark.slow
def test_a_group_has_what_all_its_processes_hold(tmp_path: Path) -> None:
    holds = (
        "import os, sys, time\n"
        "os.fork()\n"
        "held = bytearray(50_000_000)\n"
        "held[::4096] = bytes(len(held[::4096]))\n"
        "print('.', flush=True)\n"
        "time.sleep(30)\n"
    )
    log = tmp_path / "log"
    process = processes.start(
        processes.Command([sys.executable, "-I", "-c", holds], tmp_path, {"PATH": os.defpath}, log)
    )
    asyncio.run(_look(process, log))


async def _look(process: processes.Process, log: Path) -> None:
    try:
        while dots_in(log) < 2:
            assert not process.has_exited()
            await asyncio.sleep(0.01)
        memory = memory_of_groups({process.pid})[process.pid]
    finally:
        await processes.kill(process)
        process.close()
    assert 100_000_000 < memory.own_bytes < 160_000_000
    assert 50_000_000 < memory.address_space_bytes_max < 100_000_000
    assert memory_of_groups({process.pid}) == {}


def dots_in(log: Path) -> int:
    return log.read_text().count(".")


def group(path: Path, bound: str, used: int, cache: int) -> Path:
    (path / "memory.max").write_text(f"{bound}\n")
    (path / "memory.current").write_text(f"{used}\n")
    (path / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")
    return path


def test_a_control_group_that_bounds_more_tightly_counts(tmp_path: Path) -> None:
    assert machine_memory(group(tmp_path, "1000000", 700_000, 100_000)) == MachineMemory(1_000_000, 400_000)


@pytest.mark.parametrize("bound", ["max", str(10**18)])
def test_one_that_bounds_nothing_does_not(tmp_path: Path, bound: str) -> None:
    assert machine_memory(group(tmp_path, bound, 700_000, 0)).total_bytes == psutil.virtual_memory().total


def test_without_control_groups_it_is_the_machine(tmp_path: Path) -> None:
    assert machine_memory(tmp_path).total_bytes == psutil.virtual_memory().total
