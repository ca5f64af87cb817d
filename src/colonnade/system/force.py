"""The end of a system that nobody answers for any more: every process is found by its mark and killed, and what it left
is cleared away. How one that answers is asked to end is in `ending.py`."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace

from colonnade.core import processes
from colonnade.core.errors import HostError
from colonnade.database.shared_memory import remove_shared_memory, segment_of
from colonnade.system import paths as state_paths
from colonnade.system.accepted import read_accepted, write_accepted
from colonnade.system.paths import StatePaths

POLL_S = 0.02

LOOKS_MAX = 50
"""Whatever was started while we looked is found by the next look; one or two do."""


def end_by_force(paths: StatePaths) -> int:
    """Kill whatever carries this system's mark, keeper and controller first; returns how many processes that were."""
    count = 0
    for _ in range(LOOKS_MAX):
        pids = processes.marked_processes(paths.mark)
        if not pids:
            break
        count = max(count, len(pids))
        # Stopped first, so that none of them starts another while we go through the list.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
        time.sleep(POLL_S)
    remove_leftovers(paths)
    return count


def remove_leftovers(paths: StatePaths) -> None:
    """Sockets and records of processes that no longer run."""
    state_paths.remove_sockets(paths)
    scratch = paths.root.glob("database/scratch/*")
    for node in (*paths.root.glob("database/nodes/*"), *scratch, *paths.root.glob("database/restore.new/nodes/*")):
        remove_shared_memory(segment_of(node))
    # A record that nobody can read, or a disk that takes none, is no reason to leave the rest.
    with suppress(HostError):
        earlier = read_accepted(paths)
        if earlier is not None and earlier.was_running:
            write_accepted(paths, replace(earlier, was_running=False, applications={}))
    records = [f"{part}/process.json" for part in ("gateway", "dbgate", "dashboard", "prometheus")]
    for name in ("listeners.json", "replicas.json", "deployment.json", *records):
        (paths.root / name).unlink(missing_ok=True)
