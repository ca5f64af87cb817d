"""From the declaration to what subsystems need: environments, addresses, plans for replicas. Pure but for env files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from colonnade.core.processes import Credentials
from colonnade.gateway.pools import slots_for
from colonnade.runtime.launch import ServicePlan
from colonnade.spec.derive import DATABASE, service_url_variable, used_services
from colonnade.spec.detect import Detected
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import ServiceSpec, Spec
from colonnade.spec.syntax import command_words
from colonnade.system.detours import DATABASE as DATABASE_END
from colonnade.system.detours import DATABASE_READ as DATABASE_READ_END
from colonnade.system.detours import STRAIGHT, Detours

DATABASE_PRIMARY = "db:primary"
DATABASE_STANDBYS = "db:standbys"
PUBLIC = "public"


def service_listener(service: str) -> str:
    """Name of the keeper's socket on which other services reach this one."""
    return f"service:{service}"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where services and database are reached from inside. URLs with passwords never appear in a repr."""

    services: Mapping[str, tuple[str, int]]
    database_url: str = field(default="", repr=False)
    database_read_url: str = field(default="", repr=False)

    def seen_by(self, service: str, detours: Detours) -> Addresses:
        """The same as this service is told them."""
        return Addresses(
            {name: detours.through(service, name, place) for name, place in self.services.items()},
            detours.through_url(service, DATABASE_END, self.database_url),
            detours.through_url(service, DATABASE_READ_END, self.database_read_url),
        )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is the same for every service of a system."""

    base_env: Mapping[str, str] = field(repr=False)
    credentials: Credentials | None
    log_directory: Path
    addresses: Addresses
    detours: Detours = STRAIGHT


def service_environment(
    service: ServiceSpec, env_file: Mapping[str, str], surroundings: Surroundings
) -> dict[str, str]:
    """A replica's environment but for PORT and its name. Later wins: caller's, env_file, env, addresses."""
    env = {**surroundings.base_env, **env_file, **service.env}
    for used in used_services(service):
        host, port = surroundings.addresses.services[used]
        env[service_url_variable(used)] = f"http://{host}:{port}"
    if DATABASE in service.uses:
        env["DATABASE_URL"] = surroundings.addresses.database_url
        read_url = surroundings.addresses.database_read_url or surroundings.addresses.database_url
        env["DATABASE_READ_URL"] = read_url
    return env


def tracing_environment(service: str, spec: Spec) -> dict[str, str]:
    """What OpenTelemetry reads, in whatever language the service is written. Empty without an endpoint: then what `up`
    was started with counts, if anything."""
    if not spec.tracing.endpoint:
        return {}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": spec.tracing.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": service,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.namespace={spec.system.name}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{spec.tracing.ratio:g}",
    }


def service_plan(
    name: str,
    version: int,
    loaded: LoadedSpec,
    run: Detected | Sequence[str] | None,
    surroundings: Surroundings,
) -> ServicePlan:
    """The plan for a service as `loaded`, its declaration of `version`, has it. `run` is what the probe found, None for
    a service by `command`."""
    service = loaded.spec.services[name]
    surroundings = replace(
        surroundings,
        base_env={**surroundings.base_env, **tracing_environment(name, loaded.spec)},
        addresses=surroundings.addresses.seen_by(name, surroundings.detours),
    )
    return ServicePlan(
        name=name,
        spec=service,
        run=run if run is not None else command_words(service.command),
        directory=loaded.directory_of(name),
        env=service_environment(service, loaded.environments.get(name, {}), surroundings),
        credentials=surroundings.credentials,
        log_directory=surroundings.log_directory,
        version=version,
        slots_max=slots_for(service),
    )
