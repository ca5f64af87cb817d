"""For how long two database nodes took writes at once, by what the servers wrote down themselves.

Nothing here asks what our controller believed. A reign begins when a server says that it takes connections as a
primary, or that it begins a timeline of its own. It ends when the server says that it is shut down; one that is
killed says nothing, and then the kernel's word to the drill, or its next start, bounds the end from above. What lies
between its last line and that bound is time of which nobody can tell, and too much of it makes the finding unknown.
Read next: `recovery`, for how long it took.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations

from colonnade.drill.checkers.finding import Finding, Verdict, compared, unseen
from colonnade.drill.record import Record, ServerLine
from colonnade.drill.scenario import RuleName

RULE = RuleName.TWO_PRIMARIES_S_MAX

STARTS = "starting PostgreSQL"
TAKES_WRITES = ("database system is ready to accept connections", "selected new timeline ID")
"""A standby says "ready to accept read-only connections" instead. The second comes first in a promotion."""
ENDS = ("database system is shut down", "terminating connection due to unexpected postmaster exit")
"""Nobody commits after either. The second is written by sessions that outlived their postmaster by milliseconds."""
ENDS_AT_ONCE = "received immediate shutdown request"
"""Its sessions are told to quit without finishing anything, and no later line follows."""

PRECISION_S = 0.002
"""Servers write milliseconds, cut off, and the drill's own moments pass through two clocks."""

_PID = re.compile(r"\[(\d+)\]")
_AT_PREFIX = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC ")


