"""What follows from a declaration without being written in it: circles, groups, variables, quorum. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from colonnade.spec.model import DatabaseSpec, ServiceSpec, Spec

DATABASE = "database"
"""The name in `uses` that is not a service."""

NAME_CHARS_MAX = 31


@dataclass(frozen=True, slots=True)
class ReplicaGroup:
    """`count` replicas that share a weight and an addition to their environment."""

    count: int
    weight: int
    env: Mapping[str, str] = field(repr=False)


def own_database(spec: Spec) -> DatabaseSpec | None:
    """The database that Colonnade runs; None without any, and where `url` leads to somebody's."""
    return spec.database if spec.database is not None and not spec.database.url else None


def service_url_variable(name: str) -> str:
    """The environment variable with the address of service `name`: `user-api` → `USER_API_URL`."""
    return f"{name.upper().replace('-', '_')}_URL"


def replica_groups(service: ServiceSpec) -> list[ReplicaGroup]:
    """The replicas that a service starts with, group by group; replica numbers run through them in this order."""
    if service.weights:
        return [ReplicaGroup(group.replicas, group.weight, group.env) for group in service.weights]
    return [ReplicaGroup(service.replicas.min, 1, {})]


def replica_group_of(service: ServiceSpec, number: int) -> ReplicaGroup:
    """The group of replica `number` (from 1); those added by `colonnade scale` are like the last group."""
    groups = replica_groups(service)
    for group in groups:
        if number <= group.count:
            return group
        number -= group.count
    return groups[-1]


QUEUE_SHARE_OF_P99 = 0.5
"""Under overload whoever is served has waited for nearly the whole time-out, as the queue is first come, first served;
the other half of the objective is for the answer itself. A service whose answers take longer than that half cannot meet
its objective by shedding load."""


def queue_timeout_s(service: ServiceSpec) -> float:
    """How long a request may wait in the gateway, streams apart. With an objective, no longer than leaves time to meet
    it, unless `queue_timeout` is given."""
    if service.slo is None or service.slo.p99_s is None or "queue_timeout_s" in service.model_fields_set:
        return service.queue_timeout_s
    return min(service.queue_timeout_s, QUEUE_SHARE_OF_P99 * service.slo.p99_s)


def used_services(service: ServiceSpec) -> list[str]:
    return [name for name in service.uses if name != DATABASE]


def url_variables(service: ServiceSpec) -> list[str]:
    """Every variable that `uses` puts into the environment of this service."""
    variables = [service_url_variable(name) for name in used_services(service)]
    return [*variables, "DATABASE_URL", "DATABASE_READ_URL"] if DATABASE in service.uses else variables


def synchronous_standbys(database: DatabaseSpec) -> int:
    """How many standbys must have a COMMIT on disk before it is acknowledged; 0: nobody waits.

    A database without standbys is plain PostgreSQL: there is no other disk to wait for.
    """
    return database.quorum_size if database.durability == "quorum" and database.standbys > 0 else 0


def find_cycle(spec: Spec) -> list[str] | None:
    """Services that use each other in a circle, as a path that ends where it began; None when there is no circle."""
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done or name not in spec.services:
            return None
        path.append(name)
        for used in used_services(spec.services[name]):
            if (cycle := visit(used)) is not None:
                return cycle
        path.pop()
        done.add(name)
        return None

    return next((cycle for name in spec.services if (cycle := visit(name)) is not None), None)


def fit_name(text: str, *, default: str) -> str:
    """`text` made fit to be a name: "My Blog (2)" → "my-blog-2", "01-hello" → "hello"; `default` if nothing is left."""
    kept = "".join(char if char.isascii() and char.isalnum() else "-" for char in text.lower()).lstrip("0123456789-")
    name = "-".join(part for part in kept.split("-") if part)
    return name[:NAME_CHARS_MAX].rstrip("-") or default
