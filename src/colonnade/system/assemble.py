"""The composition root: from an accepted declaration to subsystems that are wired to each other. Starts nothing but
the loops that `begin_loops` names; `startup.py` has the order in which the parts come up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.errors import HostError
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Credentials
from colonnade.runtime.controller import RuntimeController
from colonnade.runtime.launch import REPLICA_MARK, base_environment
from colonnade.runtime.registry import read_registry
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import DatabaseSpec, Spec
from colonnade.spec.syntax import parse_listen
from colonnade.system import paths as state_paths
from colonnade.system.accepted import Accepted, as_accepted
from colonnade.system.credentials import choose_credentials
from colonnade.system.dashboard_part import LISTENER, DashboardPart, assemble_dashboard
from colonnade.system.deployment import Deployment, meanwhile, read_deployment
from colonnade.system.detours import STRAIGHT, Detours
from colonnade.system.development import DEVELOPMENT_ENV
from colonnade.system.gateway_part import assemble_gateway, end_gateways, open_listeners, used_by_others
from colonnade.system.keeper_link import KeeperLink
from colonnade.system.paths import StatePaths
from colonnade.system.plans import PUBLIC, Addresses, Surroundings
from colonnade.system.prometheus_part import PrometheusPart, assemble_prometheus
from colonnade.system.system import System
from colonnade.system.versions import VersionStore

if TYPE_CHECKING:
    from colonnade.system.database_part import DatabasePart


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
        await end_gateways(paths, events, lost)
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
        gateway=assemble_gateway(loaded, reached, paths, credentials, keeper, base_env, events, clock),
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
