"""Goes through a calibration on a running system: idle, each request alone, several at once, then what was predicted.

1. *Idle*: what is busy while nobody asks.
2. *Each route alone*, at a load at which it hardly meets another: its latency and how that varies; then busier, in
   steps up to nearly all of the machine, for what it costs each part (a core that is never idle does the same in less
   time than one that sleeps in between: with costs read at a third of its load, the blog's capacity came out a fifth
   too low) and how long it waits for a core there.
3. *At once*: throughput of the mix with 1, 2, 4 … in flight, for the universal scalability law.
4. *Predicted, then measured*: the mix, which was not used before, at shares of the predicted capacity up to beyond it.

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
from colonnade.drill.calibration.shot import Aim, Shot, shoot
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
    Verified,
    costs_at,
    measured_model,
    winsorized,
    without_waiting,
)
from colonnade.planning.errors import Unstable
from colonnade.planning.idle_cost import idle_cost_of, utilization_at
from colonnade.planning.limits import capacity
from colonnade.planning.model import Load, SystemModel
from colonnade.planning.predict import apart_of, predict
from colonnade.planning.scalability import POINTS_MIN, fit
from colonnade.spec.model import ServiceSpec, Spec

LOW_UTILIZATION = 0.08
"""Of the machine, at which a request hardly ever meets another: its latency is the time that it takes."""

BUSY_UTILIZATION, FULL_UTILIZATION = 0.5, 1.0
"""At which a request's processor time is read, by what it cost at the step before."""

NEARLY_FULL, STEPS_MAX = 0.85, 4
"""As a request costs less the busier the machine is, full utilization is come near to in steps: on the blog in two to
four. With FastAPI a request at full load costs a third of what it does alone."""

REACHED_SHARE, FAILED_SHARE_MAX = 0.9, 0.01
"""Of what was asked for, answered at least, and failed at most, for a stretch to tell what a request costs: refusals
cost time too, and a service that is bounded by its places is full before the machine is."""

RATE_LOW = (2.0, 20.0)
"""Requests a second of the first look at a route: as few as say something in the time that there is."""

FIRST_LOOK_S = 5.0
"""At a route, to know roughly what a request costs."""

CONCURRENCIES = (1, 2, 4, 8, 16)

CROWD = 2.0
"""Times the predicted capacity that would come while throughput is measured at a concurrency."""

SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 1.1, 1.3)
"""Of the predicted capacity: up to the knee, and twice beyond, for what is answered there is the capacity."""

SHARES_MORE = (1.6, 2.0, 2.5)
"""Where all of that was answered: the capacity is looked for, so that the error can be told."""

DOUBTS_MIN, DOUBTED_SHARE = 2, 0.2
"""From so many doubtful stretches on, and such a share of all, the whole is doubted."""

SLOWER_SHARE = 0.1
"""Of the throughput, that may be missing later: a capacity is to be predicted as exactly as that."""

RATE_MAX = 5_000.0
"""Requests a second that one generator can send: a core of its own does so many."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How long, and what may be sent."""

    stretch_s: float = 15.0
    """Of each stretch of load."""
    with_writes: bool = False
    write_share: float = 0.2


Tell = Callable[[str], None]
Simulate = Callable[[SystemModel, Load], Mapping[str, float]]


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
    # Writes first: pages are measured with what they are going to show, not on a system that is still empty.
    actions = sorted(work.aim.workload.actions, key=lambda each: each.kind is Kind.READ)
    routes = [await work.route(action) for action in actions]
    return await work.finish(routes, at=at, machine=machine)


