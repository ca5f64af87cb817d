"""Raw counters beside the status, for those who make metrics of them: only what the controller has anyway, so that
asking for it once a second costs nothing that could be missed when something has to be decided."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.gateway.state import GatewayView, ObservedFrontend, PoolView

if TYPE_CHECKING:
    from colonnade.system.controller import SystemController


def measure(controller: SystemController) -> dict[str, Any]:
    """Works in every phase. Latencies are counts by the buckets of `core/histogram.py`, since HAProxy began."""
    system = controller.system
    if system is None:
        return {"at_s": controller.clock.wall(), "services": {}}
    view, database = system.gateway.view(), system.database
    pools = view.pools
    return {
        "at_s": controller.clock.wall(),
        "gateways": {
            "gateway": _gateway(view),
            **({"dbgate": _gateway(database.gateway.view())} if database is not None else {}),
        },
        "services": {name: _service(name, pools[name]) for name in system.services if name in pools},
        "database": database.measurements() if database is not None else None,
        "disk": disk_use(controller.paths.root),
    }


def _gateway(view: GatewayView) -> dict[str, Any]:
    return {
        "connections": view.connections,
        "connections_max": view.connections_max,
        "frontends": {name: _frontend(frontend) for name, frontend in view.frontends.items()},
    }


def _frontend(frontend: ObservedFrontend) -> dict[str, Any]:
    return {
        "sessions": frontend.sessions,
        "requests_total": frontend.requests_total,
        "denied_total": frontend.denied_total,
        "bad_requests_total": frontend.bad_requests_total,
        "responses": frontend.responses,
    }


def disk_use(path: Path) -> dict[str, int]:
    """Of the file system that a path is on; empty when the disk does not answer."""
    try:
        about = os.statvfs(path)
    except OSError:
        return {}
    return {"size_bytes": about.f_frsize * about.f_blocks, "available_bytes": about.f_frsize * about.f_bavail}


def _service(name: str, pool: PoolView) -> dict[str, Any]:
    return {
        "latency": pool.latency.counts,
        "streams": pool.streams,
        "retries": pool.traffic.retries_total,
        "redispatches": pool.traffic.redispatches_total,
        "responses": pool.traffic.responses,
        "is_failed_open": pool.is_failed_open,
        "replicas": {
            f"{name}/{slot}": {
                "errors": server.errors_total + server.server_errors_total,
                "latency": server.latency.counts,
            }
            for slot, server in pool.servers.items()
        },
    }
