"""Leads a drill of a system in a cluster, from the look whether it is whole to the record of what happened.

In order: look, try the requests out, run the course of the drill (`course`), wait until all is whole, read back, see
that all is as it was. Whatever ends it, faults are healed: what was changed is put back. Judges nothing. Read next:
`course`, `faults/registry`, `marks`; `verdict` for what is made of a record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from colonnade import __version__
from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError, DriverUnavailable, HostError
from colonnade.core.files import disk_error
from colonnade.drill.cluster import marks
from colonnade.drill.cluster.api import ClusterApi, ask
from colonnade.drill.cluster.events import events_of
from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.faults.registry import CLUSTER_FAULTS
from colonnade.drill.cluster.forward import Forward, forwarded
from colonnade.drill.cluster.permissions import NODES, is_allowed
from colonnade.drill.cluster.sampler import ClusterSampler
from colonnade.drill.course import Course, Interrupted, Load
from colonnade.drill.faults.fault import Fault
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.target import resolve_target
from colonnade.drill.load.workload import Workload
from colonnade.drill.machine import look_at_machine
from colonnade.drill.order import Order
from colonnade.drill.progress import Phase
from colonnade.drill.record import ClusterFacts, Leftovers, Record
from colonnade.drill.scenario import PlannedFault
from colonnade.drill.workloads import workload_of
from colonnade.spec.load import LoadedSpec

WHOLE_S_MAX = 60.0
"""For a system that is to be drilled to be whole: a rollout may just be ending."""

RECOVERY_S_MAX = 150.0
"""How long after the load a system that is not whole is looked at: a node's pods have to be placed and started anew."""

INJECT_S_MAX = 540.0
"""For evictions and for the pods to be gone after them, each with a patience of its own."""


@dataclass(frozen=True, slots=True)
class ClusterOrder(Order):
    loaded: LoadedSpec
    url: str
    """Where the gateways are reached; empty: through a port-forward."""
    is_read_only: bool = False
    may_delete_local_data: bool = False


@dataclass(slots=True)
class _Found:
    """What is known so far."""

    url: str = ""
    version: str = ""
    nodes: tuple[str, ...] = ()
    doubts: list[str] = field(default_factory=list)


