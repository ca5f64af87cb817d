"""What is remembered between looks, and for how long: the looks of half a minute, and the highest need of a while.

Fewer replicas only when fewer would have done for all of `down_after`. So the needs are kept as far as they can still
be the highest of some time to come (a sliding maximum), which is a handful whatever the length of the window. Pure.
"""

from __future__ import annotations

from colonnade.scaling.state import LOOKS_KEPT_S, LOOKS_MAX, Look, Memory, Need


def remember(memory: Memory, look: Look) -> Memory:
    """The memory with one more look. A total that fell belongs to a gateway that was started anew: what was seen
    before says nothing about rates any more."""
    looks = memory.looks
    if looks and (look.arrived_total < looks[-1].arrived_total or look.at_s <= looks[-1].at_s):
        looks = ()
    oldest_s = look.at_s - LOOKS_KEPT_S - 1.0
    start = 0
    while start < len(looks) and (looks[start].at_s < oldest_s or len(looks) - start >= LOOKS_MAX):
        start += 1
    return Memory((*looks[start:], look), memory.needs, memory.watching_since_s)


def note_need(memory: Memory, need: Need, *, keep_s: float) -> Memory:
    """The memory with one more need. Those that it is no lower than go, and those that are older than `keep_s`."""
    kept = [old for old in memory.needs if old.replicas > need.replicas and old.at_s >= need.at_s - keep_s]
    since_s = memory.watching_since_s if memory.watching_since_s is not None else need.at_s
    return Memory(memory.looks, (*kept, need), since_s)


def highest_need(memory: Memory, now: float, *, within_s: float) -> Need | None:
    """The highest need since `within_s` ago; None as long as less than that was watched."""
    if memory.watching_since_s is None or now - memory.watching_since_s < within_s:
        return None
    return next((need for need in memory.needs if need.at_s >= now - within_s), None)
