"""From what the controller said to samples. Pure: two dictionaries in, samples out; what is missing has none.

`status` is what `colonnade status --json` shows (`system/status.py`), `measurements` the raw counters beside it
(`system/measurements.py`). Both may be of another version of Colonnade while it is upgraded: unknown keys do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from colonnade.core.histogram import BOUNDS_MS
from colonnade.observe.metrics import REPLICA_BOUNDS_S, SERVICE_BOUNDS_S
from colonnade.observe.sample import Labels, Sample

Said = Mapping[str, Any]

STATES = ("waiting", "starting", "ready", "draining", "stopping")
"""Of replicas; each has a sample, so that a count goes to 0 and does not vanish."""

MIDDLES_S = tuple(
    (lower + upper) / 2000 for lower, upper in zip((0, *BOUNDS_MS), (*BOUNDS_MS, BOUNDS_MS[-1]), strict=True)
)
"""What an answer in each bucket is taken to have needed, for the sum."""

REPLICA_BUCKETS = tuple(SERVICE_BOUNDS_S.index(bound) + 1 for bound in REPLICA_BOUNDS_S)
"""How many of the gateway's buckets lie below each of a replica's bounds."""


def collect(status: Said, measurements: Said) -> list[Sample]:
    """All samples but those that need a memory (decisions) or the machine (processes)."""
    return [
        *_system(status),
        *(sample for service in status.get("services", ()) for sample in _service(service, measurements)),
        *_gateways(status, measurements.get("gateways") or {}),
        *_database(status.get("database"), (measurements.get("database") or {}).get("nodes") or {}),
        *_one("disk_size_bytes", (measurements.get("disk") or {}).get("size_bytes")),
        *_one("disk_available_bytes", (measurements.get("disk") or {}).get("available_bytes")),
    ]


def _one(name: str, value: float | None, *labels: tuple[str, str]) -> Iterator[Sample]:
    if value is not None:
        yield Sample(f"colonnade_{name}", labels, float(value))


def _system(status: Said) -> Iterator[Sample]:
    yield from _one("info", 1, ("name", str(status["name"])), ("version", str(status["version"])))
    yield from _one("system_running", status["phase"] == "running")
    yield from _one("system_problems", len(status["problems"]))
    yield from _one("system_start_time_seconds", status["started_at_s"])
    yield from _one("deployed_version", status.get("deployed_version"))
    deployment = status.get("deployment")
    yield from _one("deployment_running", bool(deployment and deployment["is_open"]))
    yield from _one("deployment_undone", bool(deployment and deployment["stage"] == "undone"))
    yield from _one("events_dropped_total", status["events_dropped"])


def _service(service: Said, measurements: Said) -> Iterator[Sample]:
    name = ("service", str(service["name"]))
    replicas = service["replicas"]
    measured = measurements.get("services", {}).get(service["name"], {})
    states = [replica["state"] for replica in replicas]
    for state in STATES:
        yield from _one("service_replicas", states.count(state), name, ("state", state))
    yield from _one("service_replicas_desired", service["desired"], name)
    scaling = service.get("scaling") or {}
    yield from _one("service_replicas_min", scaling.get("min"), name)
    yield from _one("service_replicas_max", scaling.get("max"), name)
    yield from _one("service_requests_total", service["requests"], name)
    yield from _one("service_errors_total", service["errors"], name)
    yield from _one("service_rejected_total", service["rejected"], name)
    yield from _one("service_queued_requests", service["queued"], name)
    yield from _one("service_in_flight_requests", sum(replica["in_flight"] or 0 for replica in replicas), name)
    yield from _one("service_concurrency_max", states.count("ready") * service["threads"], name)
    yield from _by_code("service_responses_total", measured.get("responses") or (), name)
    yield from _one("service_retries_total", measured.get("retries"), name)
    yield from _one("service_redispatches_total", measured.get("redispatches"), name)
    yield from _one("service_streams", measured.get("streams"), name)
    yield from _one("service_failed_open", measured.get("is_failed_open"), name)
    if "latency" in measured:
        whole = tuple(range(1, len(SERVICE_BOUNDS_S) + 1))
        yield from _histogram("service_request_duration_seconds", measured["latency"], SERVICE_BOUNDS_S, whole, (name,))
    of_replicas = measured.get("replicas", {})
    for replica in replicas:
        yield from _replica(replica, of_replicas.get(replica["id"], {}), name)


def _replica(replica: Said, measured: Said, service: tuple[str, str]) -> Iterator[Sample]:
    labels = (service, ("replica", str(replica["id"])))
    yield from _one("replica_up", replica["gateway"] in ("UP", "no check"), *labels)
    if replica["in_flight"] is not None:
        # Out of the gateway nothing is known of it. A 0 would be a counter that falls: Prometheus takes that for a new
        # beginning, and counts all that was before once more when the replica is back.
        yield from _one("replica_requests_total", replica["requests"], *labels)
    yield from _one("replica_errors_total", measured.get("errors"), *labels)
    yield from _one("replica_in_flight_requests", replica["in_flight"] or 0, *labels)
    yield from _one("replica_restarts_total", replica["restarts"], *labels)
    yield from _one("replica_crash_looping", replica["is_crash_loop"], *labels)
    if "latency" in measured:
        yield from _histogram(
            "replica_request_duration_seconds", measured["latency"], REPLICA_BOUNDS_S, REPLICA_BUCKETS, labels
        )


def _histogram(
    name: str, counts: Sequence[int], bounds_s: Sequence[float], buckets: Sequence[int], labels: Labels
) -> Iterator[Sample]:
    """Cumulated, as Prometheus wants it. `buckets[i]` of the `counts` lie below `bounds_s[i]`."""
    for bound, below in zip(bounds_s, buckets, strict=True):
        yield from _one(f"{name}_bucket", sum(counts[:below]), *labels, ("le", f"{bound:g}"))
    total = sum(counts)
    yield from _one(f"{name}_bucket", total, *labels, ("le", "+Inf"))
    sum_s = sum(count * middle for count, middle in zip(counts, MIDDLES_S, strict=True))
    yield from _one(f"{name}_sum", sum_s, *labels)
    yield from _one(f"{name}_count", total, *labels)


def _by_code(name: str, counts: Sequence[int], label: tuple[str, str]) -> Iterator[Sample]:
    """Of each class of statuses, 1xx first."""
    for number, count in enumerate(counts, 1):
        yield from _one(name, count, label, ("code", f"{number}xx"))


def _gateways(status: Said, measured: Said) -> Iterator[Sample]:
    for which in ("gateway", "dbgate"):
        gateway = status.get(which) or {}
        if "uptime_s" not in gateway:
            continue  # not assembled yet, or no database
        label = ("gateway", which)
        yield from _one("gateway_up", gateway["pid"] is not None, label)
        yield from _one("gateway_uptime_seconds", gateway["uptime_s"], label)
        yield from _one("gateway_restarts_total", gateway["restarts"], label)
        yield from _one("gateway_reloads_total", gateway["reloads"], label)
        yield from _one("gateway_connections", measured.get(which, {}).get("connections"), label)
        yield from _one("gateway_connections_max", measured.get(which, {}).get("connections_max"), label)
    # Those of dbgate carry TCP, which has no requests.
    for name, frontend in measured.get("gateway", {}).get("frontends", {}).items():
        way = ("frontend", str(name).removeprefix("gateway."))
        yield from _one("gateway_requests_total", frontend["requests_total"], way)
        yield from _by_code("gateway_responses_total", frontend["responses"], way)
        yield from _one("gateway_denied_total", frontend["denied_total"], way)
        yield from _one("gateway_bad_requests_total", frontend["bad_requests_total"], way)


def _database(database: Said | None, statistics: Said) -> Iterator[Sample]:
    if database is None or database["external"]:
        return
    yield from _one("database_writable", bool(database["writable"]))
    yield from _one("database_generation", database.get("generation"))
    yield from _one("database_last_failover_timestamp_seconds", (database.get("last_failover") or {}).get("at_s"))
    lags_s = (statistics.get(database.get("primary") or "") or {}).get("lag_s", {})
    for node in database["nodes"]:
        label = ("node", str(node["name"]))
        yield from _one("database_node_up", node["state"] in ("primary", "standby"), label)
        yield from _one("database_node_primary", node["role"] == "primary", label)
        yield from _one("database_replication_lag_bytes", node["lag_bytes"], label)
        if node["name"] in lags_s:
            yield from _one("database_replication_lag_seconds", lags_s[node["name"]] or 0.0, label)
        if node["name"] in statistics:
            yield from _statistics(statistics[node["name"]], label)
    backup = database.get("backup")
    if backup is not None:
        # 0 is a moment that is long ago: without any backup the latest one is too old.
        yield from _one("backup_latest_timestamp_seconds", backup["latest_at_s"] or 0)
        yield from _one("backup_interval_seconds", backup.get("interval_s"))
        yield from _one("backup_archive_pending_bytes", backup["archive_pending_bytes"])
        yield from _one("backup_archive_pending_seconds", backup["archive_pending_s"])


OF_NODES = {
    "database_connections_max": "connections_max",
    "database_lock_waits": "waiting_for_lock",
    "database_locks": "locks",
    "database_slow_statements": "slow",
    "database_longest_statement_seconds": "longest_statement_s",
    "database_longest_transaction_seconds": "longest_transaction_s",
    "database_deadlocks_total": "deadlocks",
    "database_conflicts_total": "conflicts",
    "database_temporary_bytes_total": "temporary_bytes",
    "database_size_bytes": "size_bytes",
    "database_wal_bytes_total": "wal_position_bytes",
    "database_wal_kept_bytes": "wal_kept_bytes",
}
"""Metrics of a node, and what they are called in `database/statistics.py`."""


def _statistics(said: Said, node: tuple[str, str]) -> Iterator[Sample]:
    for state in ("active", "idle", "idle_in_transaction"):
        yield from _one("database_connections", said[state], node, ("state", state))
    for outcome in ("commit", "rollback"):
        yield from _one("database_transactions_total", said[f"{outcome}s"], node, ("outcome", outcome))
    yield from _one("database_blocks_total", said["blocks_hit"], node, ("source", "cache"))
    yield from _one("database_blocks_total", said["blocks_read"], node, ("source", "disk"))
    for name, key in OF_NODES.items():
        yield from _one(name, said[key], node)
