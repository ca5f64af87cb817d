"""What a controller says: a service of two replicas and a database of two nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from colonnade.core.histogram import BUCKETS_COUNT


def replica(name: str, pid: int) -> dict[str, Any]:
    return {
        "id": name,
        "state": "ready",
        "version": 1,
        "pid": pid,
        "port": 15_000 + pid,
        "restarts": 0,
        "is_crash_loop": False,
        "in_flight": 1,
        "serving": 1,
        "requests": 60,
        "response_ms": 4.0,
        "gateway": "UP",
    }


def service(name: str = "web", replicas: int = 2) -> dict[str, Any]:
    return {
        "name": name,
        "route": "/",
        "balance": "round-robin",
        "desired": replicas,
        "version": 1,
        "rollout": None,
        "scaling": {"mode": "fixed", "min": replicas, "max": 2 * replicas},
        "internal_url": "",
        "threads": 8,
        "queue_max": 200,
        "queued": 0,
        "queue_ms": 0.0,
        "response_ms": 4.0,
        "requests": 60 * replicas,
        "errors": 1,
        "rejected": 2,
        "replicas": [replica(f"{name}/{number}", 100 + number) for number in range(1, replicas + 1)],
    }


def node(name: str, role: str, pid: int) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "state": role,
        "pid": pid,
        "port": 15_500 + pid,
        "timeline": 1,
        "lsn": "0/3000148",
        "lag_bytes": None if role == "primary" else 512,
        "sync_state": "" if role == "primary" else "quorum",
    }


def status(*services: dict[str, Any]) -> dict[str, Any]:
    gateway = {"pid": 31, "uptime_s": 60, "restarts": 0, "reloads": 1}
    return {
        "version": "0.1.0",
        "name": "shop",
        "phase": "running",
        "is_reloading": False,
        "url": "http://127.0.0.1:8080",
        "state_directory": "/srv/shop/.colonnade",
        "keeper_pid": 21,
        "controller_pid": 22,
        "started_at_s": 1_700_000_000.0,
        "start_duration_s": 3.5,
        "gateway": gateway,
        "dbgate": {**gateway, "pid": 32},
        "services": list(services) or [service()],
        "database": {
            "external": False,
            "summary": "all is well",
            "reason": "steady",
            "writable": True,
            "primary": "a",
            "durability": "quorum",
            "generation": 3,
            "nodes": [node("a", "primary", 41), node("b", "standby", 42)],
            "last_failover": None,
            "backup": {
                "count": 2,
                "latest": "full-1",
                "latest_at_s": 1_700_000_100.0,
                "interval_s": 3600.0,
                "archive_pending_segments": 0,
                "archive_pending_bytes": 0,
                "archive_pending_s": 0.0,
                "archive_trouble": "",
            },
        },
        "dashboard": {"pid": 51, "url": "http://127.0.0.1:8081", "restarts": 0},
        "deployed_version": 1,
        "deployment": None,
        "problems": [],
        "events_dropped": 0,
    }


def frontend() -> dict[str, Any]:
    return {
        "sessions": 9,
        "requests_total": 97,
        "denied_total": 3,
        "bad_requests_total": 6,
        "responses": [0, 90, 2, 4, 1],
    }


def statistics(**lags_s: float | None) -> dict[str, Any]:
    """Of a node to which these follow."""
    counted: tuple[str, ...] = (
        "active",
        "idle",
        "idle_in_transaction",
        "waiting_for_lock",
        "slow",
        "longest_statement_s",
        "locks",
    )
    counted += ("longest_transaction_s", "commits", "rollbacks", "deadlocks", "conflicts", "blocks_read", "blocks_hit")
    counted += ("temporary_bytes", "size_bytes", "wal_kept_bytes", "wal_position_bytes", "connections_max")
    return {**{name: number for number, name in enumerate(counted)}, "lag_s": lags_s}


def measurements(*services: dict[str, Any], counts: Sequence[int] = tuple(range(BUCKETS_COUNT))) -> dict[str, Any]:
    return {
        "at_s": 1_700_000_200.0,
        "gateways": {
            "gateway": {"connections": 12, "connections_max": 8000, "frontends": {"gateway.public": frontend()}},
            "dbgate": {"connections": 5, "connections_max": 400, "frontends": {"primary": frontend()}},
        },
        "database": {"nodes": {"a": statistics(b=0.25), "b": statistics()}},
        "disk": {"size_bytes": 10**11, "available_bytes": 10**10},
        "services": {
            one["name"]: {
                "latency": list(counts),
                "streams": 0,
                "responses": [0, 100, 5, 3, 2],
                "retries": 1,
                "redispatches": 0,
                "is_failed_open": False,
                "replicas": {each["id"]: {"errors": 1, "latency": list(counts)} for each in one["replicas"]},
            }
            for one in (services or (service(),))
        },
    }
