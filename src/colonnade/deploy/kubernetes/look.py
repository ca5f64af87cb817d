"""What is beside the declaration that manifests need: names of secrets, health pages in the code. Reads files only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from colonnade.deploy.kubernetes.settings import Surroundings
from colonnade.spec.load import LoadedSpec
from colonnade.system.snapshot import ENVIRONMENT_MARKS, LEFT_OUT

PAGES = ("/readyz", "/livez")
FILES_MAX = 2_000
FILE_BYTES_MAX = 500_000
"""Of code that is looked through for the names of pages; more is not application code."""


def look_around(loaded: LoadedSpec, memory_bytes: Mapping[str, int], cpu_cores: Mapping[str, float]) -> Surroundings:
    """`memory_bytes` and `cpu_cores` of one replica, by service: what a plan knows."""
    services = loaded.spec.services
    keys = {
        name: tuple(key for key in loaded.environments.get(name, {}) if key not in service.env)
        for name, service in services.items()
        if service.env_file
    }
    declared = {name: work.memory_bytes for name, work in loaded.spec.plan.work.items() if work.memory_bytes}
    return Surroundings(
        env_file_keys=keys,
        pages={name: _pages_in(loaded.directory_of(name)) for name in services},
        memory_bytes={**declared, **memory_bytes},
        cpu_cores=dict(cpu_cores),
    )


def _pages_in(directory: Path) -> frozenset[str]:
    """The health pages that the code names. Who builds their paths from pieces is not found out; then it is asked in a
    way that needs no such page."""
    found: set[str] = set()
    for path in _code(directory):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # what cannot be read is not run either
        # Django's routes have no slash before them.
        found.update(page for page in PAGES if any(f"{mark}{page[1:]}" in text for mark in ("/", '"', "'")))
        if len(found) == len(PAGES):
            break
    return frozenset(found)


def _code(directory: Path) -> Iterator[Path]:
    seen = 0
    for place, directories, names in os.walk(directory):
        is_foreign = any(mark in names for mark in ENVIRONMENT_MARKS)
        directories[:] = [] if is_foreign else sorted(name for name in directories if name not in LEFT_OUT)
        for name in sorted(names):
            path = Path(place, name)
            if is_foreign or path.suffix not in (".py", ".pl", ".js", ".ts", ".rb", ".go", ".php"):
                continue
            seen += 1
            if seen > FILES_MAX:
                return
            if path.stat().st_size <= FILE_BYTES_MAX:
                yield path