@dataclass(frozen=True, slots=True)
class Reign:
    """A time in which one node took writes. Wall time; its end lies between two bounds."""

    node: str
    begin_s: float
    end_s_min: float
    end_s_max: float
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two reigns: at least, and at most, so many seconds of both."""

    first: Reign
    second: Reign
    s_min: float
    s_max: float


def check(record: Record) -> tuple[Finding, ...]:
    """The seconds of two primaries, where the scenario asks."""
    bound = record.scenario.rules.get(RULE)
    if bound is None:
        return ()
    forked = diverged_timelines(record)
    if forked:
        message = f"{len(forked)} timeline(s) begin at different places on different nodes: two were promoted at once"
        return (Finding(RULE, Verdict.INVALID, None, bound, "timelines_diverged", message, forked),)
    found = reigns(record)
    if not found:
        return (unseen(RULE, bound, "no_server_log", "no line of a server says that it took writes"),)
    overlaps = overlaps_of(found)
    s_min, s_max = sum(each.s_min for each in overlaps), sum(each.s_max for each in overlaps)
    told = tuple(_told(each, record) for each in overlaps)
    nodes = len({each.node for each in found})
    if s_min <= bound < s_max:
        message = (
            f"between {s_min:.3f} and {s_max:.3f} s of two primaries: "
            "a server that was killed writes no last line, and nobody saw its end"
        )
        return (unseen(RULE, bound, "end_of_primary_not_seen", message, told),)
    message = f"{len(found)} reigns of {nodes} nodes, and for {s_min:.3f} s two took writes at once"
    return (compared(RULE, s_min, bound, message, told),)


def overlaps_of(found: Sequence[Reign]) -> list[Overlap]:
    """Every two reigns of different nodes that overlap, or may."""
    pairs = [sorted(pair, key=lambda each: each.begin_s) for pair in combinations(found, 2)]
    overlaps = [
        Overlap(
            first,
            second,
            max(0.0, min(first.end_s_min, second.end_s_min) - second.begin_s),
            max(0.0, min(first.end_s_max, second.end_s_max) - second.begin_s),
        )
        for first, second in pairs
        if first.node != second.node
    ]
    return [each for each in overlaps if each.s_max > PRECISION_S]


def reigns(record: Record) -> list[Reign]:
    """Every time in which a node took writes, in the order of their beginnings."""
    by_node: defaultdict[str, list[ServerLine]] = defaultdict(list)
    for line in record.server_lines:
        by_node[line.node].append(line)
    over_s = record.history.ended_at + record.wall_offset_s
    found = []
    for node, lines in by_node.items():
        lives = _lives(sorted(lines, key=lambda each: each.at_wall_s))
        for number, life in enumerate(lives):
            next_start_s = lives[number + 1][0].at_wall_s if number + 1 < len(lives) else over_s
            reign = _reign(node, life, next_start_s)
            if reign is not None:
                found.append(_as_the_kernel_told(reign, record))
    return sorted(found, key=lambda each: each.begin_s)


def diverged_timelines(record: Record) -> tuple[str, ...]:
    """Timelines that begin at more than one place. A number that two nodes took without knowing of each other."""
    places: defaultdict[int, dict[str, list[str]]] = defaultdict(dict)
    for each in record.promotions:
        places[each.timeline].setdefault(each.lsn, []).append(each.node)
    return tuple(
        f"timeline {timeline} begins at "
        + " and at ".join(f"{lsn} (node {', '.join(nodes)})" for lsn, nodes in sorted(begins.items()))
        for timeline, begins in sorted(places.items())
        if len(begins) > 1
    )


def server_lines(node: str, text: str) -> list[ServerLine]:
    """The lines of a node's log that begin with a time, as our `log_line_prefix` writes them; others continue one."""
    found = []
    for line in text.splitlines():
        stamp = _AT_PREFIX.match(line)
        if stamp is not None:
            moment = datetime.strptime(stamp[1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
            found.append(ServerLine(node, moment.timestamp(), line))
    return found


def _lives(lines: Sequence[ServerLine]) -> list[list[ServerLine]]:
    """One list for each start of the server; what precedes the first start seen is a life of its own."""
    lives: list[list[ServerLine]] = []
    for line in lines:
        if not lives or STARTS in line.text:
            lives.append([])
        lives[-1].append(line)
    return lives


def _reign(node: str, life: Sequence[ServerLine], next_start_s: float) -> Reign | None:
    begins = [line for line in life if any(words in line.text for words in TAKES_WRITES)]
    if not begins:
        return None
    begin_s = begins[0].at_wall_s
    ends = [line.at_wall_s for line in life if any(words in line.text for words in ENDS) and line.at_wall_s >= begin_s]
    if not ends:
        ends = [line.at_wall_s for line in life if ENDS_AT_ONCE in line.text and line.at_wall_s >= begin_s]
    pid = _postmaster(life)
    if ends:
        return Reign(node, begin_s, ends[-1], ends[-1], pid)
    return Reign(node, begin_s, life[-1].at_wall_s, max(next_start_s, life[-1].at_wall_s), pid)


def _postmaster(life: Sequence[ServerLine]) -> int | None:
    """The process that says that it starts PostgreSQL, from the line's prefix."""
    found = _PID.search(life[0].text) if STARTS in life[0].text else None
    return int(found[1]) if found is not None else None


def _as_the_kernel_told(reign: Reign, record: Record) -> Reign:
    """The same reign, ended by the first end of its process, or else of a server of its node, that the drill saw."""
    ends_s = [
        each.at + record.wall_offset_s
        for each in record.deaths
        if each.node == reign.node and (reign.pid is None or each.pid == reign.pid)
    ]
    within = [at_s for at_s in ends_s if reign.end_s_min - PRECISION_S <= at_s <= reign.end_s_max]
    if not within:
        return reign
    end_s = max(min(within), reign.end_s_min)
    return replace(reign, end_s_min=end_s, end_s_max=end_s)


def _told(overlap: Overlap, record: Record) -> str:
    began_s = record.history.started_at + record.wall_offset_s
    first, second = overlap.first, overlap.second
    second_s = second.begin_s - began_s
    return f"node {first.node} took writes until {_end(first, began_s)}, node {second.node} from {second_s:.2f} s on"


def told_reigns(found: Iterable[Reign], began_s: float) -> tuple[str, ...]:
    """For the report: who took writes from when to when, in seconds of the load that began at `began_s`."""
    return tuple(
        f"node {each.node} from {each.begin_s - began_s:.2f} s to {_end(each, began_s)}"
        for each in found
        if each.end_s_max >= began_s
    )


def _end(reign: Reign, began_s: float) -> str:
    latest = f"{reign.end_s_max - began_s:.2f} s"
    if reign.end_s_max - reign.end_s_min <= PRECISION_S:
        return latest
    return f"a moment between {reign.end_s_min - began_s:.2f} and {latest}"
