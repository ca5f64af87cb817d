"""THE declaration of every metric: name, kind, help and labels. What is exposed is what stands here.

Names and units are by Prometheus' conventions: base units (seconds, bytes, ratios), `_total` on what only grows.
Cardinality is bounded: labels are services, replicas (200 of a service at most), nodes, parts, and words of our own.
Counters of the gateway begin anew with its process, those of decisions with the dashboard's: `rate()` knows that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from colonnade.core.histogram import BOUNDS_MS

SERVICE_BOUNDS_S = tuple(bound / 1000 for bound in BOUNDS_MS)
"""Upper bounds of a service's buckets: all that the gateway counts by."""

REPLICA_BOUNDS_S = (0.012, 0.035, 0.1, 0.3, 0.9, 3.0)
"""Of a replica's buckets: every third, since 200 replicas have them."""


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is declared. `labels` in the order in which samples have them; a histogram's have `le` besides,
    after these."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def sample_names(self) -> tuple[str, ...]:
        if self.kind is Kind.HISTOGRAM:
            return f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count"
        return (self.name,)


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(f"colonnade_{name}", Kind.COUNTER, help_text, labels)


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(f"colonnade_{name}", Kind.GAUGE, help_text, labels)


def _histogram(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(f"colonnade_{name}", Kind.HISTOGRAM, help_text, labels)


SYSTEM = (
    _gauge("info", "Always 1; the labels tell what runs.", "name", "version"),
    _gauge("system_running", "1 when everything declared was up once and nobody takes it down; else 0."),
    _gauge("system_problems", "Things that are not as declared: the sentences that `colonnade status` shows."),
    _gauge("system_start_time_seconds", "When this life of the controller began, since the epoch."),
    _gauge("deployed_version", "Number of the version that is deployed."),
    _gauge("deployment_undone", "1 while the last deployment is one that was undone."),
    _gauge("deployment_running", "1 while a deployment or a rollback is on its way."),
    _counter("events_dropped_total", "Events that the disk refused."),
    _counter(
        "decisions_total",
        "What was done and what happened, by its reason: `colonnade events` has each with a sentence.",
        "part",
        "kind",
        "reason",
    ),
)

SERVICES = (
    _gauge("service_replicas", "Replicas of a service by where they are in their lives.", "service", "state"),
    _gauge("service_replicas_desired", "Replicas that a service should have now.", "service"),
    _gauge("service_replicas_min", "The fewest that scaling may come to.", "service"),
    _gauge("service_replicas_max", "The most that scaling may come to.", "service"),
    _counter("service_requests_total", "Requests that the gateway passed on or answered for a service.", "service"),
    _counter("service_errors_total", "Answers of a service's replicas with a status from 500.", "service"),
    _counter(
        "service_rejected_total",
        "Requests that the gateway answered 503 itself: the queue was full, the wait too long, or nobody was there.",
        "service",
    ),
    _counter(
        "service_responses_total",
        "Answers to requests for a service by the class of their status (2xx, …); the gateway's own too, but for 429.",
        "service",
        "code",
    ),
    _counter("service_retries_total", "Attempts to reach a replica that were repeated.", "service"),
    _counter("service_redispatches_total", "Requests that were sent to another replica than chosen first.", "service"),
    _gauge("service_streams", "WebSockets and event streams that are open.", "service"),
    _gauge("service_failed_open", "1 while so many checks fail that they are not believed.", "service"),
    _gauge("service_queued_requests", "Requests that wait in the gateway for a free replica.", "service"),
    _gauge("service_in_flight_requests", "Requests in replicas now, streams included.", "service"),
    _gauge("service_concurrency_max", "Requests that all ready replicas together serve at once.", "service"),
    _histogram(
        "service_request_duration_seconds",
        "Time from when the gateway has a request to the answer's beginning, waiting included; streams and what "
        "the gateway answered itself are not counted. The sum is estimated from the buckets.",
        "service",
    ),
)

REPLICAS = (
    _gauge("replica_up", "1 while the gateway sends requests to a replica; else 0.", "service", "replica"),
    _counter("replica_requests_total", "Requests that were sent to a replica.", "service", "replica"),
    _counter(
        "replica_errors_total", "Answers with a status from 500, failed connections, cut replies.", "service", "replica"
    ),
    _gauge("replica_in_flight_requests", "Requests in a replica now, streams included.", "service", "replica"),
    _counter("replica_restarts_total", "How often a replica was started again.", "service", "replica"),
    _gauge("replica_crash_looping", "1 while a replica ends again and again.", "service", "replica"),
    _histogram(
        "replica_request_duration_seconds",
        "As service_request_duration_seconds, of one replica and in wider buckets.",
        "service",
        "replica",
    ),
)

GATEWAYS = (
    _gauge("gateway_up", "1 while HAProxy runs: `gateway` for HTTP, `dbgate` in front of the database.", "gateway"),
    _gauge("gateway_uptime_seconds", "Age of the HAProxy process.", "gateway"),
    _counter("gateway_restarts_total", "How often HAProxy had to be started again.", "gateway"),
    _counter("gateway_reloads_total", "How often HAProxy was replaced because its text changed.", "gateway"),
    _gauge("gateway_connections", "Connections to HAProxy that are open.", "gateway"),
    _gauge("gateway_connections_max", "Connections that HAProxy takes at once.", "gateway"),
    _counter(
        "gateway_requests_total",
        "Requests by the way on which they come: `public`, or `<service>.internal` from other services.",
        "frontend",
    ),
    _counter("gateway_responses_total", "Answers by way and class of their status.", "frontend", "code"),
    _counter("gateway_denied_total", "Requests refused by a rule of the way: too large.", "frontend"),
    _counter("gateway_bad_requests_total", "What came and was no request: broken off, too slow, no HTTP.", "frontend"),
)

DATABASE = (
    _gauge("database_writable", "1 while there is a primary, clients are led to it, and a quorum follows."),
    _gauge("database_generation", "Number of the reign: grows with each promotion."),
    _gauge("database_node_up", "1 while a node serves as primary or follows as standby.", "node"),
    _gauge("database_node_primary", "1 for the node that is the primary.", "node"),
    _gauge("database_replication_lag_bytes", "WAL that the primary has and a standby has not replayed.", "node"),
    _gauge(
        "database_replication_lag_seconds",
        "How long ago the primary wrote what a standby replayed last; 0 when it has all that there is.",
        "node",
    ),
    _gauge("database_last_failover_timestamp_seconds", "When the last failover began, since the epoch."),
    _gauge("database_connections", "Sessions of clients by what they do.", "node", "state"),
    _gauge("database_connections_max", "Sessions that a node takes at once.", "node"),
    _gauge("database_lock_waits", "Sessions of clients that wait for a lock.", "node"),
    _gauge("database_locks", "Locks that are held or waited for.", "node"),
    _gauge("database_slow_statements", "Statements that have been running for more than a second.", "node"),
    _gauge("database_longest_statement_seconds", "How long the oldest running statement has been running.", "node"),
    _gauge("database_longest_transaction_seconds", "How long the oldest open transaction has been open.", "node"),
    _counter("database_transactions_total", "Transactions by how they ended: commit or rollback.", "node", "outcome"),
    _counter("database_deadlocks_total", "Deadlocks that were found and broken.", "node"),
    _counter("database_conflicts_total", "Queries that a standby cancelled in favour of replay.", "node"),
    _counter(
        "database_blocks_total", "Blocks of 8 KiB asked for, by where they were: cache or disk.", "node", "source"
    ),
    _counter("database_temporary_bytes_total", "What queries wrote to temporary files.", "node"),
    _gauge("database_size_bytes", "Size of the application's database on disk.", "node"),
    _counter(
        "database_wal_bytes_total", "How far a node's WAL goes: written on the primary, replayed on a standby.", "node"
    ),
    _gauge("database_wal_kept_bytes", "WAL that a node keeps on its disk.", "node"),
    _gauge("backup_latest_timestamp_seconds", "When the latest usable backup ended, since the epoch."),
    _gauge("backup_interval_seconds", "How often there should be a backup, full or incremental."),
    _gauge("backup_archive_pending_bytes", "WAL that waits to be archived."),
    _gauge("backup_archive_pending_seconds", "Age of the oldest WAL that waits to be archived."),
)

PROCESSES = (
    _counter(
        "process_cpu_seconds_total",
        "Processor time of a part, with all processes that it started.",
        "part",
        "instance",
    ),
    _gauge(
        "process_resident_memory_bytes",
        "Memory of a part; what its processes share counts in each.",
        "part",
        "instance",
    ),
    _gauge("process_threads", "Threads of a part.", "part", "instance"),
    _gauge("process_start_time_seconds", "When a part was started, since the epoch.", "part", "instance"),
    _gauge("disk_size_bytes", "Size of the file system that the state directory is on."),
    _gauge("disk_available_bytes", "What is free on the file system that the state directory is on."),
)

OBJECTIVES = (
    _counter("slo_requests_total", "Requests that an objective of a service is about.", "service", "objective"),
    _counter("slo_bad_requests_total", "Those of them that were not as promised.", "service", "objective"),
    _gauge("slo_target_ratio", "Share of requests that must be good.", "service", "objective"),
    _gauge(
        "slo_error_budget_remaining_ratio",
        "Share of the error budget of 30 days that is left; negative when more is spent than there was.",
        "service",
        "objective",
    ),
    _gauge(
        "slo_error_budget_window_seconds",
        "How much of these 30 days the history has.",
        "service",
        "objective",
    ),
    _gauge(
        "slo_burn_rate",
        "How many times as fast as allowed the error budget is spent, over a window.",
        "service",
        "objective",
        "window",
    ),
)

ALERTS = (
    _gauge("alert_firing", "1 while an alert of the dashboard's own fires.", "alert", "subject", "severity"),
    _counter(
        "notifications_total", "Messages to webhooks: delivered, failed (given up), dropped (too many).", "outcome"
    ),
)

HISTORY = (
    _gauge("history_size_bytes", "The history's file on the disk."),
    _gauge("history_writable", "0 while the disk refuses the history; 1 else."),
    _counter(
        "history_sights_lost_total", "Seconds that are missing in the history: the disk refused them for too long."
    ),
)

METRICS: tuple[Metric, ...] = (
    *SYSTEM,
    *SERVICES,
    *REPLICAS,
    *GATEWAYS,
    *DATABASE,
    *PROCESSES,
    *OBJECTIVES,
    *ALERTS,
    *HISTORY,
)
"""All of them, in the order in which they are exposed and documented. Who adds some adds a tuple of them here."""

BY_SAMPLE_NAME: Mapping[str, Metric] = {name: metric for metric in METRICS for name in metric.sample_names()}
