"""All files of an export, from the templates beside this file. Pure but for reading those."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from colonnade.core.errors import SpecError
from colonnade.deploy.docker.names import AGENT_PORT, HEALTH_PORT, PORT, PUBLIC_PORT, USER_ID
from colonnade.deploy.files import ExportedFile
from colonnade.deploy.kubernetes import settings as fixed
from colonnade.deploy.kubernetes.gateway import finish_s, gateway_config
from colonnade.deploy.kubernetes.parts import MIB, Part, digest_of, parts_of
from colonnade.deploy.kubernetes.settings import Settings, Surroundings
from colonnade.deploy.kubernetes.told import told_about
from colonnade.spec.derive import own_database, synchronous_standbys
from colonnade.spec.model import BackupSpec, DatabaseSpec, Spec

WAIT_SCRIPT = Path(__file__).with_name("inside") / "wait_for_release.py"
COMPONENTS = ("ingress", "gateway-api", "monitoring", "cloudnative-pg")
DATABASE_MEMORY_MIB_MIN = 512
SHARED_BUFFERS_TIMES = 4
"""A quarter of its memory is what PostgreSQL's own cache is usually given."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What the user has to make. Never a value of theirs."""

    name: str
    keys: tuple[str, ...]
    examples: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Export:
    files: tuple[ExportedFile, ...]
    told: tuple[str, ...]
    """What the declaration says and a cluster does not do, each beginning with the key."""
    secrets: tuple[Secret, ...]


def kubernetes_files(spec: Spec, settings: Settings, found: Surroundings) -> Export:
    """Raises SpecError for names that would collide in the cluster, and a component that there is not."""
    parts = parts_of(spec, settings, found)
    _check(parts, settings, spec)
    secrets = tuple(_secrets(spec, parts))
    told = told_about(spec, parts, settings)
    view = _view(spec, settings, parts)
    resources = dict(_resources(view, parts))
    components = dict(_components(view, spec))
    page = _render("HOWTO.md", view, secrets=secrets, told=told, database_url_told=_uses_database(parts))
    names = sorted({path.split("/")[1] for path in components}, key=COMPONENTS.index)
    top = _render("kustomization.yaml", view, resources=list(resources), components=names)
    files = {"HOWTO.md": page, "kustomization.yaml": top, **resources, **components}
    return Export(tuple(ExportedFile(path, text) for path, text in files.items()), told, secrets)


def _view(spec: Spec, settings: Settings, parts: Sequence[Part]) -> dict[str, Any]:
    """What every template may name."""
    return {
        "system": spec.system.name,
        "spec": spec,
        "settings": settings,
        "parts": parts,
        "database": spec.database,
        "has_own_database": own_database(spec) is not None,
        "gateway_config": gateway_config(spec, parts, settings),
        "finish_s": finish_s(spec),
        "port": PORT,
        "agent_port": AGENT_PORT,
        "public_port": PUBLIC_PORT,
        "health_port": HEALTH_PORT,
        "drain_s": fixed.DRAIN_S,
        "removal_s": fixed.ENDPOINT_REMOVAL_S,
        "gateway_removal_s": fixed.GATEWAY_REMOVAL_S,
        "gateway_memory_mib": fixed.GATEWAY_MEMORY_MIB,
        "api_ports": fixed.API_PORTS,
        "user": USER_ID,
    }


def _uses_database(parts: Sequence[Part]) -> bool:
    return any(part.uses_database for part in parts)


