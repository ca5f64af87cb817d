"""Leads a drill from the copy of the application to the record of what happened, and leaves nothing behind.

In order: copy, start an instance, run the course of the drill (`course`), wait until all is whole, read back, take
down, collect. An interruption ends the load and heals; the rest is done all the same, so that a record is written.
Judges nothing. Read next: `course`, `instance`, `collect`; `verdict` for what is made of a record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverUnavailable
from colonnade.core.events import read_events
from colonnade.drill import collect
from colonnade.drill.course import Course, Interrupted, Load
from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.registry import FAULTS, LINK_FAULTS
from colonnade.drill.faults.ways import ways_needed
from colonnade.drill.instance import Prepared, Running, prepare
from colonnade.drill.links.client import Links, open_links
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.target import resolve_target
from colonnade.drill.machine import look_at_machine, look_at_versions
from colonnade.drill.order import Order
from colonnade.drill.progress import Phase
from colonnade.drill.record import Death, Leftovers, Machine, Record, Sample
from colonnade.drill.sampler import Sampler
from colonnade.drill.scenario import PlannedFault
from colonnade.drill.workloads import workload_of
from colonnade.spec.derive import own_database

WHOLE_S_MAX = 60.0
"""From the first answer of the gateway to an instance in which nothing is missing. Clones of a fresh database take
seconds."""

RECOVERY_S_MAX = 30.0
"""How long after the load an instance that is not whole is looked at: longer than any bound that a rule would allow."""

LOGS = "logs"
"""In the report's directory."""


@dataclass(frozen=True, slots=True)
class InstanceOrder(Order):
    """With the report, the instance's logs are kept."""

    allow_external_database: bool = False
    state: Path | None = None
    """An empty directory for the instance's state, where that is to be on a disk of its own."""


@dataclass(slots=True)
class _Found:
    """What is known of the instance while it runs, piece by piece."""

    machine: Machine | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    deaths: tuple[Death, ...] = ()
    slots: tuple[str, ...] = ()
    shared_memory: set[str] = field(default_factory=set)


