"""From what was seen of a load to the replicas that it needs, through the queueing model. Pure.

A rate counted over a second or two is a sample: 100 arrivals are 100 ± 10. To grow, the load must be too much even at
the low end of what the count allows; to shrink, little enough even at its high end. Between the two lies the band in
which a constant load changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from colonnade.planning.erlang import Objective, servers_needed
from colonnade.scaling.state import LOOKS_KEPT_S, Look, ScalingPolicy

UP_WINDOWS: tuple[tuple[float, float], ...] = ((1.0, 4.0), (2.0, 3.5), (8.0, 3.0), (LOOKS_KEPT_S, 2.0))
"""Growth is judged on each of these: seconds, and the standard deviations of the count that are taken for noise. A
second shows a step of several times, half a minute a slow rise that no second shows. The deviations are such that with
those of DOWN_NOISE a constant load has to be off by five of them to have a service shrink and grow again."""

RECENT_WINDOW_S = 2.0
"""A longer window may only ask for more when this one does as well: what is over needs nobody."""

DOWN_WINDOW_S = 10.0
"""What is needed at most is read from the mean of this. Over half a minute the band in which nothing changes is
narrower than what a load varies by from minute to minute: in a simulated day 790 changes instead of 87, and 6 % more
replicas."""

DOWN_NOISE = 2.0
"""Standard deviations by which that mean may be higher than it was counted."""

DRAIN_S = 5.0
"""A queue is to be gone this long after the replicas for it serve: the issue's bound on a step, chosen as one figure
for all services because it is the users' patience and not the application's speed."""

SERVICE_TIME_S_MIN = 0.0005
"""The gateway tells whole milliseconds; less than one counts as half of one."""

SPREAD_UNKNOWN = 2.0
"""An answer's own 99th percentile over its mean, where it was not measured: between 1 (all alike) and 4.6
(exponential). Chosen by feel; it only sets how much of the objective is left for waiting."""

LOOK_LATENESS_S = 0.12
"""A quarter of the usual distance between two looks."""

SAMPLES_MIN = 20
BUSY_NOISE = 3.0
"""For the service time that is read from busy places: so many samples at least, and their noise taken off. Samples
half a second apart of requests that take longer are no independent ones, hence three deviations and not two."""

PROCESSOR_BAND = 0.1
"""Growth from this share above the target utilization of a core, no shrinking until this share below it."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load over a window. `rate_low` and `rate_high` are what the count allows the true rate to be."""

    window_s: float
    arrivals: int
    rate: float
    rate_low: float
    rate_high: float
    service_time_s: float

    @property
    def busy(self) -> float:
        """Places that this load keeps busy (erlangs), by Little's law."""
        return self.rate * self.service_time_s

    def within(self, recent: Load) -> Load:
        """This load, but for what the last seconds no longer show."""
        return replace(self, rate=min(self.rate, recent.rate_high), rate_low=min(self.rate_low, recent.rate_high))


@dataclass(frozen=True, slots=True)
class Demand:
    """What a history of looks says about replicas. `stay` is None until it is known."""

    recent: Load | None = None
    grow: int = 0
    """Replicas that the load needs where it certainly needs more than are asked for; 0 where it does not."""
    grow_load: Load | None = None
    """The load that says so."""
    stay: int | None = None
    """Replicas that the load may need at most."""


def read_demand(looks: tuple[Look, ...], policy: ScalingPolicy) -> Demand:
    """Everything that decisions need to know of the load."""
    if len(looks) < 2:
        return Demand()
    time_s = service_time_s(looks)
    recent = load_over(looks, RECENT_WINDOW_S, 2.0, time_s)
    grow, grow_load = _grow(looks, policy, recent, time_s)
    return Demand(recent, grow, grow_load, _stay(looks, policy, time_s))


def _grow(
    looks: tuple[Look, ...], policy: ScalingPolicy, recent: Load | None, time_s: float
) -> tuple[int, Load | None]:
    look = looks[-1]
    most, because = 0, None
    for window_s, noise in UP_WINDOWS:
        load = load_over(looks, window_s, noise, time_s)
        if load is None:
            break
        if recent is not None and window_s > RECENT_WINDOW_S:
            load = load.within(recent)
        surely = replicas_for(
            load.rate_low, time_s, policy, backlog=backlog_when_ready(look, load.rate_low, load, policy)
        )
        if surely > look.desired:
            backlog = backlog_when_ready(look, load.rate, load, policy)
            count = replicas_for(load.rate, time_s, policy, backlog=backlog)
            if count > most:
                most, because = count, load
    return most, because


