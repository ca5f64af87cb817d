"""Each kind of request alone: asked slowly, and in crowds of one to many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from colonnade.core.errors import SpecError
from colonnade.drill.calibration.sending import Sender
from colonnade.drill.calibration.shot import Shot, usual, usual_rate
from colonnade.drill.load.workload import Action
from colonnade.planning.by_routes import Seen
from colonnade.planning.calibration import VISITORS, Contention, RouteCost, winsorized
from colonnade.planning.scalability import POINTS_MIN, fit
from colonnade.spec.model import ServiceSpec, Spec

LOW_UTILIZATION = 0.08
"""Of the machine, at which a request hardly ever meets another: its latency is the time that it takes."""

RATE_LOW = (2.0, 20.0)
"""Requests a second of the first look at a route: as few as say something in the time that there is."""

LOW_INSIDE = 0.2
"""Requests inside, on average, for what mostly waits: it has no share of the machine to go by."""

ANSWERS_MIN = 20
"""At least, of a stretch of one kind, on average: of two a second, a stretch of a second may see none."""

FIRST_LOOK_S = 3.0
"""At a route, to know roughly what a request costs."""

INSIDE = (1, 2, 5, 16, 64)
"""Requests of a kind at once. Where the last step was answered faster by MORE_SHARE, MORE_TIMES as many are tried as
well, up to INSIDE_MAX: work that waits for others than cores fills these only in crowds."""

MORE_SHARE, MORE_TIMES, INSIDE_MAX = 0.5, 3, 1_000

CROWD = 1.5
"""Times what will be answered, that comes: there is always somebody who would be let in, and few are turned away."""

FEW_GROWTH = 3.0
"""How much faster than the step before a few at once may be answered, with room: while each has a core of its own."""

CROWD_S_MIN, CROWD_SHARE, FULL_SHARE = 1.0, 0.2, 0.4
"""Seconds of a stretch with so many inside, at least, and the share of a usual stretch. With as many as ever twice as
long, for predictions rest on it: at 80 % a capacity that is 4 % off is a queue that is a fifth off."""

LOW_TOLD = 0.3
"""Of its capacity, from where on a route that is asked slowly is not asked slowly."""

RATE_MAX = 5_000.0
"""Requests a second that one generator can send: a core of its own does so many."""

GENERATOR_SHARE = 0.9
"""Of that: what is answered as often may be held back by it."""

Tell = Callable[[str], None]


@dataclass(slots=True)
class Alone:
    """What was seen of one kind of request."""

    action: Action
    slow: Shot
    crowds: dict[int, Shot] = field(default_factory=dict)
    """How many at once → the first round's stretch."""
    full: list[Shot] = field(default_factory=list)
    """As many at once as ever, of each round."""

    @property
    def capacity_per_s(self) -> float:
        return usual_rate(self.full)

    @property
    def notes(self) -> tuple[str, ...]:
        """What its user has to know of it."""
        found = []
        if self.slow.doubt:
            found.append(f"{self.action.name} at {self.slow.rate_per_s:.3g}/s: {self.slow.doubt}")
        if (utilization := self.slow.rate_per_s / self.capacity_per_s) > LOW_TOLD:
            found.append(
                f"{self.action.name} answers {self.capacity_per_s:.3g}/s at most: at {self.slow.rate_per_s:.3g}/s, as "
                f"slowly as it is asked, it is {utilization:.0%} busy, and what it takes alone is less than that"
            )
        if self.capacity_per_s >= GENERATOR_SHARE * RATE_MAX:
            found.append(
                f"{self.action.name} was answered as often as the generator sends ({RATE_MAX:g}/s): it may carry more, "
                "and so may the mix"
            )
        return tuple(found)


