"""Goes through a calibration on a running system: idle, each request alone, and with some of it inside; then the mix.

1. *Idle*: what is busy while nobody asks.
2. *Each route alone*, slowly, at a load at which it hardly meets another: its latency and how that varies.
3. *Each route, with 1, 2, 4 … of it inside*: how fast it is answered then (`planning/pace.py`), and what it costs each
   part when the machine is half busy, and full.
4. *The mix*, which was not used before: how much of it is answered, and how long it takes at shares of that.

The last two go in rounds, and each round measures both what is predicted from and what is predicted: a machine that
changes its speed from one quarter of an hour to the next (virtual ones do, by a third) is the same for both. How much
it changed in between is told.

Reads only, unless writes are allowed: it is the user's system. Every stretch is bounded, and so is the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import SpecError
from colonnade.core.processor import cores_count
from colonnade.drill.calibration.parts import memory_of_replicas, parts_of, read_parts
from colonnade.drill.calibration.shot import Aim, Shot, shoot, together
from colonnade.drill.calibration.verify import (
    CHANGED_SHARE,
    CHANGED_TOLD,
    Simulate,
    change_of,
    doubt_of,
    told,
    verified_load,
)
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.target import resolve_target
from colonnade.drill.load.workload import Action
from colonnade.drill.trial import try_out
from colonnade.drill.workloads import is_guessed, workload_of
from colonnade.planning.calibration import (
    KERNEL,
    VISITORS,
    Calibration,
    Contention,
    Mix,
    RouteCost,
    costs_at,
    measured_model,
    paced_mix,
    winsorized,
    without_waiting,
)
from colonnade.planning.idle_cost import idle_cost_of, utilization_at
from colonnade.planning.model import SystemModel
from colonnade.planning.pace import Pace, Paced, answer_s, capacity_of, kept, paced
from colonnade.planning.predict import apart_of
from colonnade.planning.scalability import POINTS_MIN, fit
from colonnade.spec.model import ServiceSpec, Spec

LOW_UTILIZATION = 0.08
"""Of the machine, at which a request hardly ever meets another: its latency is the time that it takes."""

RATE_LOW = (2.0, 20.0)
"""Requests a second of the first look at a route: as few as say something in the time that there is."""

SLOW_ANSWERS = 20
"""At least, of a slow stretch, on average: of two a second, a stretch of a second may see none."""

FIRST_LOOK_S = 3.0
"""At a route, to know roughly what a request costs."""

INSIDE = (1, 2, 5, 16, 64)
"""Requests of a kind at once. Where the last step was answered faster by MORE_SHARE, MORE_TIMES as many are tried as
well, up to INSIDE_MAX: work that waits for others than cores fills these only in crowds."""

MORE_SHARE, MORE_TIMES, INSIDE_MAX = 0.5, 4, 1_000

CROWD = 1.5
"""Times what will be answered, that comes: there is always somebody who would be let in, and few are turned away."""

FEW_GROWTH = 3.0
"""How much faster than the step before a few at once may be answered, with room: while each has a core of its own."""

CROWD_S_MIN, CROWD_SHARE = 1.0, 0.2
"""Seconds of a stretch with so many inside, at least, and the share of a usual stretch."""

ROUNDS = 2

SHARES = ((0.2, 0.5), (0.4, 0.75), (0.6, 1.0), (0.8, 1.5))
"""Of the measured capacity; and how long in each round, in usual stretches. The busier, the more chance there is in
what is measured: at 85 % busy a queue of 5 ms needs half a second to forget what it was."""

TELLING = (0.5, 0.6, 0.7)
"""Of a route's capacity, where the paces say how long cores let it wait: below, waits are short; above, a queue that is
not quite theirs decides."""

FULL_UTILIZATION = 0.85
"""Of the free cores, from where on the generator may be late for want of one."""

RATE_MAX = 5_000.0
"""Requests a second that one generator can send: a core of its own does so many."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How long, and what may be sent."""

    stretch_s: float = 15.0
    """Of a stretch of load, from which the others follow."""
    with_writes: bool = False
    write_share: float = 0.2


Tell = Callable[[str], None]


