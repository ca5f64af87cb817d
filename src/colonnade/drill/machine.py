"""What a drill ran on: the machine and the versions, which belong to every figure. Looks; changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import psutil

from colonnade import __version__
from colonnade.core.errors import ColonnadeError
from colonnade.core.processes import program_version
from colonnade.database.binaries import find_binaries
from colonnade.drill.record import Machine
from colonnade.gateway.process import find_binary as find_haproxy

UNKNOWN = "unknown"


def look_at_machine(directory: Path) -> Machine:
    """The machine, with the disk that `directory` is on. Takes milliseconds."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        python=platform.python_version(),
        processor=_processor(),
        disk=_disk(directory),
        load_before=os.getloadavg()[0],
        is_root=os.geteuid() == 0,
    )


async def look_at_versions() -> Mapping[str, str]:
    """Of Colonnade and its engines; one that cannot be asked says why."""
    return {
        "colonnade": __version__,
        "postgresql": await _postgresql(),
        "haproxy": _haproxy(),
        "granian": importlib.metadata.version("granian"),
    }


async def _postgresql() -> str:
    try:
        return (await find_binaries()).version
    except ColonnadeError as error:
        return str(error)


def _haproxy() -> str:
    try:
        return program_version(find_haproxy(os.environ))
    except ColonnadeError as error:
        return str(error)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Hardware", "Processor"):
            return value.strip()
    return platform.machine() or UNKNOWN


def _disk(directory: Path) -> str:
    """File system and device of the longest mount point that leads to `directory`."""
    place = f"{directory.resolve()}/"
    best = max(
        (mount for mount in psutil.disk_partitions(all=True) if place.startswith(mount.mountpoint.rstrip("/") + "/")),
        key=lambda mount: len(mount.mountpoint),
        default=None,
    )
    return f"{best.fstype} on {best.device}" if best is not None else UNKNOWN
