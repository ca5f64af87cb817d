"""Goes through a calibration on a running system: idle, each request alone, at every load; then the mix.

1. *Idle*: what is busy while nobody asks.
2. *Each route alone* (`routes.py`): slowly, in crowds, and at shares of its capacity.
3. *All of them, each as much work as every other*: what it costs that they are not alone.
4. *The mix*, which was not used before: how much of it is answered, and how long it takes at shares of that.

Most of that is done in rounds, and each round measures both what is predicted from and what is predicted: a machine
that changes its speed from one quarter of an hour to the next (virtual ones do, by a third) is the same for both. How
much it changed in between is told.

Reads only, unless writes are allowed: it is the user's system. Every stretch is bounded, and so is the whole.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import SpecError
from colonnade.core.processor import cores_count
from colonnade.drill.calibration.parts import memory_of_replicas, parts_of, read_parts
from colonnade.drill.calibration.routes import (
    CROWD,
    LOW_UTILIZATION,
    RATE_MAX,
    Alone,
    Tell,
    answered,
    contention_of,
    crowd_s,
    load_up,
    look_at,
    route_of,
)
from colonnade.drill.calibration.sending import Sender
from colonnade.drill.calibration.shot import IN_FLIGHT_MAX, Aim, Shot, middle, together
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
from colonnade.drill.trial import try_out
from colonnade.drill.workloads import is_guessed, workload_of
from colonnade.planning.by_routes import Part, capacity_of, mixing_of
from colonnade.planning.calibration import (
    KERNEL,
    Calibration,
    Mix,
    RouteCost,
    costs_at,
    measured_mix,
    measured_model,
    without_waiting,
)
from colonnade.planning.idle_cost import idle_cost_of, utilization_at
from colonnade.planning.model import SystemModel
from colonnade.planning.predict import apart_of
from colonnade.spec.model import Spec

ROUNDS = 3
"""The median of them counts: machines stand still at times, and change their speed."""

SHARES = ((0.2, 0.5), (0.4, 0.75), (0.6, 1.0), (0.8, 1.5))
"""Of the mix's measured capacity; and how long in each round, in usual stretches."""

STRANGERS_TOLD = 0.15
"""Of all cores, busy while nobody asks."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How long, and what may be sent."""

    stretch_s: float = 15.0
    """Of a stretch of load, from which the others follow."""
    with_writes: bool = False
    write_share: float = 0.2


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
    sender = Sender(await _aim_at(spec, status, wishes), clock, cores=float(cores_count()))
    work = _Measuring(spec, wishes, sender, clock, tell)
    if not wishes.with_writes and any(each.kind is Kind.WRITE for each in workload_of(spec).actions):
        work.notes.append("reads only: what writes cost was not measured (--with-writes measures it, and writes)")
    await work.idle()
    for _ in range(ROUNDS):
        await work.round()
    return work.result(at=at, machine=machine, simulate=simulate)


async def _aim_at(spec: Spec, status: Mapping[str, Any], wishes: Wishes) -> Aim:
    target = await resolve_target(status["url"])
    workload = workload_of(spec)
    actions = tuple(each for each in workload.actions if wishes.with_writes or each.kind is Kind.READ)
    if not actions:
        raise SpecError(
            "there is nothing to send",
            subject="drill.reads",
            hint='name pages of the application: [drill] reads = [{ path = "/about" }]',
        )
    workload = replace(workload, actions=actions, read_own=())
    workload = await try_out(workload, target, "calibrationtrial", is_guessed=is_guessed(spec))
    return Aim(status["url"], target, workload, parts_of(status))


@dataclass(frozen=True, slots=True)
class _Known:
    """What the routes say together."""

    routes: tuple[RouteCost, ...]
    mixing: float
    idle_cost: float
    cores_apart: float
    mix: tuple[Part, ...]


