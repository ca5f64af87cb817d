"""Memory of the machine, as /proc and control groups say it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from colonnade.core.memory import MachineMemory, machine_memory


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