async def calibrate(
    spec: Spec,
    status: Mapping[str, Any],
    wishes: Wishes,
    *,
    at: str,
    machine: str,
    clock: Clock,
    tell: Tell,
    simulate: Simulate | None = None,
) -> Calibration:
    """All of it. Raises SpecError for a workload that cannot be sent, DriverUnavailable when nothing answers."""
    work = _Measuring(spec, wishes, clock, tell, simulate)
    await work.aim_at(status)
    await work.idle()
    for _ in range(ROUNDS):
        await work.round()
    return work.result(at=at, machine=machine)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the routes say together."""

    routes: tuple[RouteCost, ...]
    idle_cost: float
    cores_apart: float
    mix: tuple[Paced, ...]


class _Measuring:
    def __init__(self, spec: Spec, wishes: Wishes, clock: Clock, tell: Tell, simulate: Simulate | None) -> None:
        self._spec = spec
        self._wishes = wishes
        self._clock = clock
        self._tell = tell
        self._simulate = simulate
        self._cores = float(cores_count())
        self._background_cores = 0.0
        self._notes: list[str] = []
        self._doubts: list[str] = []
        self._shots_count = 0
        self._slow: dict[str, Shot] = {}
        self._crowds: dict[str, dict[int, list[Shot]]] = {}
        """Route → how many at once → a stretch of each round."""
        self._full: list[Shot] = []
        """The mix with as many inside as any route had, of each round."""
        self._loads: dict[float, list[Shot]] = {}
        """Share of the capacity → the mix, of each round."""
        self._top = 0.0
        """The capacity that the first round measured, of which the loads are shares."""
        self.aim: Aim

    async def aim_at(self, status: Mapping[str, Any]) -> None:
        target = await resolve_target(status["url"])
        workload = workload_of(self._spec)
        kept = [each for each in workload.actions if self._wishes.with_writes or each.kind is Kind.READ]
        if len(kept) < len(workload.actions):
            self._notes.append("reads only: what writes cost was not measured (--with-writes measures it, and writes)")
        workload = replace(workload, actions=tuple(kept), read_own=())
        if not workload.actions:
            raise SpecError(
                "there is nothing to send",
                subject="drill.reads",
                hint='name pages of the application: [drill] reads = [{ path = "/about" }]',
            )
        workload = await try_out(workload, target, "calibrationtrial", is_guessed=is_guessed(self._spec))
        self.aim = Aim(status["url"], target, workload, parts_of(status))

    async def idle(self) -> None:
        """What everything uses while nobody asks."""
        self._tell("idle: what is busy while nobody asks")
        seconds = self._wishes.stretch_s / 3
        before, began_at = read_parts(self.aim.parts), self._clock.monotonic()
        await self._clock.sleep(seconds)
        used, passed_s = read_parts(self.aim.parts).since(before), self._clock.monotonic() - began_at
        background = {name: value / passed_s for name, value in {**used.cpu_s, KERNEL: used.kernel_s}.items()}
        self.aim = replace(self.aim, background=background)
        self._background_cores = used.machine_busy_s / passed_s
        if self._background_cores > 0.15 * self._cores:
            self._notes.append(
                f"{self._background_cores:.2f} of {self._cores:g} cores were busy while nobody asked: others use this "
                "machine, and what they do moves every figure"
            )

    async def round(self) -> None:
        """Every route, and then the mix."""
        # Writes first: pages are measured with what they are going to show, not on a system that is still empty.
        for action in sorted(self.aim.workload.actions, key=lambda each: each.kind is Kind.READ):
            if action.name not in self._slow:
                await self._slowly(action)
            await self._crowded(action)
        await self._mixed()

    async def _slowly(self, action: Action) -> None:
        first = await self._alone(action, RATE_LOW[0] * 2, min(FIRST_LOOK_S, self._wishes.stretch_s))
        cost_s = first.cost_s
        low = min(max(LOW_UTILIZATION * self._free_cores / cost_s, RATE_LOW[0]), RATE_LOW[1]) if cost_s else RATE_LOW[1]
        lasting_s = max(self._wishes.stretch_s / 2, SLOW_ANSWERS / low)
        shot = self._slow[action.name] = await self._alone(action, low, lasting_s)
        if shot.doubt:
            self._notes.append(f"{action.name} at {shot.rate_per_s:.3g}/s: {shot.doubt}")
        self._tell(f"{action.name}: {shot.mean_s * 1000:.2f} ms alone ({shot.count} answers at {low:.3g}/s)")

    async def _crowded(self, action: Action) -> None:
        """The route with some of it inside, as long as more of them are answered faster."""
        found = self._crowds.setdefault(action.name, {})
        is_first, counts = not found, sorted(found) or list(INSIDE)
        slow_s = self._slow[action.name].mean_s
        rate, growth, shots = 1 / slow_s if slow_s > 0 else RATE_LOW[1], FEW_GROWTH, []
        for count in counts:
            asked = min(RATE_MAX, CROWD * rate * growth)
            shot = await self._alone(action, asked, self._crowd_s, in_flight_max=count)
            found.setdefault(count, []).append(shot)
            shots.append(f"{count}: {shot.ok_rate:.4g}/s")
            # Up to a few at once each has a core of its own, nearly: what is sent must not be what holds them back.
            growth = min(2.0, max(1.0, shot.ok_rate / rate)) if count >= INSIDE[2] else FEW_GROWTH
            rate = max(shot.ok_rate, RATE_LOW[0])
            if (
                is_first
                and count == counts[-1]
                and growth > 1 + MORE_SHARE
                and 3 * count <= INSIDE_MAX
                and rate < RATE_MAX
            ):
                counts.append(3 * count)
        self._tell(f"{action.name}, so many at once: {', '.join(shots)}")

    async def _mixed(self) -> None:
        known = self._known()
        predicted = capacity_of(known.mix)
        most = max(max(found) for found in self._crowds.values())
        full = await self._mix(min(RATE_MAX, CROWD * predicted), 2 * self._crowd_s, in_flight_max=most)
        self._full.append(full)
        self._top = self._top or full.ok_rate
        self._tell(f"the mix, {most} at once: {full.ok_rate:.4g}/s answered (by the routes {predicted:.4g}/s)")
        for share, stretches in SHARES:
            shot = await self._mix(share * self._top, stretches * self._wishes.stretch_s)
            self._loads.setdefault(share, []).append(shot)
            self._tell(f"{shot.rate_per_s:.4g}/s: {shot.mean_s * 1000:.3g} ms")

    def _known(self) -> _Known:
        routes, readings = [], []
        for action in self.aim.workload.actions:
            route, reading = self._route(action)
            routes.append(route)
            readings.append(reading)
        idle_cost = idle_cost_of(readings)
        # Latencies are those of the slow stretches already; costs were read in the busy ones.
        slow = [
            replace(each, mean_s=route.mean_s)
            for route, each in zip(routes, costs_at(routes, idle_cost, LOW_UTILIZATION), strict=True)
        ]
        known, notes = without_waiting(self._spec, slow, cores=self._free_cores, replicas=self.aim.parts.replicas)
        self._notes += [each for each in notes if each not in self._notes]
        mix = paced_mix(known, Mix.of(known, self._write_share))
        return _Known(known, idle_cost, self._apart(known, idle_cost), mix)

    def _route(self, action: Action) -> tuple[RouteCost, tuple[tuple[float, float], tuple[float, float]]]:
        """What all rounds so far say of it; and (utilization, cost) half busy, and full."""
        slow = self._slow[action.name]
        crowds = [together(shots) for _, shots in sorted(self._crowds[action.name].items())]
        half, full = crowds[1], max(crowds, key=lambda each: each.ok_rate)
        mean_s, scv = winsorized(slow.latencies_s)
        route = RouteCost(
            name=action.name,
            kind=action.kind.value,
            weight=action.weight,
            count=slow.count,
            rate_per_s=slow.rate_per_s,
            mean_s=mean_s,
            scv=scv,
            cpu_s={**full.cpu_s, VISITORS: full.generator_cpu_s},
            entry=entry_of(self._spec, action.path),
            utilization=self._utilization(full),
            alone=Pace(slow.rate_per_s * mean_s, slow.rate_per_s, kept(slow.latencies_s)),
            crowd=tuple(_pace(each) for each in crowds if each.ok_rate > 0),
        )
        return route, ((self._utilization(half), half.cost_s), (route.utilization, full.cost_s))

    def _utilization(self, shot: Shot) -> float:
        """Of the cores that are free, what the requests of a stretch took, those who send them included."""
        return min(1.0, shot.ok_rate * shot.cost_s / self._free_cores)

    def _apart(self, routes: Sequence[RouteCost], idle_cost: float) -> float:
        """How far the cores are from one queue, by how long the paces of a route say that it waits."""
        crowds = []
        for route in routes:
            mix = paced_mix([route], Mix({route.name: 1.0}))
            for share in TELLING:
                rate = share * capacity_of(mix)
                (alone,) = costs_at([route], idle_cost, utilization_at(idle_cost, share))
                cost_s = math.fsum(alone.cpu_s.values())
                crowds.append((rate * cost_s, cost_s, paced(mix, rate).times_s["mean"] - alone.mean_s))
        return apart_of(crowds, self._free_cores)

    def result(self, *, at: str, machine: str) -> Calibration:
        """What all rounds say."""
        known = self._known()
        reached = together(self._full).ok_rate
        change = change_of(self._answered_in_rounds())
        if abs(change) > CHANGED_TOLD:
            words = "fewer" if change < 0 else "more"
            self._notes.append(f"{abs(change):.0%} {words} were answered in the second round than in the first")
        verified = []
        for _, shots in sorted(self._loads.items()):
            shot = together(shots)
            part = shot.rate_per_s / reached
            model = self._model_of(known, utilization_at(known.idle_cost, part))
            verified.append(verified_load(model, known.mix, shot.rate_per_s, part, shot, self._simulate))
            self._tell(told(verified[-1]))
        changed = f"the machine changed its speed by {change:+.0%} from one round to the next"
        return Calibration(
            at=at,
            machine=machine,
            cores=int(self._cores),
            background_cores=self._background_cores,
            write_share=self._write_share,
            routes=known.routes,
            memory_bytes=memory_of_replicas(self.aim.parts),
            contention=contention_of(known.mix),
            capacity_predicted=capacity_of(known.mix),
            capacity_measured=reached,
            verified=tuple(verified),
            notes=tuple(self._notes),
            idle_cost=known.idle_cost,
            cores_apart=known.cores_apart,
            doubt=changed if abs(change) > CHANGED_SHARE else doubt_of(self._doubts, self._shots_count),
        )

    def _answered_in_rounds(self) -> list[dict[str, float]]:
        rounds = []
        for index in range(ROUNDS):
            found = {"": self._full[index].ok_rate}
            for name, crowds in self._crowds.items():
                found |= {f"{name} {count}": shots[index].ok_rate for count, shots in crowds.items()}
            rounds.append(found)
        return rounds

    def _model_of(self, known: _Known, utilization: float) -> SystemModel:
        routes = costs_at(known.routes, known.idle_cost, utilization)
        return measured_model(
            self._spec,
            routes,
            Mix.of(routes, self._write_share),
            cores=self._free_cores,
            replicas=self.aim.parts.replicas,
            visitors=True,
            cores_apart=known.cores_apart,
        ).model

    async def _alone(self, action: Action, rate: float, duration_s: float, in_flight_max: int = 2_000) -> Shot:
        share = 1.0 if action.kind is Kind.WRITE else 0.0
        shot = await shoot(
            self.aim,
            rate,
            duration_s,
            write_share=share,
            only=action,
            in_flight_max=in_flight_max,
            clock=self._clock,
        )
        return self._counted(shot)

    async def _mix(self, rate: float, duration_s: float, in_flight_max: int = 2_000) -> Shot:
        shot = await shoot(
            self.aim, rate, duration_s, write_share=self._write_share, in_flight_max=in_flight_max, clock=self._clock
        )
        return self._counted(shot)

    def _counted(self, shot: Shot) -> Shot:
        """A machine that is full leaves the generator no core: its lateness there is no stranger's doing."""
        if self._utilization(shot) < FULL_UTILIZATION:
            self._shots_count += 1
            if shot.doubt:
                self._doubts.append(shot.doubt)
        return shot

    @property
    def _crowd_s(self) -> float:
        return max(CROWD_S_MIN, CROWD_SHARE * self._wishes.stretch_s)

    @property
    def _write_share(self) -> float:
        kinds = {each.kind for each in self.aim.workload.actions}
        if Kind.WRITE not in kinds:
            return 0.0
        return self._wishes.write_share if Kind.READ in kinds else 1.0

    @property
    def _free_cores(self) -> float:
        return max(0.1, self._cores - self._background_cores)


