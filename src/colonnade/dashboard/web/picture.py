"""The system as one picture: its parts, what flows between them, and how each is. Pure; JSON for the browser, which
only draws.

Nothing is left out for being too much: two hundred replicas are two hundred parts, and the browser finds places for
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from colonnade.dashboard.web.headline import headline, matters_of
from colonnade.dashboard.web.health import SLOW, Health, happened_lately, marked, node_health, peers_ms, replica_health
from colonnade.dashboard.web.looks import Look

Part = dict[str, Any]

NOTHING_RECENT: Mapping[str, float] = {}

WORST = (Health.DEAD, Health.SICK, Health.COMING, Health.LEAVING, Health.HELD, Health.WELL)


def picture(now: Look, before: Look | None, recent_ms: Mapping[str, float] = NOTHING_RECENT) -> dict[str, Any]:
    """`before` is an earlier look at the same gateway, for rates; without one they are None. `recent_ms` is what
    replicas take to answer now, where that is known better than by the gateway's own mean."""
    status = now.status
    parts = list(_parts(now, before, recent_ms)) if status is not None else []
    matters = matters_of(status, parts, happened_lately(now.events, now.at_s))
    return {
        "at_s": now.at_s,
        "name": status["name"] if status else "",
        "url": status["url"] if status else "",
        "phase": status["phase"] if status else "unknown",
        "is_answering": status is not None,
        "headline": headline(matters, parts),
        "matters": [
            {"level": one.level.name.lower(), "text": one.text, "where": list(one.where), "ask": one.ask}
            for one in matters
        ],
        "parts": parts,
        "flows": list(_flows(status, parts)) if status else [],
        "deployment": status["deployment"] if status else None,
        "version": status["deployed_version"] if status else None,
    }


def without_controller(last: Mapping[str, Any]) -> dict[str, Any]:
    """What was seen last, while the controller does not answer: it may have changed since, so the page greys it."""
    matters = matters_of(None, (), {})
    told = [{"level": "trouble", "text": matters[0].text, "where": ["controller"], "ask": "controller"}]
    return {**last, "is_answering": False, "headline": headline(matters, ()), "matters": told}


def _parts(now: Look, before: Look | None, recent_ms: Mapping[str, float]) -> Iterator[Part]:
    status = now.status
    assert status is not None
    marks = marked(now.events)
    yield _controller(status)
    yield _gateway("gateway", "gateway", status["gateway"], status["phase"])
    for said in status["services"]:
        timed = [{**one, "response_ms": recent_ms.get(one["id"], one["response_ms"])} for one in said["replicas"]]
        service = {**said, "replicas": timed}
        replicas = [_replica(one, service, marks) for one in service["replicas"]]
        yield _service(service, replicas, _Rates(service, now, before))
        yield from replicas
    yield from _database(status)


def _controller(status: Mapping[str, Any]) -> Part:
    why = {"running": "watches over everything"}.get(status["phase"], f"is {status['phase']}")
    health = "well" if status["phase"] == "running" else "coming"
    return {
        "id": "controller",
        "kind": "controller",
        "label": "controller",
        "health": health,
        "why": why,
        "ask": "controller",
    }


def _gateway(name: str, label: str, view: Mapping[str, Any], phase: str) -> Part:
    runs = view.get("pid") is not None
    health = "well" if runs else "coming" if phase == "starting" else "dead"
    why = "leads requests to who serves" if runs else "does not run"
    return {
        "id": name,
        "kind": "gateway",
        "label": label,
        "health": health,
        "why": why,
        "ask": name,
        "restarts": view.get("restarts", 0),
        "uptime_s": view.get("uptime_s", 0),
        "pid": view.get("pid"),
    }


def _replica(replica: Mapping[str, Any], service: Mapping[str, Any], marks: Mapping[str, str]) -> Part:
    health, why = replica_health(replica, peers_ms(replica, service["replicas"]), marks.get(replica["id"]))
    # Of its past nothing tells why it is slow; that of the service compares it with the others, and says what to do.
    ask = f"slow {service['name']}" if why.startswith(SLOW) else replica["id"]
    return {
        "id": replica["id"],
        "kind": "replica",
        "label": replica["id"],
        "parent": service["name"],
        "health": health.value,
        "why": why,
        "ask": ask,
        "state": replica["state"],
        "gateway": replica["gateway"],
        "in_flight": replica["in_flight"],
        "response_ms": replica["response_ms"],
        "requests": replica["requests"],
        "restarts": replica["restarts"],
        "version": replica["version"],
        "pid": replica["pid"],
        "port": replica["port"],
    }


