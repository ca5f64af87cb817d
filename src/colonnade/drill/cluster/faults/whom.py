"""Whom a fault in a cluster strikes: from an aim and the status of this moment to pods and Deployments. Pure.

Drawing is the same as on one machine (`faults/targets`), by the same seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.state import GATEWAY
from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.targets import draw, service_meant
from colonnade.drill.scenario import Aim, Role


@dataclass(frozen=True, slots=True)
class PodMeant:
    name: str
    deployment: str
    node: str

    def __str__(self) -> str:
        return f"{self.name} (on {self.node or 'no node yet'})"


def pods_of(status: Mapping[str, Any], aim: Aim) -> Iterator[PodMeant]:
    """All that stay, of gateways or of the aim's service; without one, of all services that visitors reach."""
    for entry in status.get("services", ()):
        if aim.role is Role.GATEWAY:
            is_meant = entry["name"] == GATEWAY
        else:
            is_meant = entry["service"] == aim.service or (not aim.service and bool(entry["route"]))
        if is_meant:
            for pod in entry["replicas"]:
                if pod["state"] != "leaving":
                    yield PodMeant(pod["id"], entry["name"], pod["node"])


def pods_meant(aim: Aim, around: ClusterSurroundings) -> tuple[PodMeant, ...]:
    """Who is to be struck. Raises NotPossible."""
    if aim.role not in (Role.REPLICA, Role.GATEWAY):
        raise NotPossible("no_pods_of_ours", f"{aim.role.value}: only replicas and gateways are pods of Colonnade's")
    if aim.role is Role.GATEWAY:
        refuse_when_forwarded(around)
    found = draw(tuple(pods_of(around.status, aim)), aim.extent, around.random)
    if not found:
        whose = f" of {aim.service}" if aim.service else ""
        raise NotPossible("no_such_target", f"there is no pod of a {aim.role.value}{whose} at this moment")
    return found


def deployment_meant(aim: Aim, around: ClusterSurroundings) -> str:
    """The Deployment that a change is made to: the gateways', or that of a service. Raises NotPossible."""
    if aim.role is Role.GATEWAY:
        refuse_when_forwarded(around)
        return GATEWAY
    return service_meant(aim, around)


def refuse_when_forwarded(around: ClusterSurroundings) -> None:
    if around.is_forwarded:
        raise NotPossible(
            "port_forwarded", "the port-forward that the load goes through would end with its gateway: say --url"
        )
