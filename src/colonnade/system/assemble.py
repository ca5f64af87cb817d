"""The composition root: from an accepted declaration to subsystems that are wired to each other. Starts nothing but
the loops that `begin_loops` names; `startup.py` has the order in which the parts come up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.errors import HostError, SpecError
from colonnade.core.events import EventLog
from colonnade.core.files import make_directory
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Credentials
from colonnade.gateway.config import PUBLIC_FRONTEND, GatewaySettings, render_gateway, slots_for
from colonnade.gateway.controller import GatewayController, Render
from colonnade.gateway.controller import Surroundings as GatewaySurroundings
from colonnade.gateway.process import GatewayPaths, process_text
from colonnade.gateway.state import Membership
from colonnade.runtime.controller import RuntimeController
from colonnade.runtime.launch import REPLICA_MARK, ServicePlan, base_environment
from colonnade.runtime.registry import Registry, read_registry
from colonnade.runtime.state import ReplicaId
from colonnade.spec.detect import Detected
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import DatabaseSpec, ServiceSpec, Spec
from colonnade.spec.syntax import parse_listen
from colonnade.system import paths as state_paths
from colonnade.system.accepted import Accepted, as_accepted, write_accepted
from colonnade.system.autoscaling import Autoscaler
from colonnade.system.credentials import choose_credentials
from colonnade.system.dashboard_part import LISTENER, DashboardPart, assemble_dashboard
from colonnade.system.deployment import Deployment, meanwhile, read_deployment
from colonnade.system.detours import STRAIGHT, Detours
from colonnade.system.development import DEVELOPMENT_ENV
from colonnade.system.keeper_link import KeeperLink, listen_somewhere
from colonnade.system.mapping import service_membership
from colonnade.system.paths import StatePaths
from colonnade.system.plans import PUBLIC, Addresses, Surroundings, service_listener, service_plan
from colonnade.system.prometheus_part import PrometheusPart, assemble_prometheus
from colonnade.system.readings import Readings
from colonnade.system.versions import VersionStore

if TYPE_CHECKING:
    from colonnade.system.database_part import DatabasePart


@dataclass(slots=True)
class System:
    """All parts of one system, for the controller's one life."""

    loaded: LoadedSpec
    """The declaration that counts now; in the middle of a deployment a mixture (`deployment.py`)."""
    version: int
    """Of the declaration; a service that did not change since runs code of an earlier one."""
    target: int | None
    """The version that a deployment is on the way to."""
    store: VersionStore
    declarations: dict[int, LoadedSpec]
    """By version, as far as they were needed."""
    accepted: Accepted
    paths: StatePaths
    credentials: Credentials | None
    events: EventLog
    clock: Clock
    runtime: RuntimeController
    gateway: GatewayController
    database: DatabasePart | None
    dashboard: DashboardPart | None
    prometheus: PrometheusPart | None
    registry: Registry
    surroundings: Surroundings
    keeper: KeeperLink
    ports: PortAllocator
    url: str
    changed: asyncio.Event
    """Set whenever replicas changed and the gateway has yet to hear of it."""
    crashed: asyncio.Future[None]
    """Gets the exception of the first loop that ended: then this life of the controller is over."""
    loops: list[asyncio.Task[None]] = field(default_factory=list)
    membership_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever tells the gateway: its pools and the declaration it goes by change together."""
    autoscaler: Autoscaler = field(init=False)
    readings: Readings = field(init=False)

    def __post_init__(self) -> None:
        self.autoscaler = Autoscaler(self)
        self.readings = Readings(self.runtime)

    factors: dict[ReplicaId, float] = field(default_factory=dict)
    """Of replicas that get a part of their weight only, or nothing new: `sickness.py` sets them."""

    @property
    def services(self) -> Mapping[str, ServiceSpec]:
        return self.loaded.spec.services

    def membership(self) -> Membership:
        return service_membership(self.services, self.runtime.view(), self.factors, self.surroundings.detours)

    async def apply_membership(self) -> None:
        async with self.membership_lock:
            await self.gateway.apply(self.membership())

    def reach(self, services: Collection[str]) -> None:
        """Give each of these an address inside, if it has none yet. The gateway listens there from `go_by` on."""
        addresses = open_listeners({*services, *used_by_others(self.loaded)}, self.keeper, self.ports)
        self.surroundings = replace(
            self.surroundings, addresses=replace(self.surroundings.addresses, services=addresses)
        )

    async def go_by(self, loaded: LoadedSpec, used: Collection[str] = ()) -> None:
        """Have everything go by another declaration; returns when the gateway does. Services that are `used` have an
        address inside whatever it says. Raises DriverError when HAProxy refuses it: then it goes on with what it had,
        and the caller goes back."""
        async with self.membership_lock:
            self.loaded = loaded
            self.autoscaler.follow()
            self.reach(used)
            names = {*used_by_others(loaded), *used} & loaded.spec.services.keys()
            render = gateway_render(loaded, self.paths, self.credentials)
            await self.gateway.reconfigure(render, gateway_listeners(names, self.keeper), self.membership())

    def close_listeners(self) -> None:
        """Of services that nobody uses any more, and that the gateway does not listen for."""
        kept = {service_listener(name) for name in used_by_others(self.loaded)}
        ours = [name for name in self.keeper.descriptors if name.startswith(service_listener(""))]
        for name in ours:
            if name not in kept:
                self.keeper.close(name)

    def declaration(self, version: int) -> LoadedSpec:
        """Of a version that is kept. Reads the disk at the first time; raises what `VersionStore.load` raises."""
        if version not in self.declarations:
            self.declarations[version] = as_accepted(self.store.load(version), self.accepted)
        return self.declarations[version]

    def version_of(self, service: str) -> int:
        """Whose code a service runs, or comes from while it rolls; that of a service that is yet to start."""
        known = {**self.registry.versions.current, **self.runtime.view().versions}.get(service)
        if known is not None:
            return known
        is_added = self.target is not None and service not in self.declaration(self.version).spec.services
        return self.target if is_added and self.target is not None else self.version

    def plan(self, service: str, version: int, application: Detected | None) -> ServicePlan:
        """How a replica of this version is started. What needs no new process goes by the declaration that counts,
        also for a service whose code is of an earlier version."""
        plan = service_plan(service, version, self.declaration(version), application, self.surroundings)
        counts = self.declaration(version if version == self.target else self.version).spec.services.get(service)
        return plan if counts is None else replace(plan, spec=counts, slots_max=slots_for(counts))

    def accept(self, **changes: Any) -> None:
        """Change what is remembered beside the versions, on disk first."""
        accepted = replace(self.accepted, **changes)
        write_accepted(self.paths, accepted)
        self.accepted = accepted

    def note_applications(self, version: int, found: Mapping[str, Detected]) -> None:
        known = self.accepted.applications
        self.accept(applications={**known, version: {**known.get(version, {}), **found}})

    def internal_url(self, service: str) -> str:
        address = self.surroundings.addresses.services.get(service)
        return f"http://{address[0]}:{address[1]}" if address else ""

    def scale(self, service: str, replicas: int | None) -> None:
        """Pin a service to a number of replicas; None: let its load decide again. Raises SpecError for a service that
        is not there or a number that is out of its bounds."""
        spec = self.services.get(service)
        if spec is None:
            raise SpecError(
                f"there is no service {service!r}", subject="scale", hint=f"services: {', '.join(self.services)}"
            )
        if replicas is None:
            self.autoscaler.release(service)
            return
        lowest, highest = (1, slots_for(spec)) if spec.replicas.fixed else (spec.replicas.min, spec.replicas.max)
        if not lowest <= replicas <= highest:
            raise SpecError(
                f"{replicas} replicas: expected {lowest} to {highest}",
                subject=f"services.{service}",
                hint=f"change services.{service}.replicas in colonnade.toml for more",
            )
        self.autoscaler.pin(service, replicas)
        self.runtime.scale(service, replicas)

    def say(self, kind: str, subject: str, reason: str, message: str) -> None:
        self.events.emit(kind, subject, reason=reason, message=message)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a loop for the rest of this life."""
        task = asyncio.create_task(work, name=name)
        self.loops.append(task)
        task.add_done_callback(self._loop_ended)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self.crashed.done():
            error = task.exception() or RuntimeError(f"the loop {task.get_name()} ended")
            self.crashed.set_exception(error)

    async def end_loops(self) -> None:
        for task in self.loops:
            task.cancel()
        await asyncio.gather(*self.loops, return_exceptions=True)
        self.loops.clear()