def _resources(view: Mapping[str, Any], parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """The files that every cluster can do something with, in an order to be read in."""
    yield "namespace.yaml", _render("namespace.yaml", view)
    yield "network.yaml", _render("network.yaml", view)
    yield "gateway/config.yaml", _render("gateway_config.yaml", view)
    yield "gateway/deployment.yaml", _render("gateway.yaml", view)
    yield "gateway/service.yaml", _render("gateway_service.yaml", view)
    yield "gateway/disruption.yaml", _render("disruption.yaml", view, name="gateway")
    if any(part.release for part in parts):
        script = WAIT_SCRIPT.read_text(encoding="utf-8")
        yield "release-reader.yaml", _render("release_reader.yaml", view, wait_script=script.rstrip("\n"))
    for part in parts:
        if part.env:
            yield f"{part.name}/config.yaml", _render("config.yaml", view, part=part)
        if part.release:
            yield f"{part.name}/release.yaml", _render("release.yaml", view, part=part)
        for number, group in enumerate(part.groups, 1):
            file = "deployment.yaml" if number == 1 else f"deployment-{number}.yaml"
            yield f"{part.name}/{file}", _render("deployment.yaml", view, part=part, group=group)
        yield f"{part.name}/service.yaml", _render("service.yaml", view, part=part)
        for number, group in enumerate(part.groups, 1):
            file = "disruption.yaml" if number == 1 else f"disruption-{number}.yaml"
            yield f"{part.name}/{file}", _render("disruption.yaml", view, name=group.name)
        if part.is_scaled:
            yield f"{part.name}/autoscaling.yaml", _render("autoscaling.yaml", view, part=part)


def _components(view: Mapping[str, Any], spec: Spec) -> Iterator[tuple[str, str]]:
    for name, template in (("ingress", "ingress"), ("gateway-api", "gateway_api"), ("monitoring", "monitoring")):
        files = [f"{name}.yaml"]
        yield f"components/{name}/kustomization.yaml", _render("component.yaml", view, resources=files, patch="")
        yield f"components/{name}/{name}.yaml", _render(f"{template}.yaml", view)
    if (database := own_database(spec)) is not None:
        place = "components/cloudnative-pg"
        yield (
            f"{place}/kustomization.yaml",
            _render("component.yaml", view, resources=["database.yaml"], patch="services.yaml"),
        )
        yield f"{place}/database.yaml", _render("cloudnative_pg.yaml", {**view, **_database_view(database)})
        yield f"{place}/services.yaml", _render("database_patch.yaml", view, users=list(_users(view["parts"])))


def _users(parts: Sequence[Part]) -> Iterator[tuple[str, str, str]]:
    """(kind, name, container) of all that is told where the database is."""
    for part in parts:
        if part.uses_database:
            yield from (("Deployment", group.name, part.name) for group in part.groups)
            if part.release:
                yield "Job", part.release, "release"


def _database_view(database: DatabaseSpec) -> dict[str, Any]:
    parameters = {
        "max_connections": database.connections_max,
        "shared_buffers": f"{max(1, database.shared_buffers_bytes // 1024)}kB",
        **database.parameters,
    }
    if database.backup is not None:
        parameters["archive_timeout"] = f"{ceil(database.backup.archive_timeout_s)}s"
    memory = max(DATABASE_MEMORY_MIB_MIN, SHARED_BUFFERS_TIMES * database.shared_buffers_bytes // MIB)
    return {
        "database_parameters": {name: _parameter(value) for name, value in parameters.items()},
        "database_memory_mib": memory,
        "quorum": synchronous_standbys(database),
        "backup_schedule": schedule_of(database.backup) if database.backup is not None else "",
    }


def _parameter(value: object) -> str:
    """As PostgreSQL writes it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def schedule_of(backup: BackupSpec) -> str:
    """The nearest that the operator's six fields can say: every so many minutes, hours or days."""
    minutes = max(1, round(backup.full_every_s / 60))
    if minutes < 60:
        return f"0 */{minutes} * * * *"
    hours = round(minutes / 60)
    if hours < 24:
        return f"0 0 */{hours} * * *"
    days = min(28, round(hours / 24))
    return "0 0 3 * * *" if days == 1 else f"0 0 3 */{days} * *"


def _secrets(spec: Spec, parts: Sequence[Part]) -> Iterator[Secret]:
    if _uses_database(parts):
        keys: tuple[str, ...] = ("DATABASE_URL",)
        if spec.database is not None and spec.database.read_url:
            keys = (*keys, "DATABASE_READ_URL")
        example = "'postgresql://USER:PASSWORD@HOST:5432/NAME'"
        yield Secret(f"{spec.system.name}-database", keys, dict.fromkeys(keys, example))
    for part in parts:
        if part.secret_keys:
            yield Secret(f"{part.name}-secrets", part.secret_keys)


def _check(parts: Sequence[Part], settings: Settings, spec: Spec) -> None:
    services = ["gateway", "gateway-metrics", *(part.name for part in parts)]
    services += [f"{part.name}-direct" for part in parts]
    services += [f"{group.name}-pods" for part in parts for group in part.groups]
    services += [group.name for part in parts for group in part.groups if group.name != part.name]
    twice = sorted({name for name in services if services.count(name) > 1})
    if twice:
        raise SpecError(
            f"two things in the cluster would be called {twice[0]}",
            subject="services",
            hint="rename a service: -pods, -direct and -group-2 behind a service's name are taken",
        )
    known = [name for name in COMPONENTS if name != "cloudnative-pg" or own_database(spec) is not None]
    for name in settings.components:
        if name not in known:
            raise SpecError(f"there is no component {name}", subject="--with", hint=f"one of {', '.join(known)}")


def _render(template: str, view: Mapping[str, Any], **more: object) -> str:
    return _templates().get_template(template).render({**view, **more})


@cache
def _templates() -> Environment:
    # Not HTML: what is not ours goes through `q`, which writes a string as JSON, and so as YAML.
    templates = Environment(
        loader=PackageLoader("colonnade.deploy.kubernetes"),
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {
        "q": lambda text: json.dumps(text, ensure_ascii=False),
        # `$(NAME)` would be filled in by Kubernetes.
        "literal": lambda text: text.replace("$(", "$$("),
        "tojson_text": lambda value: json.dumps(value, sort_keys=True),
        "up": ceil,
        "digest": digest_of,
        "version": lambda image: image.rpartition("/")[2].partition(":")[2] or "latest",
        "words": lambda command: command if isinstance(command, str) else shlex.join(command),
    }
    return templates
