"""Pictures as `colonnade top` gets them, with what a test leaves out filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Part = dict[str, Any]


def gateway(name: str = "gateway", **more: Any) -> Part:
    return {
        "id": name,
        "kind": "gateway",
        "label": name,
        "health": "well",
        "why": "leads requests to who serves",
        "ask": name,
        "restarts": 0,
        "uptime_s": 61,
        "pid": 40,
        **more,
    }


def service(name: str = "web", **more: Any) -> Part:
    return {
        "id": name,
        "kind": "service",
        "label": name,
        "health": "well",
        "why": "has 2 of 2 replicas in rotation",
        "ask": name,
        "route": "/",
        "uses": ["database"],
        "desired": 2,
        "ready": 2,
        "requests_per_s": 42.0,
        "errors_per_s": 0.0,
        "rejected_per_s": 0.0,
        "response_ms": 12.4,
        "queued": 0,
        "queue_max": 200,
        "busy": 1,
        "places": 16,
        "version": 3,
        "rollout": "",
        "scaling": {"mode": "auto", "min": 1, "max": 4, "message": "2 are enough"},
        "balance": "round-robin",
        **more,
    }


def replica(name: str = "web/1", **more: Any) -> Part:
    return {
        "id": name,
        "kind": "replica",
        "label": name,
        "parent": name.partition("/")[0],
        "health": "well",
        "why": "serves",
        "ask": name,
        "state": "ready",
        "gateway": "UP",
        "in_flight": 1,
        "response_ms": 12.0,
        "requests": 100,
        "restarts": 0,
        "version": 3,
        "pid": 7,
        "port": 20001,
        **more,
    }


def node(name: str, role: str = "standby", **more: Any) -> Part:
    return {
        "id": f"database/{name}",
        "kind": "node",
        "label": name,
        "parent": "database",
        "health": "well",
        "why": "follows" if role == "standby" else "takes the writes",
        "ask": "db",
        "role": role,
        "state": role,
        "lag_bytes": 0 if role == "standby" else None,
        "sync_state": "quorum" if role == "standby" else "",
        "timeline": 1,
        "pid": 9,
        "port": 20009,
        **more,
    }


DATABASE: Part = {
    "id": "database",
    "kind": "database",
    "label": "database",
    "health": "well",
    "why": "a is primary, standbys that stream: b",
    "ask": "db",
    "durability": "quorum",
    "last_failover": None,
}


def picture_of(*parts: Part, at_s: float = 0.0, level: str = "well", text: str = "All is well.") -> dict[str, Any]:
    public = [part["requests_per_s"] for part in parts if part["kind"] == "service" and part["route"]]
    return {
        "at_s": at_s,
        "name": "shop",
        "url": "http://127.0.0.1:8080",
        "phase": "running",
        "version": 3,
        "deployment": None,
        "headline": {"level": level, "text": text, "where": [], "ask": ""},
        "parts": list(parts),
        "flows": [{"from": "visitors", "to": "gateway", "kind": "requests", "per_s": sum(public) if public else None}],
    }


def shop(**more: Any) -> dict[str, Any]:
    """One service with a replica that is well and one that died, and a database of two nodes."""
    dead = replica(
        "web/2", health="dead", state="waiting", gateway="—", why="died, and is started again", pid=None, restarts=4
    )
    parts: Sequence[Part] = (
        gateway(),
        service(health="sick", ready=1, queued=3),
        replica("web/1", restarts=1),
        dead,
        DATABASE,
        gateway("dbgate", why="leads to the primary and the standbys"),
        node("a", "primary"),
        node("b", lag_bytes=1_234_567),
    )
    return picture_of(*parts, level="trouble", text="Web/2 died, and is started again.", **more)


def many(count: int, unwell: Mapping[int, str]) -> dict[str, Any]:
    """One service with `count` replicas; `unwell` has the health of those that are not well, by number."""
    replicas = [
        replica(
            f"web/{number}", health=unwell.get(number, "well"), why="does not answer" if number in unwell else "serves"
        )
        for number in range(1, count + 1)
    ]
    return picture_of(gateway(), service(desired=count, ready=count - len(unwell)), *replicas)
