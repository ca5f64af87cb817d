"""The declaration as a cluster needs it: services with their groups, ports, variables and probes. Pure but for reading
the templates of Jobs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import ceil
from pathlib import Path

from colonnade.deploy.docker.names import INTERNAL_PORT_FIRST
from colonnade.deploy.kubernetes.settings import (
    CPU_MILLI,
    DRAIN_S,
    ENDPOINT_REMOVAL_S,
    MEMORY_MAX_MIB,
    MEMORY_MIB,
    Settings,
    Surroundings,
)
from colonnade.gateway.pools import slots_for
from colonnade.spec.derive import DATABASE, service_url_variable, used_services
from colonnade.spec.model import HealthSpec, ServiceSpec, Spec
from colonnade.system.plans import tracing_environment

TEMPLATES = Path(__file__).with_name("templates")
MIB = 1024 * 1024
STOP_MARGIN_S = 5
OBSERVED_S_MAX = 60
"""Of a new pod before the next one is replaced, at most: it stands for `canary_time`, which may be a day."""

_SECRET_NAME = re.compile(r"PASSW|SECRET|TOKEN|CREDENTIAL|API_?KEY|PRIVATE|ACCESS_?KEY", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"://[^/@\s]*:[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Group:
    """Replicas of one size: a Deployment."""

    name: str
    count: int
    weight: int
    env: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One service."""

    name: str
    spec: ServiceSpec
    groups: tuple[Group, ...]
    slots: int
    internal_port: int | None
    """Of the gateway, for services that call this one; None when none does."""
    env: Mapping[str, str] = field(repr=False)
    """What may stand in a ConfigMap."""
    secret_keys: tuple[str, ...]
    """What the user's Secret has to hold."""
    urls: Mapping[str, str]
    uses_database: bool
    pages: frozenset[str]
    release: str
    """Name of the Job; empty: none."""
    memory_mib: int
    memory_max_mib: int
    cpu_milli: int

    @property
    def is_scaled(self) -> bool:
        return not self.spec.weights and not self.spec.replicas.fixed and self.spec.replicas.max > self.replicas_min

    @property
    def replicas_min(self) -> int:
        """A HorizontalPodAutoscaler cannot begin at none."""
        return self.spec.replicas.min if self.spec.replicas.fixed else max(1, self.spec.replicas.min)

    @property
    def has_plain_probe(self) -> bool:
        """Kubernetes may ask the page itself. A page that may be missing is asked for by the image's own program, to
        which any answer below 500 is good."""
        return "path" in self.spec.health.model_fields_set or self.spec.health.path in self.pages

    @property
    def live_path(self) -> str:
        return "/livez" if "/livez" in self.pages else self.spec.health.path

    @property
    def stop_s(self) -> int:
        """Until SIGKILL, from the moment that a pod is told to leave."""
        return ENDPOINT_REMOVAL_S + DRAIN_S + ceil(self.spec.stop_timeout_s) + STOP_MARGIN_S

    @property
    def start_s(self) -> int:
        return max(1, ceil(self.spec.health.start_timeout_s))

    @property
    def observed_s(self) -> int:
        return min(OBSERVED_S_MAX, ceil(self.spec.rollout.canary_time_s))

    @property
    def schedule_min(self) -> int:
        return max((entry.min for entry in self.spec.scaling.schedule), default=0)

    @property
    def health(self) -> HealthSpec:
        return self.spec.health


def parts_of(spec: Spec, settings: Settings, found: Surroundings) -> tuple[Part, ...]:
    called = sorted({name for service in spec.services.values() for name in used_services(service)})
    ports = {name: INTERNAL_PORT_FIRST + number for number, name in enumerate(called)}
    parts = []
    for name, service in spec.services.items():
        env = {**tracing_environment(name, spec), **service.env}
        given = service.model_copy(update={"env": env})
        parts.append(_part(name, given, ports.get(name), settings, found))
    return tuple(parts)


def _part(name: str, service: ServiceSpec, port: int | None, settings: Settings, found: Surroundings) -> Part:
    secret = tuple(key for key, value in service.env.items() if is_secret(key, value))
    env = {key: value for key, value in service.env.items() if key not in secret}
    memory = ceil(found.memory_bytes[name] / MIB) if name in found.memory_bytes else MEMORY_MIB
    bound = ceil(service.memory_bytes_max / MIB) if service.memory_bytes_max else max(MEMORY_MAX_MIB, 2 * memory)
    cores = found.cpu_cores.get(name)
    cpu_milli = CPU_MILLI if cores is None else max(10, ceil(1000 * cores))
    secret_keys = tuple(dict.fromkeys([*found.env_file_keys.get(name, ()), *secret]))
    urls = {service_url_variable(used): f"http://{used}" for used in used_services(service)}
    has_operator = "cloudnative-pg" in settings.components
    in_job: list[object] = [settings.image, service.release, sorted(service.env.items()), secret_keys, urls]
    in_job += [DATABASE in service.uses, has_operator, min(memory, bound), bound, cpu_milli, *_job_templates()]
    return Part(
        name=name,
        spec=service,
        groups=_groups(name, service),
        slots=slots_for(service),
        internal_port=port,
        env=env,
        secret_keys=secret_keys,
        urls=urls,
        uses_database=DATABASE in service.uses,
        pages=found.pages.get(name, frozenset()),
        # A Job cannot be changed: with another image, command or memory it is another one.
        release=f"{name}-release-{digest_of(in_job)}" if service.release else "",
        memory_mib=min(memory, bound),
        memory_max_mib=bound,
        cpu_milli=cpu_milli,
    )


@cache
def _job_templates() -> tuple[str, ...]:
    """All else that is in a Job. Another Colonnade may write it otherwise for the same image."""
    return tuple((TEMPLATES / name).read_text(encoding="utf-8") for name in ("release.yaml", "_macros.yaml"))


def _groups(name: str, service: ServiceSpec) -> tuple[Group, ...]:
    if not service.weights:
        return (Group(name, service.replicas.min, 1, {}),)
    return tuple(
        Group(name if number == 1 else f"{name}-group-{number}", group.replicas, group.weight, group.env)
        for number, group in enumerate(service.weights, 1)
    )


def digest_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:10]


def is_secret(name: str, value: str) -> bool:
    """By its name, or a password in a URL: such a value never stands in a manifest."""
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))
