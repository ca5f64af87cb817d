"""Leads a drill from the copy of the application to the record of what happened, and leaves nothing behind.

In order: copy, start an instance, try the requests out, send load in a process of its own, break and heal at the
planned times while the status is looked at, wait until all is whole, read back, take down, collect. An interruption
ends the load and heals; the rest is done all the same, so that a record is written.
Judges nothing. Read next: `strike` for one fault, `instance`, `collect`; `verdict` for what is made of a record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import psycopg

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverUnavailable
from colonnade.core.events import read_events
from colonnade.drill import collect
from colonnade.drill.applicable import applicable
from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.registry import FAULTS, LINK_FAULTS
from colonnade.drill.faults.ways import ways_needed
from colonnade.drill.held import ReadBack, read_back
from colonnade.drill.instance import Prepared, Running, prepare
from colonnade.drill.links.client import Links, open_links
from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.readback import known_ids_over_http
from colonnade.drill.load.tally import Tally
from colonnade.drill.load.target import Target, resolve_target
from colonnade.drill.load.trace import read_shape
from colonnade.drill.load.workload import Workload
from colonnade.drill.machine import look_at_machine, look_at_versions
from colonnade.drill.progress import FaultProgress, Phase, Progress
from colonnade.drill.record import Death, FaultRecord, Leftovers, Machine, Record, Sample
from colonnade.drill.sampler import Sampler, whole_since
from colonnade.drill.scenario import PlannedFault, Scenario
from colonnade.drill.strike import Strike
from colonnade.drill.trial import try_out
from colonnade.drill.workloads import is_guessed, workload_of
from colonnade.planning.load_shape import find_shape
from colonnade.planning.profile import SLICES

WHOLE_S_MAX = 60.0
"""From the first answer of the gateway to an instance in which nothing is missing. Clones of a fresh database take
seconds."""

RECOVERY_S_MAX = 30.0
"""How long after the load an instance that is not whole is looked at: longer than any bound that a rule would allow."""

NAP_S = 0.1

LOGS = "logs"
"""In the report's directory."""

Result = TypeVar("Result")


class Interrupted(Exception):
    """The drill was ended before anything was measured, so there is nothing to write down."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted."""

    file: Path
    """The declaration."""
    scenario: Scenario
    seed: int
    run_id: str
    """Letters and digits, unlike those of any other run."""
    command: str
    """What was typed, and repeats it."""
    out: Path
    """Where the report will be; the instance's logs are kept there. Made when there is something to keep."""
    allow_external_database: bool = False
    state: Path | None = None
    """An empty directory for the instance's state, where that is to be on a disk of its own."""


@dataclass(slots=True)
class _Found:
    """What is known of the instance while it runs, piece by piece."""

    scenario: Scenario
    """With the rules that can be asked of this application."""
    began_at_wall_s: float
    machine: Machine | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    strikes: tuple[Strike, ...] = ()
    topology_before: Mapping[str, Any] = field(default_factory=dict)
    topology_after: Mapping[str, Any] = field(default_factory=dict)
    history: History | None = None
    samples: tuple[Sample, ...] = ()
    deaths: tuple[Death, ...] = ()
    read_back: ReadBack = field(default_factory=lambda: ReadBack(None, "the drill ended before"))
    slots: tuple[str, ...] = ()
    shared_memory: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


