"""All parts of one system as its controller holds them, and what is done to several of them together. `assemble.py`
makes it; `startup.py` has the order in which the parts come up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from colonnade.core.clock import Clock
from colonnade.core.errors import SpecError
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Credentials
from colonnade.gateway.controller import GatewayController
from colonnade.gateway.pools import slots_for
from colonnade.gateway.state import Membership
from colonnade.runtime.controller import RuntimeController
from colonnade.runtime.launch import ServicePlan
from colonnade.runtime.registry import Registry
from colonnade.runtime.state import ReplicaId
from colonnade.spec.detect import Detected
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import ServiceSpec
from colonnade.system.accepted import Accepted, as_accepted, write_accepted
from colonnade.system.autoscaling import Autoscaler
from colonnade.system.dashboard_part import DashboardPart
from colonnade.system.gateway_part import gateway_listeners, gateway_render, open_listeners, used_by_others
from colonnade.system.keeper_link import KeeperLink
from colonnade.system.mapping import service_membership
from colonnade.system.paths import StatePaths
from colonnade.system.plans import Surroundings, service_listener, service_plan
from colonnade.system.prometheus_part import PrometheusPart
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