async def look_at(sender: Sender, action: Action, stretch_s: float, tell: Tell) -> Alone:
    """How long it takes when nobody else is there; and in crowds, as long as more of them are answered faster."""
    first = await sender.alone(action, RATE_LOW[0] * 2, min(FIRST_LOOK_S, stretch_s))
    cost_s = first.cost_s
    low = min(LOW_UTILIZATION * sender.free_cores / cost_s, RATE_LOW[1]) if cost_s else RATE_LOW[1]
    low = max(RATE_LOW[0], min(low, LOW_INSIDE / first.mean_s) if first.mean_s else low)
    found = Alone(action, answered(await sender.alone(action, low, _lasting_s(stretch_s / 2, low)), action.name))
    tell(f"{action.name}: {found.slow.mean_s * 1000:.2f} ms alone ({found.slow.count} answers at {low:.3g}/s)")
    rate, growth, counts = 1 / found.slow.mean_s if found.slow.mean_s > 0 else RATE_LOW[1], FEW_GROWTH, list(INSIDE)
    for count in counts:
        asked = min(RATE_MAX, CROWD * rate * growth)
        shot = found.crowds[count] = await sender.alone(action, asked, crowd_s(stretch_s), count)
        # Up to a few at once each has a core of its own, nearly: what is sent must not be what holds them back.
        growth = min(2.0, max(1.0, shot.ok_rate / rate)) if count >= INSIDE[2] else FEW_GROWTH
        rate = max(shot.ok_rate, RATE_LOW[0])
        is_growing = growth > 1 + MORE_SHARE and rate < RATE_MAX
        if count == counts[-1] and is_growing and MORE_TIMES * count <= INSIDE_MAX:
            counts.append(MORE_TIMES * count)
    told = ", ".join(f"{count}: {shot.ok_rate:.4g}/s" for count, shot in found.crowds.items())
    tell(f"{action.name}, so many at once: {told}")
    return found


async def crowd_again(sender: Sender, alone: Alone, stretch_s: float, tell: Tell) -> None:
    """Once more as many at once as ever."""
    most = max(alone.crowds)
    top = alone.capacity_per_s if alone.full else alone.crowds[most].ok_rate
    asked = min(RATE_MAX, CROWD * max(top, RATE_LOW[0]))
    full = await sender.alone(alone.action, asked, _lasting_s(full_s(stretch_s), asked), most)
    alone.full.append(answered(full, alone.action.name))
    tell(f"{alone.action.name}, {most} at once: {full.ok_rate:.4g}/s")


def answered(shot: Shot, what: str) -> Shot:
    """Raises SpecError for a stretch without an answer: nothing follows from it."""
    if not shot.latencies_s or shot.ok_rate <= 0:
        raise SpecError(
            f"{what} was not answered at {shot.rate_per_s:.3g}/s ({shot.failed_share:.0%} failed)",
            subject="plan --measure",
            hint="see `colonnade status` and `colonnade logs`, or leave it out of [drill]",
        )
    return shot


def crowd_s(stretch_s: float) -> float:
    return max(CROWD_S_MIN, CROWD_SHARE * stretch_s)


def full_s(stretch_s: float) -> float:
    return max(CROWD_S_MIN, FULL_SHARE * stretch_s)


def _lasting_s(duration_s: float, rate: float) -> float:
    return max(CROWD_S_MIN, duration_s, ANSWERS_MIN / rate)


def route_of(spec: Spec, alone: Alone, utilization: float, seen: tuple[Seen, ...]) -> RouteCost:
    """`utilization`: of the machine, with as many at once as ever."""
    full = usual(alone.full)
    mean_s, scv = winsorized(alone.slow.latencies_s)
    return RouteCost(
        name=alone.action.name,
        kind=alone.action.kind.value,
        weight=alone.action.weight,
        count=alone.slow.count,
        rate_per_s=alone.slow.rate_per_s,
        mean_s=mean_s,
        scv=scv,
        cpu_s={**full.cpu_s, VISITORS: full.generator_cpu_s},
        entry=entry_of(spec, alone.action.path),
        utilization=utilization,
        capacity_per_s=alone.capacity_per_s,
        seen=seen,
    )


def contention_of(routes: Sequence[tuple[float, Alone]]) -> Contention | None:
    """The universal scalability law through what the routes say of the mix, each with its share in it. With n of each
    inside in turn, a mix of them has 1/X = Σ share·1/X_r, and X·Σ share·T_r inside (Little)."""
    points = []
    for count in INSIDE:
        shots = [(share, alone.crowds[count]) for share, alone in routes]
        if all(shot.ok_rate > 0 for _, shot in shots):
            rate = 1 / math.fsum(share / shot.ok_rate for share, shot in shots)
            points.append((max(1.0, rate * math.fsum(share * shot.mean_s for share, shot in shots)), rate))
    if len({round(users, 3) for users, _ in points}) < POINTS_MIN:
        return None
    found = fit(points)
    peak = found.law.peak_users if math.isfinite(found.law.peak_users) else None
    return Contention(tuple(points), found.rate_of_one, found.contention, found.coherency, peak)


def entry_of(spec: Spec, path: str) -> str:
    """The service that a request for this path comes to: that of the longest route that is a prefix of it."""
    public: dict[str, ServiceSpec] = {name: each for name, each in spec.services.items() if each.route}
    fitting = [name for name, each in public.items() if f"{path}/".startswith(f"{each.route.rstrip('/')}/")]
    return max(fitting or list(public), key=lambda name: len(public[name].route))
