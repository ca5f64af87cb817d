"""What colonnade.toml says and a cluster does differently, or not at all. Pure.

Every key of the file has a place here: in the manifests, in the image, of no meaning to a cluster, or a sentence.
Nothing that the user wrote is dropped silently; what they left at its default is told in docs/beyond-one-machine.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from colonnade.deploy.kubernetes.parts import OBSERVED_S_MAX, Part
from colonnade.deploy.kubernetes.settings import CHECK_INTERVAL_S, Settings
from colonnade.spec.model import ServiceSpec, Spec

MANIFESTS = frozenset(
    {
        "system.name",
        "system.versions_kept",
        "gateway.request_body_bytes_max",
        "gateway.request_headers_bytes_max",
        "gateway.client_timeout",
        "gateway.header_timeout",
        "gateway.keep_alive_timeout",
        "gateway.connections_max",
        "gateway.trust_trace_context",
        "tracing.endpoint",
        "tracing.ratio",
        "services.*.env",
        "services.*.env_file",
        "services.*.route",
        "services.*.replicas",
        "services.*.weights",
        "services.*.hash_by",
        "services.*.affinity",
        "services.*.slo.p99",
        "services.*.slo.availability",
        "services.*.uses",
        "services.*.health.path",
        "services.*.health.fall",
        "services.*.health.rise",
        "services.*.health.start_timeout",
        "services.*.scaling.target_utilization",
        "services.*.scaling.down_after",
        "services.*.rollout.surge",
        "services.*.rollout.unavailable",
        "services.*.release",
        "services.*.release_timeout",
        "services.*.queue_max",
        "services.*.queue_timeout",
        "services.*.request_timeout",
        "services.*.streams_max",
        "services.*.stream_timeout",
        "services.*.retries",
        "services.*.idempotency_key",
        "services.*.stop_timeout",
        "services.*.slow_start",
        "services.*.threads",
        "services.*.memory_max",
        "database",
        "database.standbys",
        "database.durability",
        "database.quorum_size",
        "database.name",
        "database.connections_max",
        "database.shared_buffers",
        "database.parameters",
        "database.backup",
        "database.backup.full_every",
        "database.backup.archive_timeout",
        "plan.work",
    }
)
"""A change of these changes a manifest; a test does so with each."""

IMAGE = frozenset(
    {
        "services.*.app",
        "services.*.kind",
        "services.*.command",
        "services.*.path",
        "services.*.static",
        "services.*.static_max_age",
    }
)
"""How a service is started: the image's entry program knows."""

NOT_OF_A_SYSTEM = frozenset(
    {
        *(f"drill.{key}" for key in ("rate", "headers", "reads", "writes", "list", "text_field", "item", "own")),
        *(f"plan.{key}" for key in ("rate", "spares", "price_core_hour", "price_memory_gb_hour")),
    }
)
"""What `colonnade drill` and `plan` go by, where they run: it says nothing about a system that serves."""

_DATABASE_URL = "{key}: goes into the Secret {system}-database, which you make; no manifest holds it"

SENTENCES: Mapping[str, str] = {
    "system.user": "{key}: processes in containers are always user 10001",
    "system.shared": "{key}: nothing that several pods write to is made; it takes a volume of a class that all nodes "
    "can mount (ReadWriteMany), and a mount in the Deployments",
    "gateway.listen": "{key}: the gateways listen on port 8080 of their pods; visitors come by the Service `gateway`, "
    "an Ingress or the Gateway API",
    "dashboard.enabled": "{key}: the dashboard shows a system on one machine; of a cluster's gateways there are "
    "metrics (--with monitoring)",
    "alerts.webhooks": "{key}: the dashboard's process tells, and there is none; a cluster's alerts are rules for "
    "Prometheus (--with monitoring)",
    "alerts.env_file": "{key}: as the webhooks",
    **dict.fromkeys(
        (f"prometheus.{key}" for key in ("enabled", "binary", "listen", "interval", "keep", "size_max")),
        "{key}: a cluster has a Prometheus of its own (--with monitoring)",
    ),
    "dashboard.listen": "{key}: there is no dashboard in the cluster",
    "services.*.balance": "{key}: ",
    "services.*.rate_limit": "{key}: each gateway counts for itself, so that a client may get up to {gateways} times "
    "as much; and by the address that reaches it, which without a component for visitors from outside may be a node's",
    "services.*.health.interval": "{key}: gateways ask every {check_s:g} s at most, Kubernetes in whole seconds",
    "services.*.health.timeout": "{key}: gateways wait {check_s:g} s at least, Kubernetes two whole seconds",
    "services.*.health.outliers": "{key}: a replica that is slower or errs more than its peers is not replaced; one "
    "that hangs is, by its liveness probe",
    "services.*.scaling.predict": "{key}: a HorizontalPodAutoscaler does not know earlier days",
    "services.*.scaling.schedule": "{key}: a HorizontalPodAutoscaler knows no hours; KEDA's cron scaler does, or a "
    "CronJob that sets minReplicas",
    "services.*.rollout.canary_time": "{key}: versions are not compared; each new pod has to be well for this long "
    f"({OBSERVED_S_MAX} s at most) before the next is replaced",
    "services.*.rollout.canary_requests": "{key}: versions are not compared",
    "database.url": _DATABASE_URL,
    "database.read_url": _DATABASE_URL,
    "drill.sql": "{key}: drills in the cluster do not ask it, since the database is not reached from where they run; "
    "they ask `list` or `item`",
    "database.backup.directory": "{key}: backups go to an ObjectStore of the Barman Cloud plugin, which you make "
    "({system}-backups)",
    "database.backup.incremental_every": "{key}: CloudNativePG takes full backups and archives WAL",
    "database.backup.keep_full": "{key}: how long backups are kept is for the ObjectStore to say (retentionPolicy)",
    "database.backup.verify_every": "{key}: nobody restores backups for trial",
}
"""By key: what is told when it is written in the file."""

