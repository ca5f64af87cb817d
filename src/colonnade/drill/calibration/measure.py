"""Goes through a calibration on a running system: idle, each request alone, all of them evenly; then the mix.

1. *Idle*: what is busy while nobody asks.
2. *Each route alone* (`routes.py`): slowly, and in crowds.
3. *All of them, each as much work as every other*: how much is answered, and how long each takes at shares of that.
4. *The mix*, which was not used before: the same of that.

Most of that is done in rounds, and each round measures both what is predicted from and what is predicted: a machine
that changes its speed from one quarter of an hour to the next (virtual ones do, by a third) is the same for both. How
much it changed in between is told.

Reads only, unless writes are allowed: it is the user's system. Every stretch is bounded, and so is the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import SpecError
from colonnade.core.processor import cores_count
from colonnade.drill.calibration.conclude import (
    Known,
    Observed,
    contention_in,
    distance_of,
    known_of,
    verified_of,
)
from colonnade.drill.calibration.parts import memory_of_replicas, parts_of, read_parts
from colonnade.drill.calibration.routes import (
    ANSWERS_MIN,
    CROWD,
    RATE_MAX,
    Tell,
    answered,
    crowd_again,
    full_s,
    look_at,
)
from colonnade.drill.calibration.sending import Sender
from colonnade.drill.calibration.shot import IN_FLIGHT_MAX, Aim, Shot
from colonnade.drill.calibration.verify import CHANGED_SHARE, CHANGED_TOLD, Simulate, doubt_of, told
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.target import resolve_target
from colonnade.drill.trial import try_out
from colonnade.drill.workloads import is_guessed, workload_of
from colonnade.planning.by_routes import capacity_of
from colonnade.planning.calibration import KERNEL, Calibration
from colonnade.spec.model import Spec

SHARES = ((0.2, 0.3), (0.4, 0.4), (0.6, 0.6), (0.8, 1.0))
"""Of a mix's measured capacity; and how long in each round, in usual stretches. The busier, the more chance there is in
what is measured: at 85 % busy a queue of 5 ms needs half a second to forget what it was."""

STRETCHES_MAX = 2.0
"""So long a load may last, in usual stretches, for some answers of a kind that is heavy, and so comes rarely."""

DISTANCE_TOLD = 0.1
"""Between two mixes, in shares of requests that would have to be of other kinds."""

STRANGERS_TOLD = 0.15
"""Of all cores, busy while nobody asks."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How long, and what may be sent."""

    stretch_s: float = 15.0
    """Of a stretch of load, from which the others follow."""
    rounds: int = 6
    """Many short ones rather than a few long ones: a machine may be slower by a third for half a minute, and that is
    then in one of them, which does not count."""
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
    for _ in range(wishes.rounds):
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


