"""Events and statuses as `why` meets them, each with what a test leaves out filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colonnade.core.events import Event

Line = tuple[float, str, str, str, str]
"""When, kind, subject, reason, message."""


def events_of(*lines: Line, **data: Any) -> list[Event]:
    """`data`, if any, belongs to the first."""
    found = []
    for number, (at_s, kind, subject, reason, message) in enumerate(lines, 1):
        found.append(Event(number, at_s, kind, subject, reason, message, data if number == 1 else {}))
    return found


def replica(name: str, state: str = "ready", **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "state": state,
        "pid": 7,
        "port": 20001,
        "restarts": 0,
        "is_crash_loop": False,
        "in_flight": 0,
        "serving": 0,
        "requests": 10,
        "gateway": "UP",
        **more,
    }


def service(name: str = "web", *replicas: Mapping[str, Any], desired: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "route": "/",
        "desired": desired,
        "queued": 0,
        "requests": 100,
        "errors": 0,
        "threads": 8,
        "queue_max": 200,
        "queue_ms": 0.0,
        "response_ms": 12.0,
        "replicas": list(replicas),
        **more,
    }


def status_of(*services: Mapping[str, Any], database: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    found = {"phase": "running", "services": list(services), "database": database, "problems": []}
    return {**found, "gateway": {"pid": 4}, "dbgate": {"pid": None}, "keeper_pid": 1, "controller_pid": 2, **more}


WEB = service("web", replica("web/1"), replica("web/2"))
ALL_WELL = status_of(WEB)
