"""A gateway on sockets that the test holds, as the keeper would, with replicas in the test's loop or as processes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.e2e.gateway.server import Replica

from colonnade.core import processes
from colonnade.core.clock import SystemClock
from colonnade.core.events import Event, EventLog
from colonnade.core.processes import SYSTEM_MARK, Command, Credentials, Process
from colonnade.gateway.config import GatewaySettings, render_gateway
from colonnade.gateway.controller import GatewayController, Render, Surroundings
from colonnade.gateway.pools import service_pool
from colonnade.gateway.process import GatewayPaths, process_text
from colonnade.gateway.state import Membership, Pool, Server, ServerState
from colonnade.spec.model import GatewaySpec, ServiceSpec

NOBODY = Credentials(65534, 65534, "nobody", "/nonexistent")
"""What the tests drop to when they run as root."""


def environment(work_dir: Path, **more: str) -> dict[str, str]:
    return {**os.environ, SYSTEM_MARK: str(work_dir), **more}


def listen() -> socket.socket:
    """A listening socket as the keeper holds it."""
    return socket.create_server(("127.0.0.1", 0), backlog=4096)


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def service(**values: object) -> ServiceSpec:
    return ServiceSpec.model_validate({"app": "app:app", "route": "/", **values})


def ready(addresses: Mapping[int, str], draining: Mapping[int, str] | None = None) -> tuple[Server, ...]:
    """These are in rotation; those of `draining` finish what they have."""
    leaving = [Server(slot, address, ServerState.DRAIN) for slot, address in (draining or {}).items()]
    return (*(Server(slot, address, ServerState.READY) for slot, address in addresses.items()), *leaving)


@dataclass
class Harness:
    """A running gateway. `controller` may be replaced: HAProxy and the sockets stay."""

    directory: Path
    services: Mapping[str, ServiceSpec]
    controller: GatewayController
    listeners: Mapping[str, socket.socket]
    surroundings: Surroundings
    events: list[Event]
    settings: GatewaySettings
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return port_of(self.listeners["public"])

    def pool(self, servers: Sequence[Server], name: str = "web", check_expect: str = "200-399") -> Pool:
        return service_pool(name, self.services[name], tuple(servers), check_expect=check_expect)

    async def apply(self, servers: Sequence[Server], name: str = "web") -> None:
        await self.controller.apply(Membership((self.pool(servers, name),)))

    def descriptors(self) -> dict[str, int]:
        return {name: listener.fileno() for name, listener in self.listeners.items()}

    def render(self) -> Render:
        return partial(render_gateway, self.settings)

    def new_controller(self) -> GatewayController:
        """Another controller for the same gateway, as after a crash of the first."""
        self.controller = GatewayController("gateway", self.render(), self.descriptors(), self.surroundings)
        return self.controller

    def run(self) -> None:
        self.tasks.append(asyncio.create_task(self.controller.run()))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@asynccontextmanager
async def running_gateway(
    work_dir: Path,
    membership: Callable[[Harness], Membership],
    *,
    services: Mapping[str, ServiceSpec] | None = None,
    gateway: GatewaySpec | None = None,
    internal: Sequence[str] = (),
) -> AsyncIterator[Harness]:
    """A gateway that has this membership, with its loop running; nothing of it is left afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="g", dir=work_dir))
    services = services or {"web": service()}
    paths = GatewayPaths(directory, directory / "log", directory / "s")
    events: list[Event] = []
    clock = SystemClock()
    log = EventLog(clock)
    log.subscribe(events.append)
    text = process_text(paths, 2000, NOBODY if os.geteuid() == 0 else None)
    listeners = {name: listen() for name in ["public", *(f"service:{name}" for name in internal)]}
    settings = GatewaySettings(gateway or GatewaySpec(), services, text)
    surroundings = Surroundings(paths, environment(work_dir), log, clock)
    descriptors = {name: listener.fileno() for name, listener in listeners.items()}
    controller = GatewayController("gateway", partial(render_gateway, settings), descriptors, surroundings)
    harness = Harness(directory, services, controller, listeners, surroundings, events, settings)
    try:
        await controller.start(membership(harness))
        harness.run()
        yield harness
    finally:
        await harness.controller.stop(1.0)
        await asyncio.gather(*harness.tasks)
        for listener in listeners.values():
            listener.close()


@asynccontextmanager
async def local_replicas(count: int) -> AsyncIterator[tuple[list[Replica], dict[int, str]]]:
    """Replicas in this loop, with their addresses by slot: quick to make, and they can be looked into."""
    replicas = [Replica(f"r{slot}") for slot in range(1, count + 1)]
    servers = [await asyncio.start_server(replica.serve, "127.0.0.1", 0, limit=1 << 20) for replica in replicas]
    try:
        yield (
            replicas,
            {slot: f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for slot, server in enumerate(servers, 1)},
        )
    finally:
        for server in servers:
            server.close()


@dataclass
class ReplicaProcess:
    """A replica that can be killed or frozen."""

    name: str
    address: str
    process: Process


@asynccontextmanager
async def replica_processes(
    work_dir: Path, free_port: Callable[[], int], count: int
) -> AsyncIterator[tuple[list[ReplicaProcess], dict[int, str]]]:
    """Replicas as processes, by slot; those that still live at the end are killed."""
    started: list[ReplicaProcess] = []
    try:
        for slot in range(1, count + 1):
            started.append(start_replica(work_dir, f"r{slot}", free_port()))
        for replica in started:
            await wait_for_port(replica.address)
        yield started, {slot: replica.address for slot, replica in enumerate(started, 1)}
    finally:
        for replica in started:
            await processes.kill(replica.process)
            replica.process.close()


def start_replica(work_dir: Path, name: str, port: int) -> ReplicaProcess:
    script = Path(__file__).with_name("server.py")
    command = Command(
        [sys.executable, "-S", str(script), str(port), name],
        cwd=work_dir,
        env=environment(work_dir, WRITES=str(work_dir / "writes")),
        log_path=work_dir / "replicas.log",
    )
    return ReplicaProcess(name, f"127.0.0.1:{port}", processes.start(command))


async def wait_for_port(address: str, timeout_s: float = 10.0) -> None:
    host, _, port = address.partition(":")
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


async def eventually(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until `condition` holds; fails the test when it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 — what is waited for happens in other processes
            await asyncio.sleep(0.01)