class _Measuring:
    def __init__(self, spec: Spec, wishes: Wishes, clock: Clock, tell: Tell, simulate: Simulate | None) -> None:
        self._spec = spec
        self._wishes = wishes
        self._clock = clock
        self._tell = tell
        self._simulate = simulate
        self._cores = float(cores_count())
        self._background_cores = 0.0
        self._cores_apart = 0.0
        self._notes: list[str] = []
        self._doubts: list[str] = []
        self._shots_count = 0
        self._readings: list[tuple[tuple[float, float], tuple[float, float]]] = []
        """Of each route: (utilization, seconds of a core) at the two loads at which costs are read."""
        self._crowds: list[tuple[str, Shot]] = []
        """(route, each stretch in which it was alone, and the machine busy)."""
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

    async def route(self, action: Action) -> RouteCost:
        """One action alone: slowly for its latency, faster for its cost."""
        first = await self._alone(action, RATE_LOW[0] * 2, min(FIRST_LOOK_S, self._wishes.stretch_s))
        cost_s = first.cost_s
        low = min(max(LOW_UTILIZATION * self._free_cores / cost_s, RATE_LOW[0]), RATE_LOW[1]) if cost_s else RATE_LOW[1]
        slow = await self._alone(action, low, self._wishes.stretch_s)
        busy = await self._busy(action, low, cost_s)
        mean_s, scv = winsorized(slow.latencies_s)
        for shot in (slow, busy):
            if shot.doubt:
                self._notes.append(f"{action.name} at {shot.rate_per_s:.3g}/s: {shot.doubt}")
        self._tell(
            f"{action.name}: {mean_s * 1000:.2f} ms, {sum(busy.cpu_s.values()) * 1000:.2f} ms of a core "
            f"({slow.count} answers at {low:.3g}/s, {busy.count} at {busy.rate_per_s:.3g}/s)"
        )
        return RouteCost(
            name=action.name,
            kind=action.kind.value,
            weight=action.weight,
            count=slow.count,
            rate_per_s=low,
            mean_s=mean_s,
            scv=scv,
            cpu_s={**busy.cpu_s, VISITORS: busy.generator_cpu_s},
            entry=entry_of(self._spec, action.path),
            utilization=self._utilization(busy),
        )

    async def _busy(self, action: Action, low: float, cost_s: float) -> Shot:
        """The fastest stretch that was answered, of which the costs are taken. `cost_s`: of a core, asked slowly."""
        busy_rate = min(RATE_MAX, BUSY_UTILIZATION * self._free_cores / cost_s) if cost_s > 0 else RATE_LOW[1]
        busy = full = await self._alone(action, max(busy_rate, low), self._wishes.stretch_s / 2)
        self._crowds.append((action.name, busy))
        for _ in range(STEPS_MAX):
            rate = min(RATE_MAX, FULL_UTILIZATION * self._free_cores / full.cost_s) if full.cost_s > 0 else 0.0
            if self._utilization(full) >= NEARLY_FULL or rate <= full.rate_per_s:
                break
            more = await self._alone(action, rate, self._wishes.stretch_s / 2)
            if more.ok_rate < REACHED_SHARE * more.rate_per_s or more.failed_share > FAILED_SHARE_MAX:
                break
            full = more
            self._crowds.append((action.name, full))
        if full is not busy:
            less, more_busy = ((self._utilization(shot), shot.cost_s) for shot in (busy, full))
            self._readings.append((less, more_busy))
        return full

    def _utilization(self, shot: Shot) -> float:
        """Of the cores that are free, what the requests of a stretch took, those who send them included."""
        return min(1.0, shot.ok_rate * shot.cost_s / self._free_cores)

    async def finish(self, routes: Sequence[RouteCost], *, at: str, machine: str) -> Calibration:
        idle_cost = idle_cost_of(self._readings)
        # Latencies are those of the slow stretches already; costs were read in the busy ones.
        slow = [
            replace(each, mean_s=route.mean_s)
            for route, each in zip(routes, costs_at(routes, idle_cost, LOW_UTILIZATION), strict=True)
        ]
        known, notes = without_waiting(self._spec, slow, cores=self._free_cores, replicas=self.aim.parts.replicas)
        self._notes += notes
        self._cores_apart = self._apart(known, idle_cost)
        top = capacity(self.model_of(costs_at(known, idle_cost, 1.0)))
        contention = await self._contention(top)
        verified, reached = await self._verify(known, idle_cost, top)
        return Calibration(
            at=at,
            machine=machine,
            cores=int(self._cores),
            background_cores=self._background_cores,
            write_share=self._write_share,
            routes=known,
            memory_bytes=memory_of_replicas(self.aim.parts),
            contention=contention,
            capacity_predicted=top,
            capacity_measured=reached,
            verified=tuple(verified),
            notes=tuple(self._notes),
            idle_cost=idle_cost,
            cores_apart=self._cores_apart,
            doubt=slower_of(contention, reached) or doubt_of(self._doubts, self._shots_count),
        )

    def _apart(self, routes: Sequence[RouteCost], idle_cost: float) -> float:
        by_name = {route.name: route for route in routes}
        crowds = []
        for name, shot in self._crowds:
            busy = shot.ok_rate * shot.cost_s
            (alone,) = costs_at([by_name[name]], idle_cost, busy / self._free_cores)
            crowds.append((busy, shot.cost_s, shot.mean_s - alone.mean_s))
        return apart_of(crowds, self._free_cores)

    def model_of(self, routes: Sequence[RouteCost]) -> SystemModel:
        mix = Mix.of(routes, self._write_share)
        return measured_model(
            self._spec,
            routes,
            mix,
            cores=self._free_cores,
            replicas=self.aim.parts.replicas,
            visitors=True,
            cores_apart=self._cores_apart,
        ).model

    async def _contention(self, top: float) -> Contention | None:
        """Throughput with so many in flight: there is always somebody who would come, and the generator lets nobody in
        beyond that number."""
        points = []
        for count in CONCURRENCIES:
            rate = min(RATE_MAX, CROWD * top + 200.0)
            shot = await self._mix(rate, self._wishes.stretch_s / 2, in_flight_max=count)
            present = shot.ok_rate * shot.mean_s
            if present > 0:
                points.append((max(1.0, present), shot.ok_rate))
            self._tell(f"{count} at once: {shot.ok_rate:.4g}/s, {shot.mean_s * 1000:.3g} ms each")
        if len({round(users, 3) for users, _ in points}) < POINTS_MIN:
            return None
        found = fit(points)
        peak = found.law.peak_users if math.isfinite(found.law.peak_users) else None
        return Contention(tuple(points), found.rate_of_one, found.contention, found.coherency, peak)

    async def _verify(
        self, routes: Sequence[RouteCost], idle_cost: float, top: float
    ) -> tuple[list[Verified], float | None]:
        """(each load, the most that was ever answered)."""
        verified: list[Verified] = []
        most = 0.0
        for share in (*SHARES, *SHARES_MORE):
            if share in SHARES_MORE and _is_reached(verified):
                break
            rate = min(RATE_MAX, share * top)
            if verified and rate <= verified[-1].rate_per_s:
                break  # no more than this can be sent from here
            shot = await self._mix(rate, self._wishes.stretch_s)
            most = max(most, shot.ok_rate)
            model = self.model_of(costs_at(routes, idle_cost, utilization_at(idle_cost, rate / top)))
            found = _verified(model, rate, rate / top, shot, self._simulate)
            verified.append(found)
            self._tell(_told(found))
        if not _is_reached(verified):
            self._notes.append(f"the capacity was not reached: all of {verified[-1].rate_per_s:.4g}/s were answered")
        return verified, most if _is_reached(verified) else None

    async def _alone(self, action: Action, rate: float, duration_s: float) -> Shot:
        share = 1.0 if action.kind is Kind.WRITE else 0.0
        shot = await shoot(self.aim, rate, duration_s, write_share=share, only=action, clock=self._clock)
        return self._counted(shot)

    async def _mix(self, rate: float, duration_s: float, in_flight_max: int = 2_000) -> Shot:
        shot = await shoot(
            self.aim, rate, duration_s, write_share=self._write_share, in_flight_max=in_flight_max, clock=self._clock
        )
        # Beyond its capacity a system leaves the generator no core: its lateness there is no stranger's doing.
        return self._counted(shot) if shot.failed_share == 0 and shot.ok_rate > 0.9 * shot.rate_per_s else shot

    def _counted(self, shot: Shot) -> Shot:
        self._shots_count += 1
        if shot.doubt:
            self._doubts.append(shot.doubt)
        return shot

    @property
    def _write_share(self) -> float:
        kinds = {each.kind for each in self.aim.workload.actions}
        if Kind.WRITE not in kinds:
            return 0.0
        return self._wishes.write_share if Kind.READ in kinds else 1.0

    @property
    def _free_cores(self) -> float:
        return max(0.1, self._cores - self._background_cores)


