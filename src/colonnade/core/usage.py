"""What processes use, by the part that they belong to: processor, memory, threads. What /proc says; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from colonnade.core.proc import PAGE_BYTES, TICKS_PER_S, read_stat
from colonnade.core.strangers import Strangers


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and its descendants. `cpu_s` has what descendants that ended have used, as far as they were waited
    for; pages that are shared count in each process."""

    cpu_s: float = 0.0
    resident_bytes: int = 0
    threads: int = 0
    started_at_s: float = float("inf")
    """Of the first of them, in seconds since the epoch."""

    def plus(self, other: Usage) -> Usage:
        return Usage(
            self.cpu_s + other.cpu_s,
            self.resident_bytes + other.resident_bytes,
            self.threads + other.threads,
            min(self.started_at_s, other.started_at_s),
        )


def usage_of_trees(roots: Mapping[int, str], strangers: Strangers | None = None) -> dict[str, Usage]:
    """Of each of these processes (pid: name) that lives, with all below it that is not below another of them. One pass
    over all processes, 5 ms for 300 of them; `strangers` are left out."""
    strangers = strangers or Strangers()
    booted_at_s = psutil.boot_time()
    parents: dict[int, int] = {}
    used: dict[int, Usage] = {}
    for pid in strangers.candidates(roots):
        try:
            columns = read_stat(pid)
        except OSError:
            continue  # gone meanwhile, or hidden from us
        parents[pid] = int(columns[1])
        ticks = sum(map(int, columns[11:15]))
        started_at_s = booted_at_s + int(columns[19]) / TICKS_PER_S
        used[pid] = Usage(ticks / TICKS_PER_S, int(columns[21]) * PAGE_BYTES, int(columns[17]), started_at_s)
    found: dict[str, Usage] = {}
    ours: list[int] = []
    for pid, usage in used.items():
        name = _root_of(pid, parents, roots)
        if name is not None:
            ours.append(pid)
            found[name] = found.get(name, Usage()).plus(usage)
    strangers.note(ours)
    return found


def _root_of(pid: int, parents: Mapping[int, int], roots: Mapping[int, str]) -> str | None:
    place: int | None = pid
    while place:
        if place in roots:
            return roots[place]
        place = parents.get(place)
    return None