async def assemble(paths: StatePaths, accepted: Accepted, keeper: KeeperLink, events: EventLog, clock: Clock) -> System:
    """Read what was accepted, open the listeners, build the parts, adopt the replicas that run."""
    store = VersionStore(paths, clock)
    version = store.current
    if version is None:
        raise HostError("has no current version", subject=str(paths.versions), hint="`colonnade down`, then `up`")
    declarations = {version: as_accepted(store.load(version), accepted)}
    credentials = choose_credentials(declarations[version].spec.system.user, accepted.directory)
    state_paths.prepare(paths, credentials)
    deployment = read_deployment(paths)
    loaded = _loaded(version, deployment, declarations, store, accepted)
    registry = read_registry(paths.registry)
    ports = PortAllocator(str(paths.root), registry.port_cursor)
    keeper.fetch_all()
    if lost := keeper.lost_addresses().keys() - {LISTENER}:
        # Keeper and controller died together and the kernel would not give back the sockets: HAProxy still holds them.
        await _end_gateways(paths, events, lost)
    public = parse_listen(loaded.spec.gateway.listen)
    keeper.listen(PUBLIC, public.host, public.port)
    base_env = base_environment(os.environ, paths.mark, credentials)
    if accepted.is_reloading:
        base_env |= DEVELOPMENT_ENV
    changed = asyncio.Event()
    jitter = Random()  # noqa: S311 — spreads restarts, guards nothing
    cores = max(2, os.cpu_count() or 2)
    runtime = RuntimeController(paths.registry, ports, events, clock, jitter, changed.set, starts_at_once_max=cores)
    detours = Detours(Path(accepted.detours)) if accepted.detours else STRAIGHT
    database = None
    if (spec := loaded.spec.database) is not None:
        from colonnade.system.database_part import assemble_database  # here: a third of a start is what it imports

        database = assemble_database(spec, paths, credentials, base_env, ports, keeper, events, clock, detours)
    beside = _beside(loaded.spec, accepted, paths, credentials, base_env, keeper, ports, events, clock)
    dashboard, prometheus = await beside
    used = {name for one in declarations.values() for name in used_by_others(one)}
    internal = open_listeners(used, keeper, ports)
    reached = used & loaded.spec.services.keys()
    system = System(
        loaded=loaded,
        version=version,
        target=deployment.new if deployment is not None and deployment.is_open else None,
        store=VersionStore(paths, clock, credentials),
        declarations=declarations,
        accepted=accepted,
        paths=paths,
        credentials=credentials,
        events=events,
        clock=clock,
        runtime=runtime,
        gateway=_gateway(loaded, reached, paths, credentials, keeper, base_env, events, clock),
        database=database,
        dashboard=dashboard,
        prometheus=prometheus,
        registry=registry,
        surroundings=Surroundings(
            base_env=base_env,
            credentials=credentials,
            log_directory=paths.logs,
            addresses=Addresses(internal, *database_urls(loaded.spec.database, database)),
            detours=detours,
        ),
        keeper=keeper,
        ports=ports,
        url=f"http://{public}",
        changed=changed,
        crashed=asyncio.get_running_loop().create_future(),
    )
    runtime.adopt(registry)
    await _end_unknown_replicas(system)
    return system