class _Measuring:
    def __init__(self, spec: Spec, wishes: Wishes, sender: Sender, clock: Clock, tell: Tell) -> None:
        self.notes: list[str] = []
        self._spec = spec
        self._wishes = wishes
        self._sender = sender
        self._clock = clock
        self._tell = tell
        self._cores = sender.free_cores
        self._background_cores = 0.0
        self._alone: dict[str, Alone] = {}
        self._even: list[Shot] = []
        """All routes, each as much work as every other, of each round."""
        self._even_shares: dict[str, float] = {}
        """How often each of them came then."""
        self._full: list[Shot] = []
        """The mix with as many inside as any route had, of each round."""
        self._loads: dict[float, list[Shot]] = {}
        """Share of the capacity that the first round measured → the mix, of each round."""

    async def idle(self) -> None:
        """What everything uses while nobody asks."""
        self._tell("idle: what is busy while nobody asks")
        aim = self._sender.aim
        before, began_at = read_parts(aim.parts), self._clock.monotonic()
        await self._clock.sleep(self._wishes.stretch_s / 3)
        used, passed_s = read_parts(aim.parts).since(before), self._clock.monotonic() - began_at
        background = {name: value / passed_s for name, value in {**used.cpu_s, KERNEL: used.kernel_s}.items()}
        self._background_cores = used.machine_busy_s / passed_s
        self._sender.aim = replace(aim, background=background)
        self._sender.free_cores = max(0.1, self._cores - self._background_cores)
        if self._background_cores > STRANGERS_TOLD * self._cores:
            self.notes.append(
                f"{self._background_cores:.2f} of {self._cores:g} cores were busy while nobody asked: others use this "
                "machine, and what they do moves every figure"
            )

    async def round(self) -> None:
        """Every route, and then the mix."""
        stretch_s = self._wishes.stretch_s
        # Writes first: pages are measured with what they are going to show, not on a system that is still empty.
        for action in sorted(self._sender.aim.workload.actions, key=lambda each: each.kind is Kind.READ):
            if action.name not in self._alone:
                self._alone[action.name] = await look_at(self._sender, action, stretch_s, self._tell)
            await load_up(self._sender, self._alone[action.name], stretch_s, self._tell)
        most = max(max(each.crowds) for each in self._alone.values())
        if len(self._alone) > 1:
            await self._evenly(most)
        await self._mixed(most)

    async def _evenly(self, most: int) -> None:
        """A mix that is not the one to be predicted: each kind as often as the system answers it alone."""
        if not self._even_shares:
            total = math.fsum(each.capacity_per_s for each in self._alone.values())
            self._even_shares = {name: each.capacity_per_s / total for name, each in self._alone.items()}
        rate = math.fsum(each.capacity_per_s for each in self._alone.values()) / len(self._alone)
        shot = await self._sender.mix(
            min(RATE_MAX, CROWD * rate),
            2 * crowd_s(self._wishes.stretch_s),
            write_share=self._write_share_of(self._even_shares),
            in_flight_max=most,
            weights=self._even_shares,
        )
        self._even.append(answered(shot, "the mix of all"))
        self._tell(f"each as much work as every other, {most} at once: {shot.ok_rate:.4g}/s")

    async def _mixed(self, most: int) -> None:
        stretch_s = self._wishes.stretch_s
        predicted = capacity_of(self._known().mix)
        full = await self._mix(min(RATE_MAX, CROWD * predicted), 2 * crowd_s(stretch_s), in_flight_max=most)
        self._full.append(answered(full, "the mix"))
        self._tell(f"the mix, {most} at once: {full.ok_rate:.4g}/s answered (by the routes {predicted:.4g}/s)")
        for share, stretches in SHARES:
            shot = await self._mix(share * self._full[0].ok_rate, stretches * stretch_s)
            self._loads.setdefault(share, []).append(shot)
            self._tell(f"{shot.rate_per_s:.4g}/s: {shot.mean_s * 1000:.3g} ms")

    async def _mix(self, rate: float, duration_s: float, in_flight_max: int = IN_FLIGHT_MAX) -> Shot:
        return await self._sender.mix(rate, duration_s, write_share=self._write_share, in_flight_max=in_flight_max)

    def _known(self) -> _Known:
        utilization = self._sender.utilization
        found = [self._alone[action.name] for action in self._sender.aim.workload.actions]
        routes = [route_of(self._spec, each, utilization(together(each.full))) for each in found]
        half = [each.crowds[2] for each in found]
        idle_cost = idle_cost_of(
            [
                ((utilization(less), less.cost_s), (route.utilization, math.fsum(route.cpu_s.values())))
                for less, route in zip(half, routes, strict=True)
            ]
        )
        # Latencies are those of the slow stretches already; costs were read in the busy ones.
        slow = [
            replace(each, mean_s=route.mean_s)
            for route, each in zip(routes, costs_at(routes, idle_cost, LOW_UTILIZATION), strict=True)
        ]
        known, notes = without_waiting(
            self._spec, slow, cores=self._sender.free_cores, replicas=self._sender.aim.parts.replicas
        )
        self.notes += [each for each in notes if each not in self.notes]
        mixing = self._mixing({each.name: each.capacity_per_s for each in known})
        mix = measured_mix(known, Mix.of(known, self._write_share), mixing)
        return _Known(known, mixing, idle_cost, self._apart(known, idle_cost), mix)

    def _mixing(self, alone: Mapping[str, float]) -> float:
        if not self._even:
            return 0.0
        return mixing_of(alone, self._even_shares, statistics.median(each.ok_rate for each in self._even))

    def _apart(self, routes: Sequence[RouteCost], idle_cost: float) -> float:
        """How far the cores are from one queue, by how long each route waited alone at its loads."""
        waits = []
        for route in routes:
            for seen in route.seen[1:]:
                (busy,) = costs_at([route], idle_cost, utilization_at(idle_cost, seen.utilization))
                cost_s = math.fsum(busy.cpu_s.values())
                waits.append((seen.utilization * route.capacity_per_s * cost_s, cost_s, seen.mean_s - busy.mean_s))
        return apart_of(waits, self._sender.free_cores)

    def result(self, *, at: str, machine: str, simulate: Simulate | None) -> Calibration:
        """What all rounds say."""
        known = self._known()
        self.notes += [note for alone in self._alone.values() for note in alone.notes]
        reached = statistics.median(each.ok_rate for each in self._full)
        verified = []
        for _, shots in sorted(self._loads.items()):
            shot = middle(shots)
            part = shot.rate_per_s / reached
            model = self._model_of(known, utilization_at(known.idle_cost, part))
            verified.append(verified_load(model, known.mix, part, shots, simulate))
            self._tell(told(verified[-1]))
        doubt = self._doubt()
        return Calibration(
            at=at,
            machine=machine,
            cores=int(self._cores),
            background_cores=self._background_cores,
            write_share=self._write_share,
            routes=known.routes,
            memory_bytes=memory_of_replicas(self._sender.aim.parts),
            contention=contention_of([(part.share, alone) for part, alone in self._shares(known)]),
            capacity_predicted=capacity_of(known.mix),
            capacity_measured=reached,
            verified=tuple(verified),
            notes=tuple(self.notes),
            mixing=known.mixing,
            idle_cost=known.idle_cost,
            cores_apart=known.cores_apart,
            doubt=doubt,
        )

    def _doubt(self) -> str:
        """Against the whole; and notes on what is no reason for that."""
        sender = self._sender
        if sender.again_count:
            self.notes.append(f"stretches of load were doubtful, and sent again: {sender.again_count} times")
        change = change_of(self._answered_in_rounds())
        if abs(change) > CHANGED_SHARE:
            return f"the machine changed its speed by {change:+.0%} from the first round to the last"
        if abs(change) > CHANGED_TOLD:
            words = "fewer" if change < 0 else "more"
            self.notes.append(f"{abs(change):.0%} {words} were answered in the last round than in the first")
        return doubt_of(sender.doubts, sender.judged_count)

    def _shares(self, known: _Known) -> list[tuple[Part, Alone]]:
        """Of the mix, with what was seen of each."""
        shares = Mix.of(known.routes, self._write_share).shares
        names = [route.name for route in known.routes if shares.get(route.name, 0.0) > 0]
        return [(part, self._alone[name]) for part, name in zip(known.mix, names, strict=True)]

    def _answered_in_rounds(self) -> list[dict[str, float]]:
        return [
            {"": self._full[index].ok_rate} | {name: alone.full[index].ok_rate for name, alone in self._alone.items()}
            for index in range(ROUNDS)
        ]

    def _model_of(self, known: _Known, utilization: float) -> SystemModel:
        routes = costs_at(known.routes, known.idle_cost, utilization, known.mixing)
        return measured_model(
            self._spec,
            routes,
            Mix.of(routes, self._write_share),
            cores=self._sender.free_cores,
            replicas=self._sender.aim.parts.replicas,
            visitors=True,
            cores_apart=known.cores_apart,
        ).model

    @property
    def _write_share(self) -> float:
        return self._share_of_kinds(self._wishes.write_share)

    def _write_share_of(self, shares: Mapping[str, float]) -> float:
        """Of a mix in which each route has its share."""
        writes = [each.action.name for each in self._alone.values() if each.action.kind is Kind.WRITE]
        return self._share_of_kinds(math.fsum(shares[name] for name in writes))

    def _share_of_kinds(self, both: float) -> float:
        """`both` where there are reads and writes, else exactly none or all."""
        kinds = {each.kind for each in self._sender.aim.workload.actions}
        if Kind.WRITE not in kinds:
            return 0.0
        return both if Kind.READ in kinds else 1.0
