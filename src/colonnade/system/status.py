"""The system's state as one JSON-able value: what `status`, the viewer and tests read. Its keys are a promise."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from colonnade import __version__
from colonnade.gateway.state import GatewayView, ServerView
from colonnade.runtime.restart import is_looping
from colonnade.runtime.state import ObservedReplica, ReplicaState
from colonnade.runtime.view import RuntimeView
from colonnade.runtime.wanted import Rollout

if TYPE_CHECKING:
    from colonnade.system.controller import SystemController
    from colonnade.system.system import System


def describe(controller: SystemController) -> dict[str, Any]:
    """Everything worth showing; works in every phase, also before anything is assembled."""
    system = controller.system
    runtime = system.runtime.view() if system else RuntimeView({})
    return {
        "version": __version__,
        "name": system.loaded.spec.system.name if system else controller.paths.root.parent.name,
        "phase": controller.phase.value,
        "is_reloading": controller.accepted.is_reloading,
        "url": system.url if system else "",
        "state_directory": str(controller.paths.root),
        "keeper_pid": controller.keeper.keeper_pid,
        "controller_pid": os.getpid(),
        "started_at_s": controller.started_at_s,
        "start_duration_s": controller.start_duration_s,
        "gateway": _gateway(system.gateway.view()) if system else {"pid": None},
        "dbgate": _gateway(system.database.gateway.view()) if system and system.database else {"pid": None},
        "services": [_service(system, name, runtime) for name in system.services] if system else [],
        "database": _database(system) if system else None,
        "prometheus": system.prometheus.describe() if system and system.prometheus else None,
        "dashboard": system.dashboard.describe() if system and system.dashboard else None,
        "deployed_version": system.version if system else None,
        "deployment": controller.deployment(),
        "problems": [*filter(None, [controller.trouble]), *(_problems(system, runtime) if system else [])],
        "events_dropped": controller.events.dropped_count,
    }


def _gateway(view: GatewayView) -> dict[str, Any]:
    return {
        "pid": view.pid,
        "uptime_s": view.uptime_s,
        "restarts": view.restarts_count,
        "reloads": view.reloads_count,
    }


def _service(system: System, name: str, runtime: RuntimeView) -> dict[str, Any]:
    spec = system.services[name]
    pool = system.gateway.view().pools.get(name)
    servers = pool.servers if pool else {}
    return {
        "name": name,
        "route": spec.route,
        "uses": list(spec.uses),
        "balance": spec.balance,
        "desired": runtime.desired.get(name, 0),
        "version": runtime.versions.get(name),
        "rollout": _rollout(runtime.rollouts.get(name)),
        "scaling": system.autoscaler.describe(name),
        "internal_url": system.internal_url(name),
        "slo": {"p99_s": spec.slo.p99_s, "availability": spec.slo.availability} if spec.slo else None,
        "threads": spec.threads,
        "queue_max": spec.queue_max,
        "queued": pool.traffic.queued if pool else 0,
        "queue_ms": pool.traffic.queue_ms_mean if pool else 0.0,
        "response_ms": pool.traffic.response_ms_mean if pool else 0.0,
        "requests": pool.traffic.requests_total if pool else 0,
        "errors": pool.traffic.server_errors_total if pool else 0,
        "rejected": pool.rejected_total if pool else 0,
        "replicas": [
            _replica(replica, servers.get(replica.id.number), system.clock.monotonic())
            for replica in runtime.replicas
            if replica.id.service == name
        ],
    }


def _rollout(rollout: Rollout | None) -> dict[str, Any] | None:
    if rollout is None:
        return None
    return {"stage": rollout.stage.value, "old": rollout.old, "new": rollout.new, "message": rollout.message}


def _replica(replica: ObservedReplica, server: ServerView | None, now: float) -> dict[str, Any]:
    return {
        "id": str(replica.id),
        "state": replica.state.value,
        "is_drained": replica.is_held,
        "is_unreached": replica.is_unreached,
        "version": replica.version,
        "pid": replica.pid,
        "port": replica.port,
        "restarts": replica.history.total_restarts,
        "is_crash_loop": is_looping(replica, now),
        "in_flight": server.in_flight if server else None,
        "serving": server.sessions if server else None,
        "requests": server.requests_total if server else 0,
        "response_ms": server.response_ms_mean if server else 0.0,
        "gateway": server.status if server else "—",
    }


def _database(system: System) -> dict[str, Any] | None:
    spec = system.loaded.spec.database
    if spec is None:
        return None
    if system.database is None:
        return {"external": True, "summary": "external, by url", "writable": None, "nodes": []}
    return system.database.describe()


def _problems(system: System, runtime: RuntimeView) -> list[str]:
    """What is not as declared, one sentence each; empty when all is well."""
    found = []
    now = system.clock.monotonic()
    for name, desired in runtime.desired.items():
        replicas = [replica for replica in runtime.replicas if replica.id.service == name]
        ready = sum(1 for replica in replicas if replica.state is ReplicaState.READY)
        held = [str(replica.id) for replica in replicas if replica.is_held]
        if ready < desired:
            what = f" ({', '.join(held)} drained, as asked)" if held else ""
            found.append(f"{name}: {ready} of {desired} replicas are ready{what}")
        looping = [str(replica.id) for replica in replicas if is_looping(replica, now)]
        if looping:
            found.append(f"{', '.join(looping)}: crash loop; see `colonnade logs {name}`")
        unreached = [str(replica.id) for replica in replicas if replica.is_unreached]
        if unreached:
            found.append(
                f"{', '.join(unreached)}: only the gateway does not reach it; see `colonnade why {unreached[0]}`"
            )
    return found + (system.database.problems() if system.database else [])
