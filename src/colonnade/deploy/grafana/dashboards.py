"""Which dashboards there are, and what each shows. Pure.

Rates are over `$__rate_interval`, which Grafana makes at least four scrapes long. A failure is what a visitor saw:
answers from 500, those of the gateway itself among them.
"""

from __future__ import annotations

from typing import Any

from colonnade.deploy.grafana.panels import Panel, Query, Variable, dashboard

OF_SYSTEM = 'system="$system"'
OF_SERVICE = f'{OF_SYSTEM},service="$service"'
RATE = "[$__rate_interval]"

SYSTEM = Variable("system", "label_values(colonnade_info, system)", "System")
SERVICE = Variable("service", f"label_values(colonnade_service_replicas_desired{{{OF_SYSTEM}}}, service)", "Service")

NONE_IS_GOOD = ((None, "green"), (1, "red"))
ONE_IS_GOOD = ((None, "red"), (1, "green"))


def _quantile(share: float, labels: str, by: str, metric: str = "service") -> str:
    buckets = f"colonnade_{metric}_request_duration_seconds_bucket{{{labels}}}{RATE}"
    return f"histogram_quantile({share}, sum by (le{by}) (rate({buckets})))"


def _processes(metric: str, part: str) -> str:
    return f'{metric}{{{OF_SYSTEM},part=~"{part}"}}'


failures = f'sum by (service) (rate(colonnade_service_responses_total{{{OF_SYSTEM},code="5xx"}}{RATE}))'
OVERVIEW_PANELS: tuple[Panel, ...] = (
    Panel(
        "Not as declared",
        (Query(f"colonnade_system_problems{{{OF_SYSTEM}}}"),),
        look="stat",
        width=4,
        steps=NONE_IS_GOOD,
        about="Sentences that `colonnade status` shows.",
    ),
    Panel(
        "Alerts",
        (Query(f'count(ALERTS{{alertstate="firing",{OF_SYSTEM}}}) or vector(0)'),),
        look="stat",
        width=4,
        steps=NONE_IS_GOOD,
    ),
    Panel(
        "Database takes writes",
        (Query(f"colonnade_database_writable{{{OF_SYSTEM}}}"),),
        look="stat",
        width=4,
        steps=ONE_IS_GOOD,
    ),
    Panel(
        "Requests",
        (Query(f"sum(rate(colonnade_service_requests_total{{{OF_SYSTEM}}}{RATE}))"),),
        "reqps",
        "stat",
        4,
    ),
    Panel("Version", (Query(f"colonnade_deployed_version{{{OF_SYSTEM}}}"),), look="stat", width=4),
    Panel(
        "Error budget left",
        (Query(f"min(colonnade_slo_error_budget_remaining_ratio{{{OF_SYSTEM}}})"),),
        "percentunit",
        "stat",
        4,
        steps=((None, "red"), (0.1, "orange"), (0.5, "green")),
        about="The least of all objectives.",
    ),
    Panel(
        "Requests a second",
        (Query(f"sum by (service) (rate(colonnade_service_requests_total{{{OF_SYSTEM}}}{RATE}))", "{{service}}"),),
        "reqps",
    ),
    Panel("Failed requests a second", (Query(failures, "{{service}}"),), "reqps"),
    Panel("99 of 100 answers begin within", (Query(_quantile(0.99, OF_SYSTEM, ", service"), "{{service}}"),), "s"),
    Panel("Waiting in the gateway", (Query(f"colonnade_service_queued_requests{{{OF_SYSTEM}}}", "{{service}}"),)),
    Panel(
        "Ready replicas",
        (
            Query(f'colonnade_service_replicas{{{OF_SYSTEM},state="ready"}}', "{{service}}"),
            Query(f"colonnade_service_replicas_desired{{{OF_SYSTEM}}}", "{{service}} wanted"),
        ),
    ),
    Panel(
        "Decisions a minute",
        (
            Query(
                f"topk(10, sum by (kind, reason) (rate(colonnade_decisions_total{{{OF_SYSTEM}}}{RATE})) * 60 > 0)",
                "{{kind}}: {{reason}}",
            ),
        ),
    ),
    Panel(
        "Processor",
        (Query(f"sum by (part) (rate(colonnade_process_cpu_seconds_total{{{OF_SYSTEM}}}{RATE}))", "{{part}}"),),
        is_stacked=True,
        about="In cores.",
    ),
    Panel(
        "Memory",
        (Query(f"sum by (part) (colonnade_process_resident_memory_bytes{{{OF_SYSTEM}}})", "{{part}}"),),
        "bytes",
        is_stacked=True,
    ),
)