class Director:
    """One drill. `run` once; `progress` at any time meanwhile; setting `interrupt` ends it early and in order."""

    def __init__(self, order: InstanceOrder, clock: Clock) -> None:
        self._order = order
        self._clock = clock
        self._course = Course(order, clock, begins_with=Phase.COPYING)
        self.interrupt = self._course.interrupt
        self.progress = self._course.progress
        self._found = _Found()

    async def run(self) -> Record:
        """The record of it. Raises Interrupted when nothing was measured yet, SpecError for a declaration that cannot
        be drilled, and what keeps an instance from starting. Whatever happens, nothing of the instance is left."""
        await self._course.read_shape()
        # Not raced with the interruption: a copy that is half made would be left.
        prepared = await asyncio.to_thread(
            prepare,
            self._order.file,
            allow_external_database=self._order.allow_external_database,
            state=self._order.state,
        )
        running = Running(prepared)
        try:
            self._found.machine = look_at_machine(prepared.root)
            self._found.versions = await look_at_versions()
            left = await self._live(prepared, running)
            collect.keep_logs(prepared.instance.paths, self._order.out / LOGS)
            return self._record(prepared, left)
        finally:
            self._course.close()
            await asyncio.to_thread(running.remove)

    # From the start of the instance to its end

    async def _live(self, prepared: Prepared, running: Running) -> tuple[str, ...]:
        """Returns the processes that the instance left."""
        left: tuple[str, ...] = ()
        async with AsyncExitStack() as stack:
            # The links last longest: without them the parts do not reach each other, and could not end in order.
            links = await self._open_links(stack, prepared)
            try:
                await self._use(prepared, running, links)
            finally:
                self._course.phase = Phase.TAKING_DOWN
                left = await running.stop()
        return left

    async def _open_links(self, stack: AsyncExitStack, prepared: Prepared) -> Links | None:
        """None when no fault of the scenario is about a way between two parts."""
        names = ways_needed(prepared.loaded.spec, self._order.scenario.faults, LINK_FAULTS)
        if not names:
            return None
        return await stack.enter_async_context(open_links(prepared.detours, names, self._order.seed))

    async def _use(self, prepared: Prepared, running: Running, links: Links | None) -> None:
        course, spec = self._course, prepared.loaded.spec
        course.phase = Phase.STARTING
        await course.unless_interrupted(running.start(lambda _: None, has_detours=links is not None))
        async with Sampler(prepared.instance.paths, self._clock) as sampler:
            whole = await course.until_whole_before(sampler, WHOLE_S_MAX)
            if not whole.is_whole:
                raise _not_whole(whole)
            target = await resolve_target(prepared.instance.url)
            has_database = own_database(spec) is not None
            load = await course.unless_interrupted(
                course.load_for(spec, workload_of(spec), prepared.instance.url, target, has_database=has_database)
            )
            try:
                async with course.looked_at(sampler):
                    await course.measure(load, partial(self._fault, prepared, links, sampler, load.plan))
                    await self._look_back(prepared, sampler, load)
            finally:
                self._found.samples, self._found.deaths = tuple(sampler.samples), sampler.deaths

    async def _fault(
        self,
        prepared: Prepared,
        links: Links | None,
        sampler: Sampler,
        plan: Plan,
        number: int,
        planned: PlannedFault,
    ) -> Fault:
        """Made from what is so at this moment."""
        await sampler.look()
        self._found.shared_memory |= await asyncio.to_thread(collect.shared_memory_of, prepared.instance.paths)
        random = self._course.random_of(number)
        around = Surroundings(prepared.instance, sampler.status, links, random, self._clock, plan)
        return FAULTS[planned.kind](planned, around)

    async def _look_back(self, prepared: Prepared, sampler: Sampler, load: Load) -> None:
        """What must be asked while it still runs."""
        found, course = self._found, self._course
        await course.recover(sampler, RECOVERY_S_MAX)
        found.shared_memory |= await asyncio.to_thread(collect.shared_memory_of, prepared.instance.paths)
        access = collect.database_access(prepared, sampler.status)
        await course.ask_what_is_held(load, access)
        if access is not None and access.is_ours:
            try:
                found.slots = await collect.replication_slots(access)
            except psycopg.Error as error:
                course.notes.append(f"replication slots could not be looked at: {error}")

    # Afterwards

    def _record(self, prepared: Prepared, left: tuple[str, ...]) -> Record:
        paths, order, found, course = prepared.instance.paths, self._order, self._found, self._course
        if course.history is None or found.machine is None:
            raise Interrupted
        lines = collect.server_lines(paths)
        return Record(
            scenario=course.scenario,
            seed=order.seed,
            run_id=order.run_id,
            command=order.command,
            versions=found.versions,
            declaration_sha256=prepared.declaration_sha256,
            machine=found.machine,
            application=f"{prepared.loaded.spec.system.name} in {order.file.absolute().parent}",
            began_at_wall_s=course.began_at_wall_s,
            wall_offset_s=self._clock.wall() - self._clock.monotonic(),
            is_interrupted=self.interrupt.is_set(),
            topology_before=course.topology_before,
            topology_after=course.topology_after,
            history=course.history,
            faults=course.fault_records(found.samples),
            events=tuple(read_events(paths.events)),
            samples=found.samples,
            held=course.read_back.held,
            held_problem=course.read_back.problem,
            server_lines=lines,
            promotions=collect.promotions(paths, lines),
            leftovers=Leftovers(
                processes=left,
                sockets=collect.sockets_left(paths),
                files=collect.files_left(paths, found.shared_memory),
                slots=found.slots,
            ),
            deaths=found.deaths,
            untested=(*prepared.notes, *course.notes),
        )


def _not_whole(sample: Sample) -> DriverUnavailable:
    missing = "; ".join(sample.problems) or "its controller does not answer"
    return DriverUnavailable(
        f"the instance is not whole {WHOLE_S_MAX:g} s after its start: {missing}",
        hint="`colonnade up` shows the same without a drill; see whether this machine has room for two systems",
        subject="drill",
    )
