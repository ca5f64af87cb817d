"""Raw counters beside the status, for those who make metrics of them: only what the controller has anyway, so that
asking for it once a second costs nothing that could be missed when something has to be decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colonnade.gateway.state import PoolView

if TYPE_CHECKING:
    from colonnade.system.controller import SystemController


def measure(controller: SystemController) -> dict[str, Any]:
    """Works in every phase. Latencies are counts by the buckets of `core/histogram.py`, since HAProxy began."""
    system = controller.system
    if system is None:
        return {"at_s": controller.clock.wall(), "services": {}}
    pools = system.gateway.view().pools
    return {
        "at_s": controller.clock.wall(),
        "services": {name: _service(name, pools[name]) for name in system.services if name in pools},
    }


def _service(name: str, pool: PoolView) -> dict[str, Any]:
    return {
        "latency": pool.latency.counts,
        "streams": pool.streams,
        "retries": pool.traffic.retries_total,
        "redispatches": pool.traffic.redispatches_total,
        "is_failed_open": pool.is_failed_open,
        "replicas": {
            f"{name}/{slot}": {
                "errors": server.errors_total + server.server_errors_total,
                "latency": server.latency.counts,
            }
            for slot, server in pool.servers.items()
        },
    }