def overview() -> dict[str, Any]:
    return dashboard(
        "colonnade-overview", "Colonnade / Overview", "Is all well, and if not, where?", (SYSTEM,), OVERVIEW_PANELS
    )


OF_REPLICAS_CPU = f'colonnade_process_cpu_seconds_total{{{OF_SYSTEM},part="replica",instance=~"$service/.*"}}'
SERVICE_PANELS: tuple[Panel, ...] = (
    Panel(
        "Error budget left",
        (Query(f"colonnade_slo_error_budget_remaining_ratio{{{OF_SERVICE}}}", "{{objective}}"),),
        "percentunit",
        "stat",
        steps=((None, "red"), (0.1, "orange"), (0.5, "green")),
    ),
    Panel(
        "Burn rate",
        (Query(f"colonnade_slo_burn_rate{{{OF_SERVICE}}}", "{{objective}} {{window}}"),),
        look="stat",
        steps=((None, "green"), (1, "orange"), (6, "red")),
        about="How many times as fast as allowed the error budget goes.",
    ),
    Panel(
        "Answers a second",
        (Query(f"sum by (code) (rate(colonnade_service_responses_total{{{OF_SERVICE}}}{RATE}))", "{{code}}"),),
        "reqps",
        is_stacked=True,
    ),
    Panel(
        "How soon answers begin",
        tuple(Query(_quantile(share, OF_SERVICE, ""), f"{share * 100:g} of 100") for share in (0.5, 0.9, 0.99)),
        "s",
    ),
    Panel(
        "Refused, repeated, sent elsewhere",
        (
            Query(f"rate(colonnade_service_rejected_total{{{OF_SERVICE}}}{RATE})", "refused: 503 of the gateway"),
            Query(f"rate(colonnade_service_retries_total{{{OF_SERVICE}}}{RATE})", "repeated"),
            Query(f"rate(colonnade_service_redispatches_total{{{OF_SERVICE}}}{RATE})", "sent elsewhere"),
        ),
        "reqps",
    ),
    Panel(
        "In replicas, waiting, and what fits",
        (
            Query(f"colonnade_service_in_flight_requests{{{OF_SERVICE}}}", "in replicas"),
            Query(f"colonnade_service_queued_requests{{{OF_SERVICE}}}", "waiting"),
            Query(f"colonnade_service_concurrency_max{{{OF_SERVICE}}}", "at once, at most"),
        ),
    ),
    Panel(
        "Replicas",
        (
            Query(f"colonnade_service_replicas{{{OF_SERVICE}}} > 0", "{{state}}"),
            Query(f"colonnade_service_replicas_desired{{{OF_SERVICE}}}", "wanted"),
            Query(f"colonnade_service_replicas_max{{{OF_SERVICE}}}", "at most"),
        ),
    ),
    Panel(
        "In rotation",
        (Query(f"colonnade_replica_up{{{OF_SERVICE}}}", "{{replica}}"),),
        look="state-timeline",
        steps=((None, "red"), (1, "green")),
    ),
    Panel(
        "Requests a second by replica",
        (Query(f"rate(colonnade_replica_requests_total{{{OF_SERVICE}}}{RATE})", "{{replica}}"),),
        "reqps",
    ),
    Panel(
        "90 of 100 answers begin within, by replica",
        (Query(_quantile(0.9, OF_SERVICE, ", replica", "replica"), "{{replica}}"),),
        "s",
    ),
    Panel(
        "Errors a second by replica",
        (Query(f"rate(colonnade_replica_errors_total{{{OF_SERVICE}}}{RATE})", "{{replica}}"),),
        "reqps",
    ),
    Panel(
        "Started again in an hour",
        (Query(f"increase(colonnade_replica_restarts_total{{{OF_SERVICE}}}[1h])", "{{replica}}"),),
    ),
    Panel("Processor by replica", (Query(f"rate({OF_REPLICAS_CPU}{RATE})", "{{instance}}"),), about="In cores."),
    Panel(
        "Memory by replica",
        (Query(OF_REPLICAS_CPU.replace("cpu_seconds_total", "resident_memory_bytes"), "{{instance}}"),),
        "bytes",
    ),
)


