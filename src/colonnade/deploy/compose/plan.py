"""Which containers a declaration becomes, and under which names they reach each other. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from colonnade.deploy.docker.names import INTERNAL_PORT_FIRST
from colonnade.gateway.pools import slots_for
from colonnade.spec.derive import DATABASE, own_database, replica_groups, service_url_variable, used_services
from colonnade.spec.model import ServiceSpec, Spec

GATEWAY = "gateway"

DATABASE_URL_SECRET = "database_url"  # noqa: S105 - a name
DATABASE_READ_URL_SECRET = "database_read_url"  # noqa: S105 - a name
DATABASE_PASSWORD_SECRET = "database_password"  # noqa: S105 - a name

DRAIN_S = 1.0
"""Between being told and SIGTERM: five times the gateway's interval, and more than the DNS's."""


@dataclass(frozen=True, slots=True)
class Group:
    """Containers that are alike. `name`: of the compose service, and in the DNS."""

    name: str
    service: str
    count: int
    count_max: int
    weight: int
    env: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    groups: tuple[Group, ...]
    internal_ports: Mapping[str, int]
    """On the gateway, by service; none of them is published."""
    releases: Mapping[str, str]
    """Service → name of its one-shot release step."""

    def groups_of(self, service: str) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.service == service)


def plan_of(spec: Spec) -> Plan:
    used = sorted({name for service in spec.services.values() for name in used_services(service)})
    return Plan(
        groups=tuple(group for name, service in spec.services.items() for group in _groups(spec, name, service)),
        internal_ports={name: INTERNAL_PORT_FIRST + number for number, name in enumerate(used)},
        releases={name: _free(spec, f"{name}-release") for name, service in spec.services.items() if service.release},
    )


def _groups(spec: Spec, name: str, service: ServiceSpec) -> list[Group]:
    groups = replica_groups(service)
    if len(groups) == 1:
        only = groups[0]
        return [Group(name, name, only.count, slots_for(service), only.weight, only.env)]
    return [
        Group(_free(spec, f"{name}-group-{number}"), name, group.count, 2 * group.count, group.weight, group.env)
        for number, group in enumerate(groups, 1)
    ]


def _free(spec: Spec, name: str) -> str:
    while name in spec.services:
        name += "-"
    return name


def environment_of(spec: Spec, plan: Plan, name: str, tag: str) -> dict[str, str]:
    """What is not secret: the declaration's `env`, and addresses."""
    service = spec.services[name]
    env = {**service.env}
    for used in used_services(service):
        env[service_url_variable(used)] = f"http://{GATEWAY}:{plan.internal_ports[used]}"
    if DATABASE in service.uses:
        env["DATABASE_URL_FILE"] = f"/run/secrets/{DATABASE_URL_SECRET}"
        env["DATABASE_READ_URL_FILE"] = f"/run/secrets/{read_url_secret(spec)}"
    if service.env_file:
        env["COLONNADE_ENV_FILE"] = f"/run/secrets/{env_secret(name)}"
    return {**env, "COLONNADE_SERVICE": name, "COLONNADE_VERSION": tag}


def read_url_secret(spec: Spec) -> str:
    has_own = spec.database is not None and spec.database.read_url
    return DATABASE_READ_URL_SECRET if has_own else DATABASE_URL_SECRET


def env_secret(service: str) -> str:
    return f"{service.replace('-', '_')}_env"


def secrets_of(spec: Spec, name: str) -> list[str]:
    service = spec.services[name]
    found = [env_secret(name)] if service.env_file else []
    if DATABASE in service.uses:
        found += dict.fromkeys([DATABASE_URL_SECRET, read_url_secret(spec)])
    return found


def stop_s(service: ServiceSpec) -> int:
    """From `docker stop` to SIGKILL: the entry program's own bounds, and a second more."""
    return math.ceil(DRAIN_S + service.stop_timeout_s) + 1


def uses_own_database(spec: Spec, name: str) -> bool:
    return own_database(spec) is not None and DATABASE in spec.services[name].uses