class _Measuring:
    """Sends the stretches, and keeps what came of them in `seen`."""

    def __init__(self, spec: Spec, wishes: Wishes, sender: Sender, clock: Clock, tell: Tell) -> None:
        self.notes: list[str] = []
        self._wishes = wishes
        self._sender = sender
        self._clock = clock
        self._tell = tell
        self._cores = sender.free_cores
        self._background_cores = 0.0
        self.seen = Observed(
            spec, sender.aim.parts.replicas, self._share_of_kinds(wishes.write_share), sender.free_cores
        )

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
        self.seen.free_cores = self._sender.free_cores = max(0.1, self._cores - self._background_cores)
        if self._background_cores > STRANGERS_TOLD * self._cores:
            self.notes.append(
                f"{self._background_cores:.2f} of {self._cores:g} cores were busy while nobody asked: others use this "
                "machine, and what they do moves every figure"
            )

    async def round(self) -> None:
        """Every route, all of them evenly, and then the mix."""
        stretch_s, alone = self._wishes.stretch_s, self.seen.alone
        # Writes first: pages are measured with what they are going to show, not on a system that is still empty.
        for action in sorted(self._sender.aim.workload.actions, key=lambda each: each.kind is Kind.READ):
            if action.name not in alone:
                alone[action.name] = await look_at(self._sender, action, stretch_s, self._tell)
            await crowd_again(self._sender, alone[action.name], stretch_s, self._tell)
        most = max(max(each.crowds) for each in alone.values())
        await self._evenly(most)
        await self._mixed(most)

    async def _evenly(self, most: int) -> None:
        """A mix that is not the one to be predicted: each kind as often as the system answers it alone."""
        seen, stretch_s = self.seen, self._wishes.stretch_s
        capacities = {name: each.capacity_per_s for name, each in seen.alone.items()}
        total = math.fsum(capacities.values())
        if not seen.even_shares:
            seen.even_shares = {name: each / total for name, each in capacities.items()}
        send = partial(self._sender.mix, write_share=self._write_share_of(seen.even_shares), weights=seen.even_shares)
        full = await send(min(RATE_MAX, CROWD * total / len(capacities)), full_s(stretch_s), in_flight_max=most)
        seen.even.append(answered(full, "the mix of all"))
        self._tell(f"each as much work as every other, {most} at once: {full.ok_rate:.4g}/s")
        rarest = min(seen.even_shares.values())
        for share, stretches in SHARES:
            rate = share * seen.even_capacity
            enough_s = min(ANSWERS_MIN / (rate * rarest), STRETCHES_MAX * stretch_s)
            shot = answered(await send(rate, max(stretches * stretch_s, enough_s)), "the mix of all")
            seen.even_loads.setdefault(share, []).append(shot)
            self._tell(f"{shot.rate_per_s:.4g}/s: {shot.mean_s * 1000:.3g} ms")

    async def _mixed(self, most: int) -> None:
        stretch_s = self._wishes.stretch_s
        predicted = capacity_of(self._known().mix)
        full = await self._mix(min(RATE_MAX, CROWD * predicted), full_s(stretch_s), in_flight_max=most)
        self.seen.full.append(answered(full, "the mix"))
        self._tell(f"the mix, {most} at once: {full.ok_rate:.4g}/s answered (by the routes {predicted:.4g}/s)")
        for share, stretches in SHARES:
            shot = await self._mix(share * self.seen.capacity, stretches * stretch_s)
            self.seen.loads.setdefault(share, []).append(shot)
            self._tell(f"{shot.rate_per_s:.4g}/s: {shot.mean_s * 1000:.3g} ms")

    async def _mix(self, rate: float, duration_s: float, in_flight_max: int = IN_FLIGHT_MAX) -> Shot:
        return await self._sender.mix(rate, duration_s, write_share=self.seen.write_share, in_flight_max=in_flight_max)

    def _known(self) -> Known:
        return known_of(self.seen, [action.name for action in self._sender.aim.workload.actions])

    def result(self, *, at: str, machine: str, simulate: Simulate | None) -> Calibration:
        """What all rounds say."""
        seen, known, verified = self.seen, self._known(), []
        for each in verified_of(seen, known, simulate):
            verified.append(each)
            self._tell(told(each))
        return Calibration(
            at=at,
            machine=machine,
            cores=int(self._cores),
            background_cores=self._background_cores,
            write_share=seen.write_share,
            routes=known.routes,
            memory_bytes=memory_of_replicas(self._sender.aim.parts),
            contention=contention_in(seen, known),
            capacity_predicted=capacity_of(known.mix),
            capacity_measured=seen.capacity,
            verified=tuple(verified),
            notes=(*self.notes, *known.notes, *self._notes(distance_of(seen, known))),
            mixing=known.mixing,
            idle_cost=known.idle_cost,
            cores_apart=known.cores_apart,
            doubt=self._doubt(),
        )

    def _notes(self, distance: float) -> Iterator[str]:
        """On what is no reason to doubt the whole."""
        if distance < DISTANCE_TOLD:
            yield (
                "the mix is nearly the one in which its kinds were measured, each as much work as every other: that it "
                "is predicted well says little about other mixes"
            )
        for alone in self.seen.alone.values():
            yield from alone.notes
        if self._sender.again_count:
            yield f"stretches of load were doubtful, and sent again: {self._sender.again_count} times"
        change = self.seen.change
        if CHANGED_TOLD < abs(change) <= CHANGED_SHARE:
            words = "fewer" if change < 0 else "more"
            yield f"{abs(change):.0%} {words} were answered in the last rounds than in the first"

    def _doubt(self) -> str:
        """Against the whole."""
        if abs(change := self.seen.change) > CHANGED_SHARE:
            return f"the machine changed its speed by {change:+.0%} from the first rounds to the last"
        return doubt_of(self._sender.doubts, self._sender.judged_count)

    def _write_share_of(self, shares: Mapping[str, float]) -> float:
        """Of a mix in which each route has its share."""
        writes = [each.action.name for each in self.seen.alone.values() if each.action.kind is Kind.WRITE]
        return self._share_of_kinds(math.fsum(shares[name] for name in writes))

    def _share_of_kinds(self, both: float) -> float:
        """`both` where there are reads and writes, else exactly none or all."""
        kinds = {each.kind for each in self._sender.aim.workload.actions}
        if Kind.WRITE not in kinds:
            return 0.0
        return both if Kind.READ in kinds else 1.0