class ClusterDirector:
    """One drill. `run` once; `progress` at any time meanwhile; setting `interrupt` ends it early and in order."""

    def __init__(self, order: ClusterOrder, api: ClusterApi, clock: Clock) -> None:
        self._order = order
        self._api = api
        self._clock = clock
        self._course = Course(order, clock, begins_with=Phase.LOOKING, inject_s_max=INJECT_S_MAX)
        self.interrupt = self._course.interrupt
        self.progress = self._course.progress
        self._found = _Found()

    async def run(self) -> Record:
        """The record of it. Raises Interrupted when nothing was measured yet, and what keeps the system from being
        drilled: one that is not whole, a page that does not answer."""
        spec = self._order.loaded.spec
        sampler = ClusterSampler(self._api, spec, self._clock)
        try:
            await self._course.read_shape()
            self._found.version = await ask(self._api.version)
            async with AsyncExitStack() as stack:
                forward = None
                if not self._order.url:
                    forward = await stack.enter_async_context(forwarded(self._api))
                self._found.url = forward.url if forward is not None else self._order.url
                await self._use(sampler, forward)
            return await self._record(sampler)
        finally:
            self._course.close()

    async def _use(self, sampler: ClusterSampler, forward: Forward | None) -> None:
        course, found, spec = self._course, self._found, self._order.loaded.spec
        whole = await course.until_whole_before(sampler, WHOLE_S_MAX)
        if not whole.is_whole:
            raise _not_whole(whole.problems)
        found.nodes = await ask(self._look_at_nodes, sampler.status)
        target = await resolve_target(found.url, allow_remote=True)
        workload = self._workload()
        load = await course.unless_interrupted(course.load_for(spec, workload, found.url, target, has_database=False))
        async with course.looked_at(sampler):
            await course.measure(load, partial(self._fault, sampler, load))
            await course.recover(sampler, RECOVERY_S_MAX)
            await course.ask_what_is_held(load, None)
        if forward is not None and forward.has_ended:
            found.doubts.append("the port-forward ended during the drill, and requests failed by that: say --url")

    def _workload(self) -> Workload:
        """What can be asked from here: the database is reached by the application alone."""
        workload, notes = workload_of(self._order.loaded.spec), self._course.notes
        if workload.sql:
            notes.append("[drill] sql was not asked: the cluster's database is not reached from here")
        if self._order.is_read_only:
            reads = tuple(action for action in workload.actions if action.kind is not Kind.WRITE)
            workload = replace(workload, actions=reads, read_own=())
        for name, service in self._order.loaded.spec.services.items():
            if service.rate_limit is not None:
                notes.append(f"services.{name}.rate_limit counts all of this load as one client's")
        return replace(workload, sql="")

    def _look_at_nodes(self, status: Mapping[str, Any]) -> tuple[str, ...]:
        """Where nodes may not be looked at, those that pods of the system are on."""
        placed = [pod["node"] for entry in status["services"] for pod in entry["replicas"]]
        if not is_allowed(self._api, NODES):
            return tuple(f"{name}, {placed.count(name)} pods" for name in sorted(set(placed)) if name)
        return tuple(
            f"{name} {((node.get('status') or {}).get('nodeInfo') or {}).get('kubeletVersion', '')}, "
            f"{placed.count(name)} pods"
            for node in self._api.list("Node")
            if (name := str(node["metadata"]["name"]))
        )

    async def _fault(self, sampler: ClusterSampler, load: Load, number: int, planned: PlannedFault) -> Fault:
        """Made from what is so at this moment."""
        await sampler.look()
        around = ClusterSurroundings(
            api=self._api,
            spec=self._order.loaded.spec,
            status=sampler.status,
            random=self._course.random_of(number),
            clock=self._clock,
            run_id=self._order.run_id,
            plan=load.plan,
            target=load.target,
            is_forwarded=not self._order.url,
            may_delete_local_data=self._order.may_delete_local_data,
        )
        return CLUSTER_FAULTS[planned.kind](planned, around)

    # Afterwards

    async def _record(self, sampler: ClusterSampler) -> Record:
        order, found, course = self._order, self._found, self._course
        if course.history is None:
            raise Interrupted
        _make_directory(order.out)
        samples = tuple(sampler.samples)
        return Record(
            scenario=course.scenario,
            seed=order.seed,
            run_id=order.run_id,
            command=order.command,
            versions={"colonnade": __version__, "kubernetes": found.version},
            declaration_sha256=hashlib.sha256(order.file.read_bytes()).hexdigest(),
            machine=look_at_machine(order.out),
            application=f"{order.loaded.spec.system.name} in {self._api.context}, namespace {self._api.namespace}",
            began_at_wall_s=course.began_at_wall_s,
            wall_offset_s=self._clock.wall() - self._clock.monotonic(),
            is_interrupted=self.interrupt.is_set(),
            topology_before=course.topology_before,
            topology_after=course.topology_after,
            history=course.history,
            faults=course.fault_records(samples),
            events=await self._events(),
            samples=samples,
            held=course.read_back.held,
            held_problem=course.read_back.problem,
            server_lines=(),
            promotions=(),
            leftovers=await self._leftovers(),
            untested=tuple(course.notes),
            cluster=self._facts(),
            doubts=tuple(found.doubts),
        )

    def _facts(self) -> ClusterFacts:
        found = self._found
        return ClusterFacts(
            context=self._api.context,
            server=self._api.server,
            version=found.version,
            namespace=self._api.namespace,
            nodes=found.nodes,
            images={each["name"]: each["image"] for each in self._course.topology_before.get("services", ())},
            url=found.url,
            is_forwarded=not self._order.url,
        )

    async def _events(self) -> tuple[Any, ...]:
        try:
            return events_of(await ask(self._api.list, "Event"))
        except (DriverError, HostError) as error:
            self._course.notes.append(f"the cluster's events could not be had: {error}")
            return ()

    async def _leftovers(self) -> Leftovers | None:
        """What this drill changed and did not put back, even when tried once more; None when nobody could look."""
        try:
            for change in await self._left():
                # Where healing failed; or a request that was given up was carried out after what it did was put back.
                self._course.notes.append(await self._put_back_late(change))
            return Leftovers(changes=tuple(map(str, await self._left())))
        except (DriverError, HostError):
            return None

    async def _put_back_late(self, change: marks.Change) -> str:
        try:
            somebody = await ask(marks.put_back, self._api, change)
        except (DriverError, HostError) as error:
            return f"{change}, and putting it back failed at the end as well: {error}"
        return f"put back only at the end: {change}{f'; {somebody}' if somebody else ''}"

    async def _left(self) -> list[marks.Change]:
        with_nodes = await ask(is_allowed, self._api, NODES)
        left = await ask(lambda: list(marks.changes_left(self._api, with_nodes=with_nodes)))
        return [change for change in left if change.run_id == self._order.run_id]


def _make_directory(out: Path) -> None:
    """Raises HostError."""
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, out) from error


def _not_whole(problems: tuple[str, ...]) -> DriverUnavailable:
    missing = "; ".join(problems) or "the API server does not answer"
    return DriverUnavailable(
        f"the system in the cluster is not whole before anything is broken: {missing}",
        hint="`colonnade status --to kubernetes` shows it; drill it when it is well",
        subject="drill",
    )