def _stay(looks: tuple[Look, ...], policy: ScalingPolicy, time_s: float) -> int | None:
    load = load_over(looks, DOWN_WINDOW_S, DOWN_NOISE, time_s)
    if load is None:
        return None
    by_load = replicas_for(load.rate_high, time_s, policy, backlog=looks[-1].queued)
    return max(by_load, replicas_for_cores(looks[-1], policy, 1 - PROCESSOR_BAND))


def load_over(looks: tuple[Look, ...], window_s: float, noise: float, time_s: float) -> Load | None:
    """The load between the newest look and one `window_s` before it; None when that is not known yet."""
    last = looks[-1]
    index = len(looks) - 2
    # Looks come a little early or late.
    while index > 0 and last.at_s - looks[index].at_s < window_s - LOOK_LATENESS_S:
        index -= 1
    first = looks[index]
    passed_s = last.at_s - first.at_s
    if passed_s < window_s * 0.75:
        return None
    arrivals = last.arrived_total - first.arrived_total
    low, high = count_bounds(arrivals, noise)
    return Load(passed_s, arrivals, arrivals / passed_s, low / passed_s, high / passed_s, time_s)


def count_bounds(count: int, noise: float) -> tuple[float, float]:
    """The means of which a Poisson count may be `count`, `noise` standard deviations off (the score interval)."""
    half = noise * math.sqrt(count + noise * noise / 4)
    middle = count + noise * noise / 2
    return max(0.0, middle - half), middle + half


def service_time_s(looks: tuple[Look, ...]) -> float:
    """Seconds that a request occupies a place.

    The gateway's mean is precise, and blind to what comes after an answer has begun. So by Little's law, from the
    places seen busy and the requests that left meanwhile, less the noise of such samples: the longer one counts.
    """
    first, last = looks[0], looks[-1]
    told_s = max(SERVICE_TIME_S_MIN, last.service_time_s)
    busy = sum([look.in_service for look in looks])
    inside = last.in_service + last.queued - first.in_service - first.queued
    left = last.arrived_total - first.arrived_total - inside
    if busy < SAMPLES_MIN or left < SAMPLES_MIN:
        return told_s
    busy_low, _ = count_bounds(busy, BUSY_NOISE)
    _, left_high = count_bounds(left, BUSY_NOISE)
    return max(told_s, busy_low / len(looks) * (last.at_s - first.at_s) / left_high)


def replicas_for(rate: float, service_s: float, policy: ScalingPolicy, *, backlog: float = 0.0) -> int:
    """The fewest replicas that serve `rate` within objective and target utilization, and a `backlog` besides within
    DRAIN_S; at least 1, at most one more than the policy allows (which says: too few)."""
    beyond = policy.replicas_max + 1
    # A queue is a rate of its own until it is gone.
    rate += backlog / DRAIN_S
    if rate * service_s > beyond * policy.threads:
        return beyond
    objective = Objective(wait_budget_s(service_s, policy), 0.99, policy.target_utilization)
    return min(beyond, math.ceil(servers_needed(rate, service_s, objective) / policy.threads))


def wait_budget_s(service_s: float, policy: ScalingPolicy) -> float:
    """What the objective leaves for waiting. An objective that service alone exceeds cannot be met by more replicas:
    then only the target utilization counts, and `decide` says so."""
    if policy.objective_p99_s is None:
        return math.inf
    left_s = policy.objective_p99_s - SPREAD_UNKNOWN * service_s
    return left_s if left_s > 0 else math.inf


def backlog_when_ready(look: Look, rate: float, load: Load, policy: ScalingPolicy) -> float:
    """The queue as it will be, at this rate, when those serve that start now or already do. It is what they have to
    drain, and a queue that grows as foreseen while they start asks for nobody in addition."""
    ready_in_s = look.ready_in_s if look.missing else look.startup_s
    served_rate = look.ready * policy.threads / load.service_time_s
    return look.queued + max(0.0, rate - served_rate) * ready_in_s


def replicas_for_cores(look: Look, policy: ScalingPolicy, band: float) -> int:
    """A Python process uses one core at most, so each replica should use no more than the target utilization of one."""
    if look.cores_used is None:
        return 1
    return max(1, math.ceil(look.cores_used / (policy.target_utilization * band) - 1e-9))