def slower_of(contention: Contention | None, reached: float | None) -> str:
    """A doubt when less was answered at last than before, with a few at once: what a request costs has changed while it
    was measured, and no prediction from before can hold. `reached`: the most of the stretches that were verified."""
    most = max((rate for _, rate in contention.points), default=0.0) if contention is not None else 0.0
    if reached is None or reached >= (1 - SLOWER_SHARE) * most:
        return ""
    return (
        f"{most:.4g}/s were answered with a few at once, and minutes later no more than {reached:.4g}/s: the machine "
        "got slower meanwhile, or the application does when it is crowded"
    )


def doubt_of(doubts: Sequence[str], shots_count: int) -> str:
    """What several stretches say against the whole: costs are taken from the first ones, so what moves them moves every
    prediction. One stretch alone may be a coincidence."""
    if len(doubts) < max(DOUBTS_MIN, DOUBTED_SHARE * shots_count):
        return ""
    return (
        f"{len(doubts)} of {shots_count} stretches of load are doubtful (the last: {doubts[-1]}): measure again when "
        "nobody else uses the machine"
    )


def entry_of(spec: Spec, path: str) -> str:
    """The service that a request for this path comes to: that of the longest route that is a prefix of it."""
    public: dict[str, ServiceSpec] = {name: each for name, each in spec.services.items() if each.route}
    fitting = [name for name, each in public.items() if f"{path}/".startswith(f"{each.route.rstrip('/')}/")]
    return max(fitting or list(public), key=lambda name: len(public[name].route))


