"""The course of a drill, wherever the system runs: requests are tried out, then load is sent by a process of its own
while every fault is made and healed at its time and the system is looked at; all is healed at the end, however that
comes; then it is waited until all is whole, and read back what was written.

Knows neither how the system came to be there nor whom faults strike: that is for whoever leads the drill.
Read next: `director` for a copy on this machine, `cluster/director` for a system in a cluster, `strike` for one fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from colonnade.core.clock import Clock
from colonnade.drill.applicable import applicable
from colonnade.drill.collect import DatabaseAccess
from colonnade.drill.faults.fault import Fault
from colonnade.drill.held import ReadBack, read_back
from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.readback import known_ids_over_http
from colonnade.drill.load.tally import Tally
from colonnade.drill.load.target import Target
from colonnade.drill.load.trace import read_shape
from colonnade.drill.load.workload import Workload
from colonnade.drill.order import Order
from colonnade.drill.progress import FaultProgress, Phase, Progress
from colonnade.drill.record import FaultRecord, Sample
from colonnade.drill.sampler import whole_since
from colonnade.drill.scenario import PlannedFault, Scenario
from colonnade.drill.strike import INJECT_S_MAX, Strike
from colonnade.drill.trial import try_out
from colonnade.drill.workloads import is_guessed
from colonnade.planning.load_shape import find_shape
from colonnade.planning.profile import SLICES
from colonnade.spec.model import Spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAP_S = 0.1

Result = TypeVar("Result")


class Interrupted(Exception):
    """The drill was ended before anything was measured, so there is nothing to write down."""


class Looks(Protocol):
    """Whoever looks at the system and keeps what was seen."""

    samples: list[Sample]
    status: Mapping[str, Any]
    """The newest that was given; empty before the first."""

    async def look(self) -> Sample:
        """One look, also kept."""
        ...

    async def run(self) -> None:
        """Look again and again until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, where to, and the items that it may ask for from the beginning."""

    plan: Plan
    target: Target
    ids: tuple[str, ...]


class Course:
    """One drill's. Setting `interrupt` ends it early and in order."""

    def __init__(self, order: Order, clock: Clock, begins_with: Phase, inject_s_max: float = INJECT_S_MAX) -> None:
        self.interrupt = asyncio.Event()
        self.phase = begins_with
        self.began_at_wall_s = clock.wall()
        self.topology_before: Mapping[str, Any] = {}
        self.topology_after: Mapping[str, Any] = {}
        """The status before and after the load."""
        self.read_back = ReadBack(None, "the drill ended before")
        self.scenario = order.scenario
        """With the rules that can be asked of this application, once it was tried out."""
        self.strikes: tuple[Strike, ...] = ()
        self.history: History | None = None
        self.notes: list[str] = []
        self._order = order
        self._planned = order.scenario
        self._clock = clock
        self._inject_s_max = inject_s_max
        self._looks: Looks | None = None
        self._load_start_at: float | None = None
        self._shape: tuple[float, ...] = ()
        self._tally = Tally.make()

    def close(self) -> None:
        self._tally.close()

    def progress(self) -> Progress:
        planned, looks = self._planned, self._looks
        load_s = -1.0 if self._load_start_at is None else self._clock.monotonic() - self._load_start_at
        is_steady = self.phase is Phase.STEADY and load_s < planned.steady_s
        return Progress(
            phase=self.phase if is_steady or self.phase is not Phase.STEADY else Phase.BREAKING,
            load_s=load_s,
            duration_s=planned.duration_s,
            counts=self._tally.read(),
            faults=tuple(FaultProgress(strike.record, strike.is_under_way) for strike in self.strikes),
            sample=looks.samples[-1] if looks is not None and looks.samples else None,
            is_interrupted=self.interrupt.is_set(),
        )

    async def read_shape(self) -> None:
        """The load's shape over time, where the scenario names one. Raises SpecError."""
        load = self._planned.load
        if load.shape:
            self._shape = find_shape(load.shape).relative(SLICES)
        elif load.trace:
            self._shape = await asyncio.to_thread(read_shape, Path(load.trace))

    async def until_whole_before(self, looks: Looks, duration_s_max: float) -> Sample:
        """The last look, which may not be whole even now. Raises Interrupted."""
        await self.unless_interrupted(self._wait_until_whole(looks, duration_s_max))
        self.topology_before = looks.status
        return looks.samples[-1]

    async def recover(self, looks: Looks, duration_s_max: float) -> None:
        """Wait until all is whole again; only one look where the drill is to end."""
        self.phase = Phase.RECOVERING
        await self._wait_until_whole(looks, NAP_S if self.interrupt.is_set() else duration_s_max)
        self.phase = Phase.READING_BACK
        self.topology_after = looks.status if looks.samples[-1].is_answered else {}

    async def _wait_until_whole(self, looks: Looks, duration_s_max: float) -> None:
        self._looks = looks
        deadline = self._clock.monotonic() + duration_s_max
        while not (await looks.look()).is_whole and self._clock.monotonic() < deadline:
            await self._clock.sleep(NAP_S)

    async def load_for(self, spec: Spec, workload: Workload, url: str, target: Target, *, has_database: bool) -> Load:
        """The load as it can be sent to this application: each request was tried once. `has_database`: one of ours can
        be looked into. Raises SpecError for a request that is not answered as declared."""
        self.phase = Phase.TRYING
        tried = await try_out(workload, target, f"{self._order.run_id}trial", is_guessed=is_guessed(spec))
        self.scenario, not_asked = applicable(self._planned, tried, has_database=has_database)
        self.notes += not_asked
        ids = await known_ids_over_http(target, tried)
        plan = plan_of(self._planned, tried, url, self._order.run_id, self._order.seed, self._shape)
        return Load(plan, target, ids)

    @asynccontextmanager
    async def looked_at(self, looks: Looks) -> AsyncIterator[None]:
        """Looks go on beside whatever is done inside."""
        going_on = asyncio.create_task(looks.run())
        try:
            yield
        finally:
            going_on.cancel()
            with suppress(asyncio.CancelledError):
                await going_on

    async def measure(self, load: Load, make: Callable[[int, PlannedFault], Awaitable[Fault]]) -> None:
        """The load, with everything that is broken beside it. `make`: a fault, by its number, from what is so then."""
        start_at = self._clock.monotonic() + START_S
        self.strikes = tuple(Strike(fault, self._clock, self._inject_s_max) for fault in self._planned.faults)
        self._load_start_at, self.phase = start_at, Phase.STEADY
        sending = run_load_apart(
            load.plan, load.target, known_ids=load.ids, start_at=start_at, stop=self.interrupt, tally=self._tally
        )
        work = (asyncio.create_task(sending), asyncio.create_task(self._break(make, start_at)))
        try:
            self.history, _ = await asyncio.gather(*work)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await _heal(self.strikes)

    async def _break(self, make: Callable[[int, PlannedFault], Awaitable[Fault]], start_at: float) -> None:
        """Until all faults were carried out, or the drill is interrupted: then those under way are healed at once."""
        struck = [
            strike.carry_out(partial(make, number, planned), start_at)
            for number, (strike, planned) in enumerate(zip(self.strikes, self._planned.faults, strict=True))
        ]
        try:
            await self.unless_interrupted(asyncio.gather(*struck))
        except Interrupted:
            await _heal(self.strikes)

    async def unless_interrupted(self, work: Awaitable[Result]) -> Result:
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

    def random_of(self, fault: int) -> Random:
        """What a fault draws from, by its number: a sequence of its own, whatever became of the others."""
        return Random(f"{self._order.seed} fault {fault}")  # noqa: S311 — draws whom to strike

    async def ask_what_is_held(self, load: Load, access: DatabaseAccess | None) -> None:
        """Of what was written, while the system still runs. Without `access` to the database the application is
        asked."""
        if self.history is not None:
            self.read_back = await read_back(
                load.plan.workload, load.target, access, self.history.operations, load.plan.run_id, self._clock
            )

    def fault_records(self, samples: Sequence[Sample]) -> tuple[FaultRecord, ...]:
        return tuple(with_whole(strike.record, samples) for strike in self.strikes)


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