_BALANCE = {
    "adaptive": "weights are not adjusted to what is measured; each request goes to the less busy of two",
    "consistent-hash": "each gateway numbers the pods for itself, so that a key may have a replica for each gateway, "
    "and another one after a rollout",
}


def told_about(spec: Spec, parts: Sequence[Part], settings: Settings) -> tuple[str, ...]:
    """One sentence for each key that is written in the file and not done as it says, in the order of the file."""
    facts = {"system": spec.system.name, "gateways": settings.gateways, "check_s": CHECK_INTERVAL_S}
    told = [
        SENTENCES[pattern].format(key=key, **facts)
        for pattern, key in written_keys(spec)
        if pattern in SENTENCES and pattern != "services.*.balance"
    ]
    if spec.tracing.endpoint:
        told.append("tracing.endpoint: has to be reached from pods, and by a NetworkPolicy of yours (see network.yaml)")
    for part in parts:
        told += _of_part(part)
    return tuple(told)


def _of_part(part: Part) -> Iterator[str]:
    key, service = f"services.{part.name}", part.spec
    if service.balance in _BALANCE:
        yield f"{key}.balance: {_BALANCE[service.balance]}"
    if not service.replicas.fixed and service.replicas.min == 0:
        yield f"{key}.replicas: a HorizontalPodAutoscaler keeps one at least"
    if service.weights and service.memory_bytes_max is not None:
        yield f"{key}.memory_max: is the same for all groups"
    if service.memory_bytes_max is not None:
        yield f"{key}.memory_max: bounds what a pod really uses, all of its processes together, not address space"
    if _count(service) < 2:
        yield f"{key}.replicas: with one replica, who drains its node interrupts the service"
    if any(name in part.secret_keys for name in service.env):
        names = ", ".join(name for name in service.env if name in part.secret_keys)
        yield f"{key}.env: {names} may be secret and stands in no manifest; HOWTO.md has the Secret {part.name}-secrets"
    if service.env_file:
        yield f"{key}.env_file: its content stands in no manifest: see HOWTO.md for the Secret {part.name}-secrets"
    if not part.has_plain_probe:
        yield (
            f"{key}.health.path: no page {service.health.path} was found in the code; the probes are a program in the "
            "image, to which any answer below 500 is good (write the path down to have plain ones)"
        )


def _count(service: ServiceSpec) -> int:
    return sum(group.replicas for group in service.weights) if service.weights else service.replicas.min


def written_keys(spec: Spec) -> Iterator[tuple[str, str]]:
    """(pattern, key) of what the file says, whatever its value: `services.*.route`, `services.web.route`."""
    for table in type(spec).model_fields:
        model = getattr(spec, table)
        if isinstance(model, BaseModel):
            yield from _written(model, table, table)
    for name, service in spec.services.items():
        yield from _written(service, "services.*", f"services.{name}")


def _written(model: BaseModel, pattern: str, key: str) -> Iterator[tuple[str, str]]:
    for field, info in type(model).model_fields.items():
        if field not in model.model_fields_set:
            continue
        name = info.alias or field
        value: Any = getattr(model, field)
        inner = f"{pattern}.{name}"
        if isinstance(value, BaseModel) and field not in ("replicas", "rate_limit"):
            yield from _written(value, inner, f"{key}.{name}")
        else:
            yield inner, f"{key}.{name}"
