"""The text of the HAProxy that runs in the cluster, before all services. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from colonnade.deploy.docker.names import AGENT_PORT, HEALTH_PORT, PORT, PUBLIC_PORT
from colonnade.deploy.kubernetes.parts import Part
from colonnade.deploy.kubernetes.settings import CHECK_INTERVAL_S, Settings
from colonnade.gateway.config import GatewaySettings
from colonnade.gateway.discovered import CONNECT_TIMEOUT_S, discovered_gateway, found_pool, shared_between
from colonnade.gateway.state import Discovery, NamedServers
from colonnade.gateway.text import ProcessText
from colonnade.spec.model import GatewaySpec, ServiceSpec, Spec

SOCKET = Path("/tmp/haproxy.sock")  # noqa: S108 - the pod's own, in memory
THREADS = 2
STOP_MARGIN_S = 5


def gateway_config(spec: Spec, parts: Sequence[Part], settings: Settings) -> str:
    """haproxy.cfg. `${NAMESPACE}` in it is filled in by HAProxy, from the pod's environment."""
    services = {part.name: in_cluster(part.spec, settings.gateways) for part in parts}
    pools = [found_pool(part.name, services[part.name], discovery_of(part, settings)) for part in parts]
    process = ProcessText(
        SOCKET,
        connections_max=2 * spec.gateway.connections_max,
        threads=THREADS,
        old_process_s=finish_s(spec),
        close_spread="infinite",
    )
    binds = {"public": f":{PUBLIC_PORT}"}
    binds |= {f"service:{part.name}": f":{part.internal_port}" for part in parts if part.internal_port is not None}
    wanted = GatewaySettings(
        spec.gateway, services, process, connect_timeout_s=CONNECT_TIMEOUT_S, trusts_proxy=settings.is_behind_proxy
    )
    return discovered_gateway(wanted, pools, binds, health_bind=f":{HEALTH_PORT}")


def in_cluster(service: ServiceSpec, gateways: int) -> ServiceSpec:
    """As one of `gateways` treats it. Checks go over a network here, and there are more who check."""
    health = service.health.model_copy(
        update={
            "interval_s": max(CHECK_INTERVAL_S, service.health.interval_s),
            "timeout_s": max(CHECK_INTERVAL_S, service.health.timeout_s),
        }
    )
    return shared_between(service, gateways).model_copy(update={"health": health})


def discovery_of(part: Part, settings: Settings) -> Discovery:
    domain = f"${{NAMESPACE}}.svc.{settings.cluster_domain}"
    names = tuple(NamedServers(f"{group.name}-pods.{domain}", PORT, part.slots, group.weight) for group in part.groups)
    return Discovery(names, f"{part.name}-direct.{domain}:{PORT}", AGENT_PORT)


def finish_s(spec: Spec) -> int:
    """What a gateway that is leaving has begun may take so long: answers, and the last request of kept connections."""
    longest_s = max([finished_s(spec.gateway), *(service.request_timeout_s for service in spec.services.values())])
    return ceil(longest_s) + STOP_MARGIN_S


def finished_s(gateway: GatewaySpec) -> float:
    return max(gateway.keep_alive_timeout_s, gateway.client_timeout_s)
