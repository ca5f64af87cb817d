"""How a change of each key comes to count in a system that runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from colonnade.spec.model import WeightGroup


class Effect(Enum):
    """How a change of a key comes to count in a system that runs; each value completes "this takes effect …"."""

    ROLLOUT = "by a rollout of the service"
    GATEWAY = "in the gateway at once, nothing restarts"
    CONTROLLER = "at once, nothing restarts"
    SCALING = "by scaling"
    DATABASE_RESTART = "by `colonnade db restart`"
    DATABASE_STANDBYS = "by `colonnade db standbys`"
    DOWN_AND_UP = "only by `colonnade down` and `colonnade up`"


EFFECTS: Mapping[str, Effect] = {
    "system.name": Effect.CONTROLLER,  # only shown
    "system.user": Effect.DOWN_AND_UP,  # whoever runs now owns what is there
    "system.versions_kept": Effect.CONTROLLER,
    "system.shared": Effect.ROLLOUT,  # links in the copy that replicas run from
    "gateway.listen": Effect.DOWN_AND_UP,  # the keeper holds the socket
    "gateway.request_body_bytes_max": Effect.GATEWAY,
    "gateway.request_headers_bytes_max": Effect.GATEWAY,
    "gateway.client_timeout": Effect.GATEWAY,
    "gateway.header_timeout": Effect.GATEWAY,
    "gateway.keep_alive_timeout": Effect.GATEWAY,
    "gateway.connections_max": Effect.GATEWAY,
    "gateway.trust_trace_context": Effect.GATEWAY,
    "services.*.app": Effect.ROLLOUT,
    "services.*.kind": Effect.ROLLOUT,
    "services.*.command": Effect.ROLLOUT,
    "services.*.path": Effect.ROLLOUT,
    "services.*.env": Effect.ROLLOUT,
    "services.*.env_file": Effect.ROLLOUT,
    "services.*.route": Effect.GATEWAY,
    "services.*.replicas": Effect.SCALING,
    "services.*.weights": Effect.GATEWAY,  # but see effect_of
    "services.*.balance": Effect.GATEWAY,
    "services.*.hash_by": Effect.GATEWAY,
    "services.*.affinity": Effect.GATEWAY,
    "services.*.static": Effect.ROLLOUT,  # an argument of the application server
    "services.*.static_max_age": Effect.ROLLOUT,
    "services.*.rate_limit": Effect.GATEWAY,
    "services.*.slo.p99": Effect.CONTROLLER,
    "services.*.slo.availability": Effect.CONTROLLER,
    "services.*.uses": Effect.ROLLOUT,  # it brings variables
    "services.*.health.path": Effect.GATEWAY,
    "services.*.health.interval": Effect.GATEWAY,
    "services.*.health.timeout": Effect.GATEWAY,
    "services.*.health.fall": Effect.GATEWAY,
    "services.*.health.rise": Effect.GATEWAY,
    "services.*.health.start_timeout": Effect.CONTROLLER,
    "services.*.health.outliers": Effect.CONTROLLER,
    "services.*.scaling.target_utilization": Effect.CONTROLLER,
    "services.*.scaling.down_after": Effect.CONTROLLER,
    "services.*.scaling.predict": Effect.CONTROLLER,
    "services.*.scaling.schedule": Effect.CONTROLLER,
    "services.*.rollout.surge": Effect.CONTROLLER,
    "services.*.rollout.unavailable": Effect.CONTROLLER,
    "services.*.rollout.canary_time": Effect.CONTROLLER,
    "services.*.rollout.canary_requests": Effect.CONTROLLER,
    "services.*.release": Effect.ROLLOUT,  # it runs before the first replica of a version
    "services.*.release_timeout": Effect.CONTROLLER,
    "services.*.threads": Effect.ROLLOUT,  # an argument of the application server, as well as of the gateway
    "services.*.queue_max": Effect.GATEWAY,
    "services.*.queue_timeout": Effect.GATEWAY,
    "services.*.request_timeout": Effect.GATEWAY,
    "services.*.streams_max": Effect.GATEWAY,
    "services.*.stream_timeout": Effect.GATEWAY,
    "services.*.retries": Effect.GATEWAY,
    "services.*.idempotency_key": Effect.GATEWAY,
    "services.*.stop_timeout": Effect.CONTROLLER,
    "services.*.slow_start": Effect.GATEWAY,
    "services.*.memory_max": Effect.ROLLOUT,  # a limit that a process is born with
    "database": Effect.DOWN_AND_UP,  # as a whole: there is one now, or no longer
    "database.url": Effect.DOWN_AND_UP,
    "database.read_url": Effect.DOWN_AND_UP,
    "database.standbys": Effect.DATABASE_STANDBYS,  # but see effect_of
    "database.durability": Effect.DATABASE_RESTART,
    "database.quorum_size": Effect.DATABASE_RESTART,
    "database.name": Effect.DOWN_AND_UP,
    "database.connections_max": Effect.DOWN_AND_UP,
    "database.shared_buffers": Effect.DATABASE_RESTART,
    "database.parameters": Effect.DATABASE_RESTART,
    "database.backup": Effect.DOWN_AND_UP,  # as a whole
    "database.backup.directory": Effect.DOWN_AND_UP,
    "database.backup.full_every": Effect.DOWN_AND_UP,
    "database.backup.incremental_every": Effect.DOWN_AND_UP,
    "database.backup.keep_full": Effect.DOWN_AND_UP,
    "database.backup.archive_timeout": Effect.DOWN_AND_UP,
    "database.backup.verify_every": Effect.DOWN_AND_UP,
    "prometheus.enabled": Effect.DOWN_AND_UP,
    "prometheus.binary": Effect.DOWN_AND_UP,
    "prometheus.listen": Effect.DOWN_AND_UP,
    "prometheus.interval": Effect.DOWN_AND_UP,
    "prometheus.keep": Effect.DOWN_AND_UP,
    "prometheus.size_max": Effect.DOWN_AND_UP,
    "tracing.endpoint": Effect.ROLLOUT,  # these bring variables
    "tracing.ratio": Effect.ROLLOUT,
    "dashboard.enabled": Effect.DOWN_AND_UP,
    "dashboard.listen": Effect.DOWN_AND_UP,  # the keeper holds the socket
    "alerts.webhooks": Effect.CONTROLLER,
    "alerts.env_file": Effect.CONTROLLER,
    "drill.rate": Effect.CONTROLLER,  # these are read by `colonnade drill` alone, when it starts
    "drill.headers": Effect.CONTROLLER,
    "drill.reads": Effect.CONTROLLER,
    "drill.writes": Effect.CONTROLLER,
    "drill.list": Effect.CONTROLLER,
    "drill.text_field": Effect.CONTROLLER,
    "drill.item": Effect.CONTROLLER,
    "drill.sql": Effect.CONTROLLER,
    "drill.own": Effect.CONTROLLER,
    "plan.rate": Effect.CONTROLLER,  # and these by `colonnade plan`
    "plan.spares": Effect.CONTROLLER,
    "plan.work": Effect.CONTROLLER,
    "plan.price_core_hour": Effect.CONTROLLER,
    "plan.price_memory_gb_hour": Effect.CONTROLLER,
}
"""Every key of the file; `*` is any service. A key of a table (`env`, `parameters`) counts as its table."""


def effect_of(pattern: str, old: Any, new: Any) -> Effect:
    """How a key takes effect. Two depend on their values: the first standby and the last, and groups of replicas."""
    if pattern == "database.standbys" and 0 in (old, new):
        return Effect.DOWN_AND_UP
    if pattern == "services.*.weights":
        return _effect_of_groups(old or [], new or [])
    return EFFECTS[pattern]


def _effect_of_groups(old: list[WeightGroup], new: list[WeightGroup]) -> Effect:
    """Weights are the gateway's, numbers are scaling; but a replica that comes to have another environment is anew."""

    def environments(groups: list[WeightGroup]) -> list[Mapping[str, str]]:
        return [group.env for group in groups for _ in range(group.replicas)]

    # Replicas beyond a list are like its last group, so lists of different length are compared as far as both go on.
    before, after = environments(old), environments(new)
    length = max(len(before), len(after))
    if _stretched(before, length) != _stretched(after, length):
        return Effect.ROLLOUT
    return Effect.GATEWAY if len(before) == len(after) else Effect.SCALING


def _stretched(environments: list[Mapping[str, str]], length: int) -> list[Mapping[str, str]]:
    last: Mapping[str, str] = environments[-1] if environments else {}
    return environments + [last] * (length - len(environments))