class Director:
    """One drill. `run` once; `progress` at any time meanwhile; setting `interrupt` ends it early and in order."""

    def __init__(self, order: Order, clock: Clock) -> None:
        self.interrupt = asyncio.Event()
        self._order = order
        self._clock = clock
        self._phase = Phase.COPYING
        self._load_start_at: float | None = None
        self._shape: tuple[float, ...] = ()
        self._tally = Tally.make()
        self._sampler: Sampler | None = None
        self._found = _Found(order.scenario, clock.wall())

    async def run(self) -> Record:
        """The record of it. Raises Interrupted when nothing was measured yet, SpecError for a declaration that cannot
        be drilled, and what keeps an instance from starting. Whatever happens, nothing of the instance is left."""
        load = self._order.scenario.load
        if load.shape:
            self._shape = find_shape(load.shape).relative(SLICES)
        else:
            self._shape = await asyncio.to_thread(read_shape, Path(load.trace)) if load.trace else ()
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
            self._tally.close()
            await asyncio.to_thread(running.remove)

    def progress(self) -> Progress:
        scenario, sampler = self._order.scenario, self._sampler
        load_s = -1.0 if self._load_start_at is None else self._clock.monotonic() - self._load_start_at
        is_steady = self._phase is Phase.STEADY and load_s < scenario.steady_s
        return Progress(
            phase=self._phase if is_steady or self._phase is not Phase.STEADY else Phase.BREAKING,
            load_s=load_s,
            duration_s=scenario.duration_s,
            counts=self._tally.read(),
            faults=tuple(FaultProgress(strike.record, strike.is_under_way) for strike in self._found.strikes),
            sample=sampler.samples[-1] if sampler is not None and sampler.samples else None,
            is_interrupted=self.interrupt.is_set(),
        )

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
                self._phase = Phase.TAKING_DOWN
                left = await running.stop()
        return left

    async def _open_links(self, stack: AsyncExitStack, prepared: Prepared) -> Links | None:
        """None when no fault of the scenario is about a way between two parts."""
        names = ways_needed(prepared.loaded.spec, self._order.scenario.faults, LINK_FAULTS)
        if not names:
            return None
        return await stack.enter_async_context(open_links(prepared.detours, names, self._order.seed))

    async def _use(self, prepared: Prepared, running: Running, links: Links | None) -> None:
        self._phase = Phase.STARTING
        await self._unless_interrupted(running.start(lambda _: None, has_detours=links is not None))
        async with Sampler(prepared.instance.paths, self._clock) as sampler:
            self._sampler = sampler
            await self._unless_interrupted(self._wait_until_whole(sampler, WHOLE_S_MAX))
            if not sampler.samples[-1].is_whole:
                raise _not_whole(sampler.samples[-1])
            self._found.topology_before = sampler.status
            self._phase = Phase.TRYING
            target = await resolve_target(prepared.instance.url)
            plan, ids = await self._unless_interrupted(self._plan(prepared, target))
            looks = asyncio.create_task(sampler.run())
            try:
                await self._measure(prepared, links, sampler, _Load(plan, target, ids))
                await self._look_back(prepared, sampler, plan, target)
            finally:
                looks.cancel()
                with suppress(asyncio.CancelledError):
                    await looks
                self._found.samples, self._found.deaths = tuple(sampler.samples), sampler.deaths

    async def _wait_until_whole(self, sampler: Sampler, duration_s_max: float) -> None:
        deadline = self._clock.monotonic() + duration_s_max
        while not (await sampler.look()).is_whole and self._clock.monotonic() < deadline:
            await self._clock.sleep(NAP_S)

    async def _plan(self, prepared: Prepared, target: Target) -> tuple[Plan, tuple[str, ...]]:
        """The load, and the items that it may ask for from the beginning."""
        spec, order = prepared.loaded.spec, self._order
        tried = await try_out(workload_of(spec), target, f"{order.run_id}trial", is_guessed=is_guessed(spec))
        self._found.scenario, not_asked = applicable(order.scenario, tried, spec)
        self._found.notes += not_asked
        ids = await known_ids_over_http(target, tried)
        return plan_of(order.scenario, tried, prepared.instance.url, order.run_id, order.seed, self._shape), ids

    async def _measure(self, prepared: Prepared, links: Links | None, sampler: Sampler, load: _Load) -> None:
        """The load, with everything that is broken beside it. All is healed at the end, however that comes."""
        start_at = self._clock.monotonic() + START_S
        strikes = tuple(Strike(fault, self._clock) for fault in self._order.scenario.faults)
        self._found.strikes, self._load_start_at, self._phase = strikes, start_at, Phase.STEADY
        surroundings = partial(self._surroundings, prepared, links, sampler, load.plan)
        sending = run_load_apart(
            load.plan, load.target, known_ids=load.ids, start_at=start_at, stop=self.interrupt, tally=self._tally
        )
        work = (
            asyncio.create_task(sending),
            asyncio.create_task(self._break(strikes, surroundings, start_at)),
        )
        try:
            self._found.history, _ = await asyncio.gather(*work)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await _heal(strikes)

    async def _break(
        self, strikes: Sequence[Strike], surroundings: Callable[[int], Awaitable[Surroundings]], start_at: float
    ) -> None:
        """Until all faults were carried out, or the drill is interrupted: then those under way are healed at once."""

        async def make(number: int, planned: PlannedFault) -> Fault:
            return FAULTS[planned.kind](planned, await surroundings(number))

        faults = self._order.scenario.faults
        struck = [
            strike.carry_out(partial(make, number, planned), start_at)
            for number, (strike, planned) in enumerate(zip(strikes, faults, strict=True))
        ]
        try:
            await self._unless_interrupted(asyncio.gather(*struck))
        except Interrupted:
            await _heal(strikes)

    async def _surroundings(
        self, prepared: Prepared, links: Links | None, sampler: Sampler, plan: Plan, number: int
    ) -> Surroundings:
        """What is so at this moment. Each fault draws from a sequence of its own, whatever became of the others."""
        await sampler.look()
        self._found.shared_memory |= await asyncio.to_thread(collect.shared_memory_of, prepared.instance.paths)
        random = Random(f"{self._order.seed} fault {number}")  # noqa: S311 — draws whom to strike
        return Surroundings(prepared.instance, sampler.status, links, random, self._clock, plan)

    async def _look_back(self, prepared: Prepared, sampler: Sampler, plan: Plan, target: Target) -> None:
        """What must be asked while it still runs."""
        found, history = self._found, self._found.history
        self._phase = Phase.RECOVERING
        await self._wait_until_whole(sampler, NAP_S if self.interrupt.is_set() else RECOVERY_S_MAX)
        self._phase = Phase.READING_BACK
        found.topology_after = sampler.status if sampler.samples[-1].is_answered else {}
        found.shared_memory |= await asyncio.to_thread(collect.shared_memory_of, prepared.instance.paths)
        access = collect.database_access(prepared, sampler.status)
        if history is not None:
            found.read_back = await read_back(
                plan.workload, target, access, history.operations, plan.run_id, self._clock
            )
        if access is not None and access.is_ours:
            try:
                found.slots = await collect.replication_slots(access)
            except psycopg.Error as error:
                found.notes.append(f"replication slots could not be looked at: {error}")

    async def _unless_interrupted(self, work: Awaitable[Result]) -> Result:
        """The result of `work`. Raises Interrupted, with `work` cancelled and over, when the drill is to end before."""
        task = asyncio.ensure_future(work)
        stop = asyncio.create_task(self.interrupt.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Interrupted
            return task.result()
        finally:
            stop.cancel()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # Afterwards

    def _record(self, prepared: Prepared, left: tuple[str, ...]) -> Record:
        paths, order, found = prepared.instance.paths, self._order, self._found
        if found.history is None or found.machine is None:
            raise Interrupted
        lines = collect.server_lines(paths)
        return Record(
            scenario=found.scenario,
            seed=order.seed,
            run_id=order.run_id,
            command=order.command,
            versions=found.versions,
            declaration_sha256=prepared.declaration_sha256,
            machine=found.machine,
            application=f"{prepared.loaded.spec.system.name} in {order.file.absolute().parent}",
            began_at_wall_s=found.began_at_wall_s,
            wall_offset_s=self._clock.wall() - self._clock.monotonic(),
            is_interrupted=self.interrupt.is_set(),
            topology_before=found.topology_before,
            topology_after=found.topology_after,
            history=found.history,
            faults=tuple(with_whole(strike.record, found.samples) for strike in found.strikes),
            events=tuple(read_events(paths.events)),
            samples=found.samples,
            held=found.read_back.held,
            held_problem=found.read_back.problem,
            server_lines=lines,
            promotions=collect.promotions(paths, lines),
            leftovers=Leftovers(
                processes=left,
                sockets=collect.sockets_left(paths),
                files=collect.files_left(paths, found.shared_memory),
                slots=found.slots,
            ),
            deaths=found.deaths,
            untested=(*prepared.notes, *found.notes),
        )


@dataclass(frozen=True, slots=True)
class _Load:
    plan: Plan
    target: Target
    ids: tuple[str, ...]


def plan_of(scenario: Scenario, workload: Workload, url: str, run_id: str, seed: int, shape: tuple[float, ...]) -> Plan:
    """The load of a scenario for this application: one that nothing can be written to is only read."""
    kinds = {action.kind for action in workload.actions if not action.needs_id}
    share = scenario.load.write_share
    return Plan(
        url=url,
        rate_per_s=scenario.load.rate_per_s,
        duration_s=scenario.duration_s,
        run_id=run_id,
        write_share=0.0 if Kind.WRITE not in kinds else 1.0 if Kind.READ not in kinds else share,
        session_share=scenario.load.session_share,
        seed=seed,
        arrivals=scenario.load.arrivals,
        shape=shape,
        workload=workload,
        timeout_s=scenario.load.timeout_s,
    )


def with_whole(fault: FaultRecord, samples: Sequence[Sample]) -> FaultRecord:
    """The record of a fault with the moment from which on nothing was missing."""
    over_at = fault.healed_at if fault.healed_at is not None else fault.injected_at
    return fault if over_at is None else replace(fault, whole_at=whole_since(samples, over_at))


async def _heal(strikes: Sequence[Strike]) -> None:
    """In the opposite order: what was broken last may lie on what was broken before."""
    for strike in reversed(strikes):
        await strike.heal()


def _not_whole(sample: Sample) -> DriverUnavailable:
    missing = "; ".join(sample.problems) or "its controller does not answer"
    return DriverUnavailable(
        f"the instance is not whole {WHOLE_S_MAX:g} s after its start: {missing}",
        hint="`colonnade up` shows the same without a drill; see whether this machine has room for two systems",
        subject="drill",
    )
