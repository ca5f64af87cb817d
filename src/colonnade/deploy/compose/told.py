"""What a declaration says and compose cannot do, by name. Pure: nothing is dropped without a word."""

from __future__ import annotations

from collections.abc import Iterator

from colonnade.spec.derive import own_database
from colonnade.spec.model import DatabaseSpec, ServiceSpec, Spec


def told_about(spec: Spec) -> tuple[str, ...]:
    """One sentence for each key that counts less than on one machine."""
    said = [
        "compose has one gateway container: while it is replaced, nobody is answered",
        "a new TAG stops all replicas of a service and starts others: no rolling, no canary, no undo (docs/docker.md)",
    ]
    for name, service in spec.services.items():
        said += [f"services.{name}.{sentence}" for sentence in _of_service(service)]
    if (database := own_database(spec)) is not None:
        said += [f"database.{sentence}" for sentence in _of_database(database)]
    if "versions_kept" in spec.system.model_fields_set:
        said.append("system.versions_kept: old images are kept until you remove them")
    said += [f'system.shared: "{path}" becomes an empty volume; copy what is in it' for path in spec.system.shared]
    said += [f"[{table}]: counts only where Colonnade itself runs the system" for table in _elsewhere(spec)]
    return tuple(said)


def _elsewhere(spec: Spec) -> list[str]:
    """Tables that nothing in a container reads, if the declaration has them."""
    return sorted(spec.model_fields_set - {"system", "gateway", "services", "database"})


def _of_service(service: ServiceSpec) -> Iterator[str]:
    given = service.model_fields_set
    if not service.replicas.fixed and service.replicas.max > service.replicas.min:
        yield f"replicas: {service.replicas.min} of them, and nobody scales; `docker compose up --scale` does by hand"
    if "scaling" in given:
        yield "scaling: nobody scales, and there is no schedule"
    if "rollout" in given:
        yield "rollout: a new TAG replaces all replicas at once"
    if service.balance == "adaptive":
        yield 'balance = "adaptive": weights do not adapt; requests go to the less busy of two by chance'
    if service.balance == "consistent-hash":
        yield 'balance = "consistent-hash": a replaced container may get another place, and keys move'
    if "health" in given and service.health.outliers:
        yield "health.outliers: nobody replaces a replica that is only slow"
    if service.slo is not None:
        yield "slo: bounds the waiting in the gateway; nobody scales or judges a version by it"
    if "health" in given and "start_timeout_s" in service.health.model_fields_set:
        yield "health.start_timeout: a container that never gets ready stays, and is not sent requests"


def _of_database(database: DatabaseSpec) -> Iterator[str]:
    if database.standbys > 0:
        yield f"standbys = {database.standbys}: compose gives one node, no failover, and reads on the primary"
        if database.durability == "quorum":
            yield 'durability = "quorum": a COMMIT is on one disk, that of the one node'
    yield "connections_max: clients connect to PostgreSQL itself; beyond it they are refused instead of waiting"
    if database.backup is not None:
        yield "backup: there are none; copy the volume while it is stopped, or run pg_basebackup from elsewhere"