async def _beside(
    spec: Spec,
    accepted: Accepted,
    paths: StatePaths,
    credentials: Credentials | None,
    env: Mapping[str, str],
    keeper: KeeperLink,
    ports: PortAllocator,
    events: EventLog,
    clock: Clock,
) -> tuple[DashboardPart | None, PrometheusPart | None]:
    """What shows the system. A first start is refused when it cannot be had, and says why; what serves already is
    looked after, whether or not it can be shown."""
    dashboard = None
    try:
        dashboard = await assemble_dashboard(spec, paths, credentials, env, keeper, events, clock)
        return dashboard, assemble_prometheus(spec, dashboard, paths, credentials, env, ports, events, clock)
    except HostError as error:
        if not accepted.was_running:
            raise
        message = f"{error}; the system goes on without, until the next controller tries again"
        events.emit("part_left_out", error.subject, reason="host_refused", message=message, data={"hint": error.hint})
        return dashboard, None


def _loaded(
    version: int,
    deployment: Deployment | None,
    declarations: dict[int, LoadedSpec],
    store: VersionStore,
    accepted: Accepted,
) -> LoadedSpec:
    """The declaration that counts. In the middle of a deployment it is a mixture of two, which `declarations` gets."""
    if deployment is None or not deployment.is_open:
        return declarations[version]
    for number in (deployment.old, deployment.new):
        declarations[number] = as_accepted(store.load(number), accepted)
    return meanwhile(declarations[deployment.old], declarations[deployment.new], deployment)


def database_urls(spec: DatabaseSpec | None, part: DatabasePart | None) -> tuple[str, str]:
    """DATABASE_URL and DATABASE_READ_URL: ours, or those of a database that exists already; empty without any."""
    if part is not None:
        return part.url, part.read_url
    return (spec.url, spec.read_url) if spec is not None else ("", "")


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


def _gateway(
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


async def _end_gateways(paths: StatePaths, events: EventLog, lost: Collection[str]) -> None:
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


async def _end_unknown_replicas(system: System) -> None:
    """Replicas that a predecessor started and had no time to write down: nobody knows their port, so they end.
    What a replica that we know started in a session of its own (a browser, a worker) has its port, and stays."""
    replicas = system.runtime.view().replicas
    known = {replica.pid for replica in replicas}
    ports = {str(replica.port) for replica in replicas}
    for pid in processes.marked_processes(system.paths.mark, with_variable=REPLICA_MARK):
        ticks = processes.start_ticks_of(pid)
        group = processes.group_of(pid)
        if ticks is None or pid in known or group in known or processes.variable_of(pid, "PORT") in ports:
            continue
        system.say("replica_unknown", str(pid), "not_registered", f"pid {pid} is no replica we know: it ends")
        process = processes.adopt(processes.ProcessId(pid, ticks))
        if process is not None:
            await processes.kill(process)
            process.close()