def _is_reached(verified: Sequence[Verified]) -> bool:
    return any(each.measured_rate < 0.97 * each.rate_per_s for each in verified)


def _verified(model: SystemModel, rate: float, share: float, shot: Shot, simulate: Simulate | None) -> Verified:
    load = Load(rate)
    theory: dict[str, float] | None
    try:
        prediction = predict(model, load)
        theory = {"mean": prediction.mean_s}
        theory |= {name: prediction.quantile_s(q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    except Unstable:
        theory = None
    simulated = dict(simulate(model, load)) or None if simulate is not None and theory is not None else None
    return Verified(
        rate_per_s=rate,
        share_of_capacity=share,
        measured_rate=shot.ok_rate,
        measured=shot.figures(),
        theory=theory,
        simulated=simulated,
        failed_share=shot.failed_share,
        doubt=shot.doubt,
        cpu_s={**shot.cpu_s, VISITORS: shot.generator_cpu_s},
        cpu_s_predicted={each.name: model.visits(each.name) * model.work(each.name).cpu_s for each in model.stations},
    )


def _told(found: Verified) -> str:
    words = [f"{found.rate_per_s:.4g}/s ({found.share_of_capacity:.0%}): {found.measured_rate:.4g}/s answered"]
    if (error := found.cost_error) is not None:
        words.append(f"{found.compared_s * 1000:.3g} ms of a core (by the routes {error:+.0%})")
    for name in ("mean", "p95"):
        if name in found.measured:
            words.append(f"{name} {found.measured[name] * 1000:.3g} ms")
        if (error := found.error("theory", name)) is not None:
            words[-1] += f" (theory {error:+.0%})"
        if (error := found.error("simulated", name)) is not None:
            words[-1] += f" (simulated {error:+.0%})"
    return ", ".join(words)