def _service(service: Mapping[str, Any], replicas: Sequence[Part], rates: _Rates) -> Part:
    ready = [one for one in service["replicas"] if one["state"] == "ready" and one["gateway"] != "DOWN"]
    rollout = service["rollout"]
    healths = {Health(one["health"]) for one in replicas} or ({Health.DEAD} if service["desired"] else {Health.WELL})
    serving = sum(1 for one in replicas if one["health"] == "well")
    rejected, all_errors = rates.per_s("rejected"), rates.per_s("errors")
    # What the gateway turns away is answered with 503, and counted as an error as well.
    errors = None if all_errors is None or rejected is None else max(0.0, all_errors - rejected)
    why = f"has {len(ready)} of {service['desired']} replicas in rotation"
    is_crowded = bool(rejected) or service["queued"] > service["queue_max"] / 2
    if is_crowded:
        why = "turns requests away" if rejected else "lets requests wait"
    if is_crowded or errors:
        healths.add(Health.SICK)
    worst = next(health for health in WORST if health in healths)
    return {
        "id": service["name"],
        "kind": "service",
        "label": service["name"],
        # A box is as sick as its sickest part, but not dead while others in it serve.
        "health": "sick" if worst is Health.DEAD and serving else worst.value,
        "why": why,
        "ask": f"slow {service['name']}" if is_crowded else service["name"],
        "route": service["route"],
        "uses": service.get("uses", []),
        "desired": service["desired"],
        "ready": len(ready),
        "requests_per_s": rates.per_s("requests"),
        "errors_per_s": errors,
        "rejected_per_s": rejected,
        "response_ms": service["response_ms"],
        "queued": service["queued"],
        "queue_max": service["queue_max"],
        "busy": sum(one.get("serving") or 0 for one in ready),
        "places": service["threads"] * len(ready),
        "version": service["version"],
        "rollout": rollout["message"] or rollout["stage"] if rollout else "",
        "scaling": service["scaling"],
        "balance": service["balance"],
    }


def _database(status: Mapping[str, Any]) -> Iterator[Part]:
    database = status["database"]
    if database is None:
        return
    is_well = bool(database["writable"]) or database.get("external", False)
    yield {
        "id": "database",
        "kind": "database",
        "label": "database",
        "health": "well" if is_well else "coming" if status["phase"] == "starting" else "sick",
        "why": database["summary"],
        "ask": "db",
        "durability": database.get("durability", ""),
        "last_failover": database.get("last_failover"),
    }
    if not database.get("external"):
        yield _gateway("dbgate", "dbgate", status["dbgate"], status["phase"]) | {
            "why": "leads to the primary and the standbys"
        }
    for node in database["nodes"]:
        health, why = node_health(node)
        yield {
            "id": f"database/{node['name']}",
            "kind": "node",
            "label": node["name"],
            "parent": "database",
            "health": health.value,
            "why": why,
            "ask": "db",
            "role": node["role"],
            "state": node["state"],
            "lag_bytes": node["lag_bytes"],
            "sync_state": node["sync_state"],
            "timeline": node["timeline"],
            "pid": node["pid"],
            "port": node["port"],
        }


def _flows(status: Mapping[str, Any], parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """Who sends to whom. `per_s` is None where only the way is known, and not how much takes it."""
    services = [part for part in parts if part["kind"] == "service"]
    public = [one["requests_per_s"] for one in services if one["route"] and one["requests_per_s"] is not None]
    yield {"from": "visitors", "to": "gateway", "kind": "requests", "per_s": sum(public) if public else None}
    for service in services:
        yield {"from": "gateway", "to": service["id"], "kind": "requests", "per_s": service["requests_per_s"]}
        for used in service["uses"]:
            if used == "database":
                if status["database"] is not None:
                    yield {"from": service["id"], "to": "database", "kind": "sql", "per_s": None}
            else:
                yield {"from": service["id"], "to": used, "kind": "uses", "per_s": None}
    nodes = [part for part in parts if part["kind"] == "node"]
    primary = next((node for node in nodes if node["state"] == "primary"), None)
    for node in nodes:
        if primary is not None and node["state"] == "standby":
            flow = {"from": primary["id"], "to": node["id"], "kind": "replication", "per_s": None}
            yield {**flow, "lag_bytes": node["lag_bytes"]}


class _Rates:
    """Of one service's counters, per second, since an earlier look."""

    def __init__(self, service: Mapping[str, Any], now: Look, before: Look | None) -> None:
        self._now = service
        self._interval_s = now.at_s - before.at_s if before is not None else 0.0
        known = before.status["services"] if before is not None and before.status is not None else []
        self._before = next((one for one in known if one["name"] == service["name"]), None)

    def per_s(self, key: str) -> float | None:
        if self._before is None or self._interval_s <= 0:
            return None
        return max(0.0, float(self._now[key] - self._before[key])) / self._interval_s
