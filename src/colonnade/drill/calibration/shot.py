"""One stretch of load on a running system, with what it cost each part: the unit that everything else is made of.

Sends by the drill's generator in a process of its own, reads processes before and after. Judges nothing.
"""

from __future__ import annotations

import os
import secrets
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from colonnade.core.clock import Clock
from colonnade.core.processor import cores_count
from colonnade.drill.calibration.parts import Parts, Reading, read_parts
from colonnade.drill.load.apart import run_load_apart
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import OWN_ERRORS, Outcome
from colonnade.drill.load.plan import OPERATIONS_MAX, Plan
from colonnade.drill.load.readback import known_ids_over_http
from colonnade.drill.load.summary import percentile
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import Action, Workload
from colonnade.planning.calibration import KERNEL

LAG_S_MAX = 0.025
"""Of the generator, for 99 of 100 requests: what a drill accepts as well. Beyond it the machine is too busy to say."""

IN_FLIGHT_MAX = 2_000

OTHERS_SHARE_MAX = 0.1
"""Of all cores, for whoever is neither the system nor the generator: with more, requests wait for strangers."""

STALL_FACTOR = 5.0
"""Times the mean of a usual moment, for the mean of the slowest one: queues do not come and go within a moment at loads
that can be predicted; a disk or a machine that stands still does."""

MOMENT_S, MOMENTS_MIN, MOMENT_ANSWERS_MIN = 1.0, 5, 20
"""A moment is a second, less in a short stretch, which has so many of them all the same; with fewer answers in each,
on average, one late answer would look like a halt."""

FAILED_SHARE_MAX = 0.05
"""Of what was sent: with more, the answers say little about those that got none."""

SETTLED_SHARE, SETTLED_S_MIN, SETTLED_SHARE_MAX = 0.2, 0.5, 0.5
"""Of a stretch at its beginning, at least half a second, but no more than half of it: connections open, caches fill,
queues grow to what they are going to be."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Where to send, and who answers."""

    url: str
    target: Target
    workload: Workload
    parts: Parts
    background: Mapping[str, float] = field(default_factory=dict)
    """Cores that each part uses while nobody asks: not what requests cost."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What came of it. Latencies are of the answers that came as expected, and all times after it
    has settled."""

    rate_per_s: float
    latencies_s: tuple[float, ...]
    """Ascending."""
    ok_rate: float
    """Answers a second, over the settled part."""
    failed_share: float
    """Of what was sent."""
    cpu_s: Mapping[str, float]
    """For each answer: seconds of a core at each part, background taken off."""
    generator_cpu_s: float
    """For each answer."""
    others_share: float
    """Of all cores, what was used by neither the system nor the generator."""
    lag_p99_s: float
    slowest_moment: float = 1.0
    """Mean latency of what was sent in it, as a multiple of the median moment's."""
    by_action_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The latencies of each kind of request, in no order."""

    @property
    def count(self) -> int:
        return len(self.latencies_s)

    @property
    def cost_s(self) -> float:
        """Seconds of a core for one request, all parts and the generator together."""
        return sum(self.cpu_s.values()) + self.generator_cpu_s

    def utilization(self, cores: float) -> float:
        """Of so many cores, what the requests took, those who sent them included."""
        return min(1.0, self.ok_rate * self.cost_s / cores)

    @property
    def mean_s(self) -> float:
        return sum(self.latencies_s) / len(self.latencies_s) if self.latencies_s else 0.0

    @property
    def doubt(self) -> str:
        """Why it is not to be believed; empty when it is."""
        if self.lag_p99_s > LAG_S_MAX:
            return (
                f"the machine was too busy: 1 of 100 requests was sent {self.lag_p99_s * 1000:.0f} ms late or more "
                f"({LAG_S_MAX * 1000:.0f} ms are accepted)"
            )
        if self.others_share > OTHERS_SHARE_MAX:
            return f"others used {self.others_share:.0%} of the machine ({OTHERS_SHARE_MAX:.0%} are accepted)"
        if self.failed_share > FAILED_SHARE_MAX:
            return f"{self.failed_share:.0%} of the requests failed ({FAILED_SHARE_MAX:.0%} are accepted)"
        if self.slowest_moment > STALL_FACTOR:
            return f"something stood still: one moment was {self.slowest_moment:.0f} times as slow as a usual one"
        return ""

    def figures(self) -> dict[str, float]:
        """`mean`, `p50`, `p95`, `p99` in seconds; empty without an answer."""
        if not self.latencies_s:
            return {}
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        return {"mean": self.mean_s, **{name: percentile(self.latencies_s, share) for name, share in shares.items()}}


def together(shots: Sequence[Shot]) -> Shot:
    """Stretches of the same load as one: the mean of each, the worst of what raises doubts."""
    names = shots[0].cpu_s

    def mean(values: Iterable[float]) -> float:
        return statistics.fmean(values)

    return Shot(
        rate_per_s=mean(each.rate_per_s for each in shots),
        latencies_s=tuple(sorted(value for each in shots for value in each.latencies_s)),
        ok_rate=mean(each.ok_rate for each in shots),
        failed_share=max(each.failed_share for each in shots),
        cpu_s={name: mean(each.cpu_s[name] for each in shots) for name in names},
        generator_cpu_s=mean(each.generator_cpu_s for each in shots),
        others_share=max(each.others_share for each in shots),
        lag_p99_s=max(each.lag_p99_s for each in shots),
        slowest_moment=max(each.slowest_moment for each in shots),
        by_action_s=_by_name((name, times_s) for each in shots for name, times_s in each.by_action_s.items()),
    )


def usual(shots: Sequence[Shot]) -> Shot:
    """Stretches of the same load as one, without the slowest and the fastest quarter, rounded down (one each of three):
    a moment in which the machine stood still counts in one round, and not in what is told of all. A mean of the others,
    no median: what a mix takes on average is the sum of what its kinds take, and nothing like it holds for medians."""
    ascending = sorted(shots, key=lambda each: each.mean_s)
    left_out = _left_out(len(shots))
    return together(ascending[left_out : len(shots) - left_out])


def usual_rate(shots: Sequence[Shot]) -> float:
    """Answers a second, of the same stretches: without the slowest and the fastest quarter, as above."""
    ascending = sorted(each.ok_rate for each in shots)
    left_out = _left_out(len(shots))
    return statistics.fmean(ascending[left_out : len(shots) - left_out])


def _left_out(count: int) -> int:
    """At either end."""
    return 1 if count == 3 else count // 4


async def shoot(
    aim: Aim,
    rate_per_s: float,
    duration_s: float,
    *,
    write_share: float,
    only: Action | None = None,
    in_flight_max: int = IN_FLIGHT_MAX,
    clock: Clock,
) -> Shot:
    """Send the workload's mix, or one action of it alone. Raises DriverUnavailable when nothing answers."""
    known_ids = await known_ids_over_http(aim.target, aim.workload)
    plan = Plan(
        url=aim.url,
        rate_per_s=min(rate_per_s, OPERATIONS_MAX / duration_s),
        duration_s=duration_s,
        run_id=secrets.token_hex(6),
        write_share=write_share,
        workload=_only(aim.workload, only, write_share),
        in_flight_max=in_flight_max,
        seed=secrets.randbelow(2**31),
    )
    task = run_load_apart(plan, aim.target, known_ids=known_ids)
    before, own_before_s, began_at = read_parts(aim.parts), _own_s(), clock.monotonic()
    history = await task
    used, passed_s = read_parts(aim.parts).since(before), clock.monotonic() - began_at
    return _shot(plan, history, used, _own_s() - own_before_s, passed_s, aim.background)