def service() -> dict[str, Any]:
    return dashboard(
        "colonnade-service", "Colonnade / Service", "One service and its replicas.", (SYSTEM, SERVICE), SERVICE_PANELS
    )


def _of_nodes(title: str, metric: str, unit: str = "short", legend: str = "{{node}}", about: str = "") -> Panel:
    return Panel(title, (Query(f"colonnade_database_{metric}{{{OF_SYSTEM}}}", legend),), unit, about=about)


def _rate_of(title: str, metric: str, unit: str = "short", legend: str = "{{node}}") -> Panel:
    return Panel(title, (Query(f"rate(colonnade_database_{metric}{{{OF_SYSTEM}}}{RATE})", legend),), unit)


DATABASE_PANELS: tuple[Panel, ...] = (
    Panel(
        "Takes writes",
        (Query(f"colonnade_database_writable{{{OF_SYSTEM}}}"),),
        look="stat",
        width=6,
        steps=ONE_IS_GOOD,
    ),
    Panel(
        "Reign",
        (Query(f"colonnade_database_generation{{{OF_SYSTEM}}}"),),
        look="stat",
        width=6,
        about="Grows with each promotion.",
    ),
    Panel(
        "Age of the latest backup",
        (Query(f"time() - colonnade_backup_latest_timestamp_seconds{{{OF_SYSTEM}}}"),),
        "s",
        "stat",
        6,
    ),
    Panel("Size", (Query(f"max(colonnade_database_size_bytes{{{OF_SYSTEM}}})"),), "bytes", "stat", 6),
    Panel(
        "Who is primary",
        (Query(f"colonnade_database_node_primary{{{OF_SYSTEM}}}", "{{node}}"),),
        look="state-timeline",
        steps=((None, "blue"), (1, "green")),
    ),
    Panel(
        "In service",
        (Query(f"colonnade_database_node_up{{{OF_SYSTEM}}}", "{{node}}"),),
        look="state-timeline",
        steps=((None, "red"), (1, "green")),
    ),
    _of_nodes("Behind the primary, in bytes", "replication_lag_bytes", "bytes"),
    _of_nodes("Behind the primary, in seconds", "replication_lag_seconds", "s"),
    _rate_of("Transactions a second", "transactions_total", "ops", "{{node}} {{outcome}}"),
    _rate_of("WAL a second", "wal_bytes_total", "Bps"),
    Panel(
        "Sessions",
        (
            Query(f"colonnade_database_connections{{{OF_SYSTEM}}}", "{{node}} {{state}}"),
            Query(f"max(colonnade_database_connections_max{{{OF_SYSTEM}}})", "at most, each"),
        ),
    ),
    _of_nodes("Waiting for a lock", "lock_waits"),
    _of_nodes("Statements of more than a second", "slow_statements"),
    _of_nodes("Oldest transaction", "longest_transaction_seconds", "s"),
    _rate_of("Blocks a second", "blocks_total", "ops", "{{node}} {{source}}"),
    _of_nodes("WAL kept", "wal_kept_bytes", "bytes"),
    Panel(
        "WAL waiting for the archive",
        (Query(f"colonnade_backup_archive_pending_bytes{{{OF_SYSTEM}}}", "waiting"),),
        "bytes",
    ),
    Panel(
        "Processor",
        (
            Query(
                f"rate({_processes('colonnade_process_cpu_seconds_total', 'database|dbgate')}{RATE})",
                "{{instance}}",
            ),
        ),
        about="In cores.",
    ),
)


def database() -> dict[str, Any]:
    return dashboard(
        "colonnade-database", "Colonnade / Database", "The nodes, and what they do.", (SYSTEM,), DATABASE_PANELS
    )


def dashboards() -> tuple[dict[str, Any], ...]:
    return overview(), service(), database()
