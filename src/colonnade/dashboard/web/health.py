"""How each part is, in one of a few words, and why in one sentence. Pure.

The words are few because each has a colour and a shape on the page: *well*, *coming* (starts, is copied, is about to
serve), *leaving* (finishes what it has), *held* (out of rotation because somebody asked), *sick* (runs, and is not as
it should be), *dead*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from statistics import median
from typing import Any

from colonnade.system.slowness import OUTLIER_MS_MIN, OUTLIER_RATIO

LAG_BYTES_MAX = 16 * 1024 * 1024
"""One segment of WAL: a standby that is further behind is seen to be."""


class Health(Enum):
    WELL = "well"
    COMING = "coming"
    LEAVING = "leaving"
    HELD = "held"
    SICK = "sick"
    DEAD = "dead"


Finding = tuple[Health, str]
"""How it is, and why, as the end of a sentence that begins with its name."""

MARKS = {"replica_sick": True, "replica_unreached": True, "replica_expected_to_fail": True}
UNMARKS = frozenset({"replica_ready", "replica_reached", "replica_stopped", "replica_exited", "replica_crash_looping"})


def marked(events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Replicas that were found sick and not replaced since, each with what was found."""
    found: dict[str, str] = {}
    for event in events:
        if event["kind"] in MARKS:
            found[event["subject"]] = event["message"]
        elif event["kind"] in UNMARKS:
            found.pop(event["subject"], None)
    return found


RECENT_S = 6.0
"""So long is told what was over before anybody could look: a replica that dies may serve again within half a second."""

TOLD = frozenset(
    {
        "replica_exited",
        "replica_killed",
        "replica_crash_looping",
        "gateway_exited",
        "node_exited",
        "failover_finished",
    }
)

SLOW = "is slow"


def happened_lately(events: Sequence[Mapping[str, Any]], now_s: float) -> dict[str, str]:
    """By part, the newest of what is worth telling although it may be mended."""
    return {
        event["subject"]: event["message"]
        for event in events
        if event["kind"] in TOLD and now_s - event["at_s"] <= RECENT_S
    }


def replica_health(replica: Mapping[str, Any], peers_ms: float | None, mark: str | None) -> Finding:
    """`peers_ms` is what its peers take to answer (None: nothing to compare with), `mark` what was found of it."""
    state, gateway = replica["state"], replica["gateway"]
    if replica.get("is_drained"):
        return Health.HELD, "is out of rotation, as asked"
    if state == "waiting":
        loop = "dies again and again; it is still tried, ever more rarely" if replica["is_crash_loop"] else "died"
        return Health.DEAD, loop + ", and is started again"
    if state == "starting":
        if replica["is_crash_loop"]:
            return Health.SICK, "died several times in a row, and starts once more"
        return Health.COMING, "died, and starts again" if replica["restarts"] else "starts"
    if state in ("draining", "stopping"):
        return Health.LEAVING, "finishes what it has, then ends"
    if gateway == "DOWN":
        return Health.SICK, "does not answer the gateway's checks"
    if replica.get("is_unreached"):
        return Health.SICK, "is not reached by the gateway, though it answers"
    if mark is not None:
        return Health.SICK, f"was found sick: {mark}"
    if gateway == "—":
        return Health.COMING, "is about to be given requests"
    own_ms = replica.get("response_ms") or 0.0
    if peers_ms and own_ms > max(OUTLIER_RATIO * peers_ms, peers_ms + OUTLIER_MS_MIN):
        return Health.SICK, f"{SLOW}: answers take {own_ms:.0f} ms, its peers' {peers_ms:.0f} ms"
    return Health.WELL, "serves"


def peers_ms(replica: Mapping[str, Any], replicas: Sequence[Mapping[str, Any]]) -> float | None:
    """The median of the other ready replicas' mean times."""
    others = [
        float(one["response_ms"])
        for one in replicas
        if one["id"] != replica["id"] and one["state"] == "ready" and one.get("response_ms")
    ]
    return median(others) if others else None


DEAD_NODES = {
    "stopped": "does not run",
    "absent": "has no data yet",
    "fenced": "is fenced",
    "unknown": "cannot be judged",
}
COMING_NODES = {
    "cloning": "is copied from the primary",
    "starting": "starts",
    "promoting": "becomes the primary",
    "rewinding": "is rewound onto the new history",
    "quiesced": "stands still, to be compared",
}


def node_health(node: Mapping[str, Any]) -> Finding:
    state = node["state"]
    if state == "primary":
        return Health.WELL, "takes the writes"
    if state == "standby":
        if node["role"] == "rejoining":
            return Health.COMING, "catches up, and has no vote until it has"
        lag = node["lag_bytes"]
        if lag is not None and lag > LAG_BYTES_MAX:
            return Health.SICK, f"follows, {lag / 1e6:,.0f} MB behind"
        return Health.WELL, "follows"
    if state in COMING_NODES:
        return Health.COMING, COMING_NODES[state]
    if state == "silent":
        return Health.SICK, "does not answer"
    return Health.DEAD, DEAD_NODES.get(state, f"is {state}")
