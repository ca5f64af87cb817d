"""compose.yaml: gateway, replicas, release steps, database. Pure.

For Docker Compose 2, and 1.29: what both understand. The name of the project and the tag of the application's image are
in .env beside it, so that another version is another line there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from colonnade.deploy.compose.gateway import haproxy_cfg
from colonnade.deploy.compose.plan import (
    DATABASE_PASSWORD_SECRET,
    DRAIN_S,
    GATEWAY,
    Group,
    Plan,
    environment_of,
    plan_of,
    secrets_of,
    stop_s,
    uses_own_database,
)
from colonnade.deploy.docker.names import AGENT_PORT, HEALTH_PORT, PUBLIC_PORT, database_image_name, gateway_image_name
from colonnade.deploy.docker.services import CODE
from colonnade.deploy.files import ExportedFile
from colonnade.spec.derive import DATABASE, own_database
from colonnade.spec.model import DatabaseSpec, Spec
from colonnade.spec.syntax import parse_listen


class _Plain(yaml.SafeDumper):
    """Without anchors: each container says itself what it is."""

    def ignore_aliases(self, data: object) -> bool:
        return True


HARDENED: Mapping[str, Any] = {
    "restart": "unless-stopped",
    "read_only": True,
    "tmpfs": ["/tmp"],  # noqa: S108 - the path in the container
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}},
}
"""For every container. Users are those of the images, never root."""

HEAD = """\
# Written by `colonnade export compose`: {name} on one Docker host. docs/docker.md tells what this keeps of what
# `colonnade up` gives on one machine, and what not.
#
#   colonnade image build           the images
#   docker compose up -d            from this directory; secrets/ must be there
#   docker compose up -d --scale SERVICE=5 --no-recreate
"""


def compose_files(spec: Spec, *, tag: str, shared: tuple[str, ...], versions: Mapping[str, str]) -> list[ExportedFile]:
    """compose.yaml, haproxy.cfg and .env; the files with secrets are made apart."""
    plan = plan_of(spec)
    made = compose(spec, plan, shared, versions)
    text = yaml.dump(made, Dumper=_Plain, sort_keys=False, width=1000, allow_unicode=True)
    variables = f"COMPOSE_PROJECT_NAME={spec.system.name}\nTAG={tag}\n"
    return [
        ExportedFile("compose.yaml", HEAD.format(name=spec.system.name) + text),
        ExportedFile("haproxy.cfg", haproxy_cfg(spec, plan)),
        ExportedFile(".env", variables),
        # The directory of the files with secrets, wherever this one is checked in.
        ExportedFile("secrets/.gitignore", "*\n"),
    ]


def compose(spec: Spec, plan: Plan, shared: tuple[str, ...], versions: Mapping[str, str]) -> dict[str, Any]:
    secrets = dict.fromkeys(secret for name in spec.services for secret in secrets_of(spec, name))
    services: dict[str, Any] = {GATEWAY: _gateway(spec, plan, versions)}
    for group in plan.groups:
        if group.service in plan.releases and group == plan.groups_of(group.service)[0]:
            services[plan.releases[group.service]] = _release(spec, plan, group.service, shared)
        services[group.name] = _replicas(spec, plan, group, shared)
    networks: dict[str, Any] = {"services": {}}
    volumes: dict[str, Any] = {_volume(path): {} for path in shared}
    if (database := own_database(spec)) is not None:
        services[DATABASE] = _database(spec, database, versions)
        secrets[DATABASE_PASSWORD_SECRET] = None
        # Nobody on it reaches the world, and nobody but who uses the database reaches it.
        networks["database"] = {"internal": True}
        volumes["database"] = {}
    made: dict[str, Any] = {"services": services, "networks": networks}
    made |= {"volumes": volumes} if volumes else {}
    made |= {"secrets": {name: {"file": f"./secrets/{name}"} for name in secrets}} if secrets else {}
    return made


def _gateway(spec: Spec, plan: Plan, versions: Mapping[str, str]) -> dict[str, Any]:
    listen = parse_listen(spec.gateway.listen)
    health = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{HEALTH_PORT}/livez', timeout=2)"
    host = f"[{listen.host}]" if listen.is_ipv6 else listen.host
    return {
        "image": gateway_image_name(spec, versions),
        **HARDENED,
        "ports": [f"{host}:{listen.port}:{PUBLIC_PORT}"],
        "networks": ["services"],
        "volumes": ["./haproxy.cfg:/etc/haproxy/haproxy.cfg:ro"],
        "healthcheck": {"test": ["CMD", "python3", "-c", health], "interval": "10s", "timeout": "5s", "retries": 3},
        "stop_grace_period": "60s",
    }


def _common(spec: Spec, plan: Plan, name: str, shared: tuple[str, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {"image": f"{spec.system.name}:${{TAG}}", **HARDENED}
    made["networks"] = ["services", "database"] if uses_own_database(spec, name) else ["services"]
    if secrets := secrets_of(spec, name):
        made["secrets"] = secrets
    if shared:
        made["volumes"] = [f"{_volume(path)}:{CODE}/{path}" for path in shared]
    return made


def _escaped(env: Mapping[str, str]) -> dict[str, str]:
    return {key: _plain(value) for key, value in env.items()}


def _plain(text: str) -> str:
    """Compose fills in `$NAME` from where it runs; a dollar of the declaration is one."""
    return text.replace("$", "$$")


def _replicas(spec: Spec, plan: Plan, group: Group, shared: tuple[str, ...]) -> dict[str, Any]:
    name = group.service
    env = _escaped({**environment_of(spec, plan, name, ""), **group.env})
    env |= {"COLONNADE_VERSION": "${TAG}", "COLONNADE_AGENT_PORT": str(AGENT_PORT), "COLONNADE_DRAIN_S": f"{DRAIN_S:g}"}
    made = {**_common(spec, plan, name, shared), "environment": env, "scale": group.count}
    made["stop_grace_period"] = f"{stop_s(spec.services[name])}s"
    if name in plan.releases:
        made["depends_on"] = {plan.releases[name]: {"condition": "service_completed_successfully"}}
    elif uses_own_database(spec, name):
        made["depends_on"] = {DATABASE: {"condition": "service_healthy"}}
    return made


def _release(spec: Spec, plan: Plan, name: str, shared: tuple[str, ...]) -> dict[str, Any]:
    """Runs to its end before the first replica of its service starts, and again with every other tag."""
    env = {**_escaped(environment_of(spec, plan, name, "")), "COLONNADE_VERSION": "${TAG}"}
    made = {**_common(spec, plan, name, shared), "command": ["release"], "environment": env, "restart": "no"}
    made["healthcheck"] = {"disable": True}
    if uses_own_database(spec, name):
        made["depends_on"] = {DATABASE: {"condition": "service_healthy"}}
    return made


def _database(spec: Spec, database: DatabaseSpec, versions: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, object] = {
        "max_connections": database.connections_max,
        "shared_buffers": f"{database.shared_buffers_bytes // 1024}kB",
        **database.parameters,
    }
    return {
        "image": database_image_name(spec, versions),
        **HARDENED,
        "networks": ["database"],
        "command": [word for key, value in settings.items() for word in ("-c", f"{key}={_word(value)}")],
        "environment": {
            "DATABASE_NAME": database.name,
            "DATABASE_PASSWORD_FILE": f"/run/secrets/{DATABASE_PASSWORD_SECRET}",
        },
        "secrets": [DATABASE_PASSWORD_SECRET],
        "volumes": ["database:/var/lib/database"],
        "shm_size": "256m",
        # A checkpoint of much that is dirty takes its time.
        "stop_grace_period": "120s",
    }


def _word(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else _plain(str(value))


def _volume(path: str) -> str:
    return "shared_" + "".join(char if char.isalnum() else "_" for char in path)
