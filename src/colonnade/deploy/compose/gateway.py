"""haproxy.cfg for compose: the text of one machine, with servers that are found in Docker's DNS. Pure."""

from __future__ import annotations

from pathlib import Path

from colonnade.deploy.compose.plan import Plan
from colonnade.deploy.docker.names import AGENT_PORT, HEALTH_PORT, PORT, PUBLIC_PORT
from colonnade.gateway.config import GatewaySettings
from colonnade.gateway.discovered import CONNECT_TIMEOUT_S, discovered_gateway, found_pool
from colonnade.gateway.state import Discovery, NamedServers, Pool
from colonnade.gateway.text import ProcessText
from colonnade.spec.model import Spec

DOCKER_DNS = "127.0.0.11:53"
"""Of every user-defined network, in each of its containers."""

SOCKET = Path("/tmp/haproxy.sock")  # noqa: S108 - in a container of its own, with nobody else in it


def haproxy_cfg(spec: Spec, plan: Plan) -> str:
    process = ProcessText(SOCKET, 2 * spec.gateway.connections_max)
    settings = GatewaySettings(spec.gateway, spec.services, process, connect_timeout_s=CONNECT_TIMEOUT_S)
    binds = {"public": f":{PUBLIC_PORT}"}
    binds |= {f"service:{name}": f":{port}" for name, port in plan.internal_ports.items()}
    pools = [_pool(spec, plan, name) for name in spec.services]
    head = "# Written by `colonnade export compose`; `docker compose restart gateway` after a change.\n"
    text = discovered_gateway(settings, pools, binds, nameservers=(DOCKER_DNS,), health_bind=f":{HEALTH_PORT}")
    return head + text


def _pool(spec: Spec, plan: Plan, name: str) -> Pool:
    names = tuple(
        NamedServers(group.name, PORT, max(group.count_max, group.count), group.weight)
        for group in plan.groups_of(name)
    )
    return found_pool(name, spec.services[name], Discovery(names, agent_port=AGENT_PORT))