def settling_s(duration_s: float) -> float:
    """How long the beginning of a stretch does not count."""
    return min(SETTLED_SHARE_MAX * duration_s, max(SETTLED_S_MIN, SETTLED_SHARE * duration_s))


def _own_s() -> float:
    """Processor seconds of this process and of the generators that have ended."""
    return sum(os.times()[:4])


def _only(workload: Workload, only: Action | None, write_share: float) -> Workload:
    """The workload with one action. A read that needs an item stands beside a second one, which is never drawn, for
    the generator wants one that can always be sent."""
    actions: Sequence[Action] = workload.actions if only is None else [only]
    if only is not None and only.needs_id:
        spare = next(
            (each for each in workload.actions if each.kind is only.kind and not each.needs_id),
            replace(only, name="spare", path="/"),
        )
        actions = [only, replace(spare, weight=1e-9)]
    return replace(workload, actions=tuple(actions), read_own=())


def _shot(
    plan: Plan, history: History, used: Reading, own_s: float, passed_s: float, background: Mapping[str, float]
) -> Shot:
    """`own_s`: of the generator, and of reading what it wrote, which is long after many requests."""
    settled_at = history.started_at + settling_s(plan.duration_s)
    ended_at = history.started_at + plan.duration_s
    sent = [each for each in history.operations if each.error not in OWN_ERRORS]
    ok = [each for each in sent if each.outcome is Outcome.OK]
    settled = [each for each in ok if each.intended_at >= settled_at]
    done = sum(settled_at <= each.done_at <= ended_at for each in ok)
    lags = sorted(each.lag_s for each in sent if each.intended_at >= settled_at) or [0.0]
    answered = max(1, len(ok))
    others_s = used.machine_busy_s - sum(used.cpu_s.values()) - own_s
    # No more than is missing: some kernels book interrupts with whoever they interrupted as well.
    kernel_s = max(0.0, min(used.kernel_s, others_s))
    cpu_s = {**used.cpu_s, KERNEL: kernel_s}
    return Shot(
        rate_per_s=plan.rate_per_s,
        latencies_s=tuple(sorted(each.latency_s for each in settled)),
        ok_rate=done / (ended_at - settled_at),
        failed_share=1 - len(ok) / len(sent) if sent else 1.0,
        cpu_s={
            name: max(0.0, value - background.get(name, 0.0) * passed_s) / answered for name, value in cpu_s.items()
        },
        generator_cpu_s=history.cpu_s / answered,
        others_share=max(0.0, (others_s - kernel_s) / passed_s / cores_count()),
        lag_p99_s=percentile(lags, 0.99),
        slowest_moment=_slowest_moment(
            [(each.intended_at - settled_at, each.latency_s) for each in settled], ended_at - settled_at
        ),
        by_action_s=_by_name((each.action, (each.latency_s,)) for each in settled),
    )


def _by_name(times_s: Iterable[tuple[str, tuple[float, ...]]]) -> dict[str, tuple[float, ...]]:
    found: dict[str, list[float]] = {}
    for name, some_s in times_s:
        found.setdefault(name, []).extend(some_s)
    return {name: tuple(all_s) for name, all_s in found.items()}


def _slowest_moment(answers: Sequence[tuple[float, float]], duration_s: float) -> float:
    """`answers`: (seconds since the beginning, latency)."""
    moment_s = min(MOMENT_S, duration_s / MOMENTS_MIN)
    if len(answers) < MOMENT_ANSWERS_MIN * duration_s / moment_s:
        return 1.0
    moments: dict[int, list[float]] = {}
    for at_s, latency_s in answers:
        moments.setdefault(int(at_s / moment_s), []).append(latency_s)
    means = [statistics.fmean(each) for each in moments.values()]
    return max(means) / statistics.median(means)