def contention_of(mix: Sequence[Paced]) -> Contention | None:
    """The universal scalability law through what the routes say of the mix, where they were measured."""
    counts = sorted({pace.present for each in mix for pace in each.crowd})
    points = [(max(1.0, n), 1 / math.fsum(each.share * answer_s(each.crowd, n) for each in mix)) for n in counts]
    if len({round(users, 3) for users, _ in points}) < POINTS_MIN:
        return None
    found = fit(points)
    peak = found.law.peak_users if math.isfinite(found.law.peak_users) else None
    return Contention(tuple(points), found.rate_of_one, found.contention, found.coherency, peak)


def _pace(shot: Shot) -> Pace:
    """How many were inside follows from how long they took (Little): the next comes a little later than it may."""
    return Pace(shot.ok_rate * shot.mean_s, shot.ok_rate, kept(shot.latencies_s))


def entry_of(spec: Spec, path: str) -> str:
    """The service that a request for this path comes to: that of the longest route that is a prefix of it."""
    public: dict[str, ServiceSpec] = {name: each for name, each in spec.services.items() if each.route}
    fitting = [name for name, each in public.items() if f"{path}/".startswith(f"{each.route.rstrip('/')}/")]
    return max(fitting or list(public), key=lambda name: len(public[name].route))
