"""How much memory the machine has, and has left: what /proc says. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class MachineMemory:
    total_bytes: int
    available_bytes: int
    """What processes can still get without swapping."""


def machine_memory(cgroup: Path = CGROUP) -> MachineMemory:
    """The machine's, or the control group's where one bounds us more tightly."""
    seen = psutil.virtual_memory()
    machine = MachineMemory(seen.total, seen.available)
    bounded = _of_group(cgroup)
    return bounded if bounded is not None and bounded.available_bytes < machine.available_bytes else machine


def _of_group(cgroup: Path) -> MachineMemory | None:
    """None without control groups of version 2, or without a bound."""
    try:
        bound = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        # The page cache counts as used, and is given back when it is needed.
        return MachineMemory(bound, bound - used + int(stat["inactive_file"]))
    except (OSError, ValueError, KeyError):
        return None
