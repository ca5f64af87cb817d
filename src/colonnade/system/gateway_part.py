"""The HTTP gateway as a part of the system: the text that it is given, the sockets that it is handed, and who may be
reached inside. What it does with them is in `gateway/`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.events import EventLog
from colonnade.core.files import make_directory
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Credentials
from colonnade.gateway.config import PUBLIC_FRONTEND, GatewaySettings, render_gateway
from colonnade.gateway.controller import GatewayController, Render
from colonnade.gateway.controller import Surroundings as GatewaySurroundings
from colonnade.gateway.process import GatewayPaths, process_text
from colonnade.spec.load import LoadedSpec
from colonnade.system.keeper_link import KeeperLink, listen_somewhere
from colonnade.system.paths import StatePaths
from colonnade.system.plans import PUBLIC, service_listener


def used_by_others(loaded: LoadedSpec) -> set[str]:
    """Services that another one calls: only those need an internal listener."""
    return {name for service in loaded.spec.services.values() for name in service.uses if name in loaded.spec.services}


def open_listeners(services: Collection[str], keeper: KeeperLink, ports: PortAllocator) -> dict[str, tuple[str, int]]:
    """Where each of these is reached from inside; the address it has already, if it has one."""
    return {name: listen_somewhere(keeper, service_listener(name), ports) for name in sorted(services)}


def gateway_listeners(services: Collection[str], keeper: KeeperLink) -> dict[str, int]:
    """The sockets of the HTTP gateway: the public one, and those of services that are reached from inside."""
    wanted = {PUBLIC, *map(service_listener, services)}
    return {name: fd for name, fd in keeper.descriptors.items() if name in wanted}


def gateway_render(loaded: LoadedSpec, paths: StatePaths, credentials: Credentials | None) -> Render:
    spec = loaded.spec
    # Internal calls come through the same process: for each request from outside there may be one more.
    text = process_text(gateway_paths(paths), 2 * spec.gateway.connections_max, credentials)
    return partial(render_gateway, GatewaySettings(spec.gateway, spec.services, text))


def gateway_paths(paths: StatePaths) -> GatewayPaths:
    return GatewayPaths(paths.root / "gateway", paths.logs / "gateway.log", paths.sockets / "gateway.sock")


def assemble_gateway(
    loaded: LoadedSpec,
    used: Collection[str],
    paths: StatePaths,
    credentials: Credentials | None,
    keeper: KeeperLink,
    base_env: Mapping[str, str],
    events: EventLog,
    clock: Clock,
) -> GatewayController:
    place = gateway_paths(paths)
    make_directory(place.root, mode=0o700)
    return GatewayController(
        "gateway",
        gateway_render(loaded, paths, credentials),
        gateway_listeners(used, keeper),
        GatewaySurroundings(place, base_env, events, clock),
        # At the end nobody comes in any more, while services still reach each other to finish what is in flight.
        closes_first=PUBLIC_FRONTEND,
    )


async def end_gateways(paths: StatePaths, events: EventLog, lost: Collection[str]) -> None:
    """End our own HAProxy processes, so that their addresses can be bound anew. Cuts what is in flight, once."""
    for pid in processes.marked_processes(paths.mark):
        ticks = processes.start_ticks_of(pid)
        process = processes.adopt(processes.ProcessId(pid, ticks)) if ticks is not None else None
        if process is not None and processes.name_of(pid) == "haproxy":
            await processes.kill(process)
        if process is not None:
            process.close()
    events.emit(
        "gateways_ended",
        "gateway",
        reason="sockets_lost",
        message=f"the sockets {', '.join(sorted(lost))} could not be taken over: they are bound anew",
    )
