"""For how long two database nodes took writes at once, by what the servers wrote down themselves.

Nothing here asks what our controller believed. A reign begins when a server says that it takes connections as a
primary, or that it begins a timeline of its own. It ends when the server says that it is shut down; one that is
killed says nothing, and then the kernel's word to the drill, or its next start, bounds the end from above. What lies
between its last line and that bound is time of which nobody can tell, and too much of it makes the finding unknown.
Read next: `recovery`, for how long it took.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from colonnade.drill.checkers.finding import Finding, compared, counted, unseen
from colonnade.drill.record import Record, ServerLine
from colonnade.drill.scenario import RuleName

RULE = RuleName.TWO_PRIMARIES_S_MAX

STARTS = (
    "starting PostgreSQL",
    "listening on ",
    "database system was interrupted",
    "database system was shut down",
    "entering standby mode",
)
"""A server says several of these when it starts. After a rewind its very first line was seen to be missing."""
TAKES_WRITES = ("database system is ready to accept connections", "selected new timeline ID")
"""A standby says "ready to accept read-only connections" instead. The second comes first in a promotion."""
ENDS = ("database system is shut down", "terminating connection due to unexpected postmaster exit")
"""Nobody commits after either. The second is written by sessions that outlived their postmaster by milliseconds."""
ENDS_AT_ONCE = "received immediate shutdown request"
"""Its sessions are told to quit without finishing anything, and no later line follows."""

PRECISION_S = 0.002
"""Servers write milliseconds, cut off, and the drill's own moments pass through two clocks."""


@dataclass(frozen=True, slots=True)
class Reign:
    """A time in which one node took writes. Wall time; its end lies between two bounds."""

    node: str
    begin_s: float
    end_s_min: float
    end_s_max: float


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
    found = reigns(record)
    if not found:
        return (unseen(RULE, bound, "no_server_log", "no line of a server says that it took writes"),)
    overlaps = overlaps_of(found)
    s_min, s_max = sum(each.s_min for each in overlaps), sum(each.s_max for each in overlaps)
    forked = diverged_timelines(record)
    told = (*(_told(each, record) for each in overlaps), *forked)
    nodes = len({each.node for each in found})
    if s_min <= bound < s_max:
        message = (
            f"between {s_min:.3f} and {s_max:.3f} s of two primaries: "
            "a server that was killed writes no last line, and nobody saw its end"
        )
        return (unseen(RULE, bound, "end_of_primary_not_seen", message, told),)
    if s_min <= bound and forked:
        message = f"two nodes took the number of a timeline without knowing of each other: {forked[0]}"
        return (unseen(RULE, bound, "timelines_diverged", message, told),)
    at_once = f"for {s_min:.3f} s two took writes at once" if s_min else "never two at once"
    message = f"{counted(len(found), 'time')} of being primary, of {counted(nodes, 'node')}: {at_once}"
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
    """Numbers that two nodes took. One after the other is possible, when the first died before anybody heard of it;
    whether it was so, no log can prove."""
    takers: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for each in record.promotions:
        takers[each.timeline][each.node] = each.lsn
    return tuple(
        f"timeline {timeline} was begun by "
        + " and by ".join(f"node {node} at {lsn or 'a place unknown'}" for node, lsn in sorted(begins.items()))
        for timeline, begins in sorted(takers.items())
        if len(begins) > 1
    )


def _lives(lines: Sequence[ServerLine]) -> list[list[ServerLine]]:
    """One list for each start of the server; what precedes the first start seen is a life of its own."""
    lives: list[list[ServerLine]] = []
    was_start = False
    for line in lines:
        is_start = any(words in line.text for words in STARTS)
        if not lives or (is_start and not was_start):
            lives.append([])
        lives[-1].append(line)
        was_start = is_start
    return lives


def _reign(node: str, life: Sequence[ServerLine], next_start_s: float) -> Reign | None:
    begins = [line for line in life if any(words in line.text for words in TAKES_WRITES)]
    if not begins:
        return None
    begin_s = begins[0].at_wall_s
    ends = [line.at_wall_s for line in life if any(words in line.text for words in ENDS) and line.at_wall_s >= begin_s]
    if not ends:
        ends = [line.at_wall_s for line in life if ENDS_AT_ONCE in line.text and line.at_wall_s >= begin_s]
    if ends:
        return Reign(node, begin_s, ends[-1], ends[-1])
    return Reign(node, begin_s, life[-1].at_wall_s, max(next_start_s, life[-1].at_wall_s))


def _as_the_kernel_told(reign: Reign, record: Record) -> Reign:
    """The same reign, over at the latest when the drill heard that a server of this node had ended. Between its last
    line and its node's next start there was no other. The word comes at the end or a moment after it, never before."""
    ends_s = [each.at + record.wall_offset_s for each in record.deaths if each.node == reign.node]
    within = [at_s for at_s in ends_s if reign.end_s_min - PRECISION_S <= at_s <= reign.end_s_max]
    if not within:
        return reign
    return replace(reign, end_s_max=max(min(within), reign.end_s_min))


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
