"""A day of load on a service that scales by itself: twenty-four hours simulated, and their shape in five minutes live.

In the simulation three ways to choose the number of replicas meet the same trace: Colonnade's decisions; the Kubernetes
HPA's published rule with its defaults; and a clairvoyant that knows the rate of every moment and keeps the fewest that
hold the objective. Cost is seconds of replicas, from start to end.
"""

from __future__ import annotations

import asyncio
import math
import re
import statistics
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from blog import Scratch
from figures import distribution
from scaling import APP, CALM_PER_S, DECLARATION, STEP_PER_S, count_in

from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.ledger import Operation, Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.summary import percentile
from colonnade.drill.load.target import resolve_target
from colonnade.drill.load.workload import reads_of
from colonnade.planning.erlang import wait_s_quantile
from colonnade.planning.model import Station, Work
from colonnade.planning.simulation.arrivals import Trace
from colonnade.planning.simulation.distributions import Sample
from colonnade.planning.simulation.outcome import Outcome as Simulated
from colonnade.planning.simulation.outcome import steps_of
from colonnade.planning.simulation.scenario import Observation, Scaler, Scaling, Scenario, Traits, of_one
from colonnade.planning.simulation.simulate import simulate
from colonnade.scaling.simulated import SimulatedScaling
from colonnade.scaling.state import ScalingPolicy

SERVICE_S = 0.05
THREADS = 2
REPLICAS = (2, 20)
OBJECTIVE_S = 0.25
PEAK_PER_S = 200.0
SEED = 1

STARTUPS_S: tuple[float, ...] = (0.36, 0.61, 0.75, 0.91)
"""Seconds from a decision until its replica serves: quartiles and worst of what `measure_live` found on two cores."""

POLICY = ScalingPolicy("web", *REPLICAS, THREADS, 0.75, OBJECTIVE_S, 60.0)

HOURS: tuple[float, ...] = (
    *(0.10, 0.07, 0.05, 0.05, 0.06, 0.10, 0.22, 0.45, 0.70, 0.85, 0.92, 0.97),
    *(0.88, 0.90, 0.95, 0.93, 0.88, 0.82, 0.80, 0.88, 1.00, 0.80, 0.45, 0.20),
)
"""Share of the peak at each full hour: quiet at night, a morning that rises, a dip at noon, a second peak in the
evening. Made up, in the shape that web sites of one time zone publish."""


def day_trace(random: Random, *, peak_per_s: float = PEAK_PER_S, step_s: float = 60.0) -> Trace:
    """A rate per minute: the hours' shares with straight lines between, 5 % of noise on each minute, and six bursts of
    two to ten minutes to half as much again, that nothing announces."""
    rates = []
    for minute in range(24 * 60 + 1):
        hour, share = divmod(minute / 60, 1.0)
        here, there = HOURS[int(hour) % 24], HOURS[(int(hour) + 1) % 24]
        rates.append(peak_per_s * (here * (1 - share) + there * share) * random.gauss(1.0, 0.05))
    for _ in range(6):
        begin, length = random.randrange(7 * 60, 22 * 60), random.randint(2, 10)
        for minute in range(begin, begin + length):
            rates[minute] *= 1.5
    return Trace([max(0.0, rate) for rate in rates], step_s)


# The scalers


class HorizontalPodAutoscaler:
    """The rule of the Kubernetes documentation ("Horizontal Pod Autoscaling", algorithm details): every 15 s
    ceil(current × metric / target), nothing within a tolerance of 10 %, down to the highest recommendation of the last
    300 s, up by at most the larger of 4 pods and 100 % in 15 s (default scaling policies).

    The metric is the mean share of busy places over the 15 s before the last scrape of the metrics server (every 15 s):
    kinder than CPU, which says little about an application that waits. The target is the same as ours.
    """

    SYNC_S, SCRAPE_S, TOLERANCE, DOWN_WINDOW_S = 15.0, 15.0, 0.1, 300.0

    def __init__(self, policy: ScalingPolicy = POLICY) -> None:
        self._policy = policy
        self._samples: list[float] = []
        self._metric: float | None = None
        self._scraped_at_s = self._synced_at_s = 0.0
        self._recommended: deque[tuple[float, int]] = deque()

    def __call__(self, seen: Observation) -> int | None:
        if seen.ready:
            self._samples.append(seen.in_service / (seen.ready * self._policy.threads))
        if seen.at_s - self._scraped_at_s >= self.SCRAPE_S and self._samples:
            self._metric, self._samples = statistics.fmean(self._samples), []
            self._scraped_at_s = seen.at_s
        if seen.at_s - self._synced_at_s < self.SYNC_S or self._metric is None:
            return None
        self._synced_at_s = seen.at_s
        return self._sync(seen, self._metric)

    def _sync(self, seen: Observation, metric: float) -> int:
        ratio = metric / self._policy.target_utilization
        # Pods that are not ready count as idle when scaling up: it is the ready ones' load over all of them.
        wanted = seen.desired
        if abs(ratio - 1.0) > self.TOLERANCE:
            wanted = (
                math.ceil(seen.ready * ratio)
                if seen.ready == seen.desired
                else max(seen.desired, math.ceil(seen.ready * ratio))
            )
        wanted = min(max(wanted, self._policy.replicas_min), self._policy.replicas_max)
        self._recommended.append((seen.at_s, wanted))
        while self._recommended[0][0] < seen.at_s - self.DOWN_WINDOW_S:
            self._recommended.popleft()
        if wanted < seen.desired:
            return min(seen.desired, max(count for _, count in self._recommended))
        return min(wanted, seen.desired + max(4, seen.desired))


class Clairvoyant:
    """Knows the rate of every moment and how long a start takes: at each tick the fewest replicas that hold the
    objective for the highest rate from now until the next one could be ready, by the exact model."""

    def __init__(self, trace: Trace, policy: ScalingPolicy = POLICY, ahead_s: float = 4.0) -> None:
        self._trace, self._policy, self._ahead_s = trace, policy, ahead_s

    def __call__(self, seen: Observation) -> int | None:
        ahead = range(int(self._ahead_s) + 1)
        return fewest(max(self._trace.rate(seen.at_s + each) for each in ahead), self._policy)


def fewest(rate: float, policy: ScalingPolicy) -> int:
    """Replicas within the bounds of which the 99th percentile of waiting and service is within the objective."""
    for count in range(policy.replicas_min, policy.replicas_max):
        # Equal service times: half the wait of exponential ones.
        wait_s = wait_s_quantile(count * policy.threads, rate, SERVICE_S, 0.99, scv_service=0.0)
        if wait_s + SERVICE_S <= OBJECTIVE_S:
            return count
    return policy.replicas_max


# The whole day, simulated


@dataclass(frozen=True, slots=True)
class Day:
    """One scaler's day."""

    name: str
    minutes: int
    minutes_within: int
    """Of which the 99th percentile was within the objective."""
    requests: int
    requests_within: int
    failed: int
    replica_hours: float
    changes: int
    reversals: int
    latency_s_max: float = field(default=0.0)

    def figures(self, clairvoyant_hours: float) -> dict[str, Any]:
        return {
            "objective_met_percent_of_minutes": round(100 * self.minutes_within / self.minutes, 2),
            "requests_within_objective_percent": round(100 * self.requests_within / self.requests, 3),
            "requests": self.requests,
            "failed": self.failed,
            "replica_hours": round(self.replica_hours, 1),
            "times_clairvoyant": round(self.replica_hours / clairvoyant_hours, 3),
            "changes": self.changes,
            "reversals": self.reversals,
            "slowest_s": round(self.latency_s_max, 2),
        }


def simulate_day(name: str, trace: Trace, scaler: Scaler, startups_s: Sequence[float], seed: int = SEED) -> Day:
    return judged(name, simulate(_scenario(trace, startups_s, scaler), seed))


def _scenario(trace: Trace, startups_s: Sequence[float], scaler: Scaler) -> Scenario:
    station = Station("web", REPLICAS[0], THREADS, queue_max=2_000, queue_timeout_s=10.0)
    traits = Traits(scaling=Scaling(lambda: scaler, Sample(startups_s)))
    return of_one(station, Work(SERVICE_S, 0.0), trace, trace.duration_s, traits)


def judged(name: str, outcome: Simulated) -> Day:
    minutes = outcome.quantile_by_interval(60.0, 0.99)
    latencies, station = outcome.latency_s, outcome.stations["web"]
    return Day(
        name=name,
        minutes=len(minutes),
        minutes_within=sum(latency_s <= OBJECTIVE_S for latency_s in minutes),
        requests=len(latencies),
        requests_within=sum(latency_s <= OBJECTIVE_S for latency_s in latencies),
        failed=outcome.lost.total(),
        replica_hours=station.replica_s / 3600,
        changes=len(station.changes) - 1,
        reversals=station.reversals(),
        latency_s_max=max((latency_s for latency_s in latencies if latency_s < math.inf), default=0.0),
    )


def measure(repetitions: int) -> dict[str, Any]:
    """One day per repetition, each with a trace of its own."""
    results: dict[str, Any] = {"startups_s": STARTUPS_S}
    for seed in range(SEED, SEED + (repetitions or 1)):
        trace = day_trace(Random(seed))  # noqa: S311 — replays, guards nothing
        startup_s = statistics.median(STARTUPS_S)
        scalers: dict[str, Scaler] = {
            "clairvoyant": Clairvoyant(trace),
            "colonnade": SimulatedScaling(POLICY, startup_s),
            "kubernetes_hpa": HorizontalPodAutoscaler(),
            "colonnade_at_target_80_percent": SimulatedScaling(replace(POLICY, target_utilization=0.8), startup_s),
        }
        days = {name: simulate_day(name, trace, scaler, STARTUPS_S, seed) for name, scaler in scalers.items()}
        hours = days["clairvoyant"].replica_hours
        most = 24.0 * max(fewest(rate, POLICY) for rate in trace.rates)
        results[f"seed_{seed}"] = {
            **{name: day.figures(hours) for name, day in days.items()},
            "always_the_most": {"replica_hours": most, "times_clairvoyant": round(most / hours, 3)},
        }
    results["step_of_4_times"] = {
        "colonnade": _step_figures(SimulatedScaling(POLICY, startup_s)),
        "kubernetes_hpa": _step_figures(HorizontalPodAutoscaler()),
    }
    return results


def _step_figures(scaler: Scaler) -> dict[str, float]:
    """40/s for five minutes, within a second 160/s, for ten: what the day does not have. Times are from when it has
    risen."""
    rates = [CALM_PER_S] * 300 + [STEP_PER_S] * 601
    outcome = simulate(_scenario(Trace(rates, 1.0), STARTUPS_S, scaler), SEED)
    station = outcome.stations["web"]
    seconds = outcome.quantile_by_interval(1.0, 0.99)
    late = [second for second, latency_s in enumerate(seconds) if latency_s > OBJECTIVE_S and second >= 300]
    ups = [at_s for at_s, _ in station.changes if at_s >= 300]
    return {
        "decided_s": ups[0] - 300 if ups else math.inf,
        "objective_met_again_s": float(late[-1] - 299) if late else 0.0,
        "seconds_outside_objective": float(len(late)),
        "failed": float(outcome.lost.total()),
        "slowest_s": round(max(latency_s for latency_s in outcome.latency_s if latency_s < math.inf), 2),
        "reversals": float(station.reversals()),
    }


# The day's shape, live

HOUR_S = 12.0
"""Twenty-four of these are under five minutes."""

LIVE_DOWN_AFTER = 'down_after = "5s"'
"""The least there is. A day that is 300 times faster than life falls faster than anything shrinks."""


def measure_live(repetitions: int) -> dict[str, Any]:
    """One run. The bounds and the application are those of the simulation."""
    del repetitions
    declaration = re.sub(r'down_after = "\w+"', LIVE_DOWN_AFTER, DECLARATION)
    declaration = re.sub(r"\bmax = \d+", f"max = {REPLICAS[1]}", declaration)
    with Scratch({"app.py": APP}, declaration) as scratch:
        scratch.up()
        wall_of = time.time() - time.monotonic()
        start_at, operations = asyncio.run(_load_day(scratch))
        status = scratch.status()
        events = scratch.events()
    day_s = HOUR_S * len(HOURS)
    changes = [(0.0, REPLICAS[0])]
    for event in events:
        if event["kind"] == "service_scaled" and (at_s := event["at_s"] - wall_of - start_at) < day_s:
            changes.append((max(0.0, at_s), count_in(event["message"])))
    moments = [number * 0.5 for number in range(int(day_s * 2))]
    ours = sum(steps_of(changes, moments)) / 2
    best = sum(fewest(PEAK_PER_S * HOURS[int(at // HOUR_S)], POLICY) for at in moments) / 2
    seconds = [
        within
        for second in range(int(day_s))
        if (within := _is_within(operations, start_at + second, start_at + second + 1)) is not None
    ]
    return {
        "objective_met_percent_of_seconds": round(100 * statistics.fmean(seconds), 2),
        "requests": len(operations),
        "within_objective_percent": round(100 * statistics.fmean(_is_good(each) for each in operations), 3),
        "failed": dict(Counter(str(each.error) for each in operations if each.outcome is not Outcome.OK)),
        "p99_ms": round(percentile(sorted(each.latency_s for each in operations), 0.99) * 1e3, 1),
        "replica_s": round(ours),
        "times_clairvoyant": round(ours / best, 2),
        "changes": len(changes) - 1,
        "reloads": status["gateway"]["reloads"],
        "startups_s": distribution(startups := startups_in(events), 2),
        "startups_s_quartiles": [round(each, 2) for each in statistics.quantiles(startups, n=4)],
    }


async def _load_day(scratch: Scratch) -> tuple[float, list[Operation]]:
    """Each hour is a load of its own, from a process that starts a little before; (moment of the start, all)."""
    target = await resolve_target(scratch.url)
    start_at = time.monotonic() + 2 * START_S

    async def hour(number: int, share: float) -> list[Operation]:
        begin = start_at + number * HOUR_S
        plan = Plan(
            url=scratch.url,
            rate_per_s=PEAK_PER_S * share,
            duration_s=HOUR_S,
            run_id=f"day{number}",
            write_share=0.0,
            seed=number,
            workload=reads_of(["/"]),
        )
        await asyncio.sleep(max(0.0, begin - START_S - time.monotonic()))
        return list((await run_load_apart(plan, target, start_at=begin)).operations)

    hours = await asyncio.gather(*(hour(number, share) for number, share in enumerate(HOURS)))
    return start_at, [operation for each in hours for operation in each]


def _is_within(operations: Sequence[Operation], begin: float, end: float) -> bool | None:
    """99 of 100 were answered within the objective; None when nobody asked."""
    found = [_is_good(each) for each in operations if begin <= each.intended_at < end]
    return statistics.fmean(found) >= 0.99 if found else None


def _is_good(operation: Operation) -> bool:
    return operation.outcome is Outcome.OK and operation.latency_s <= OBJECTIVE_S


def startups_in(events: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds from each decision to grow until each replica that it asked for was ready."""
    asked: dict[str, float] = {}
    found = []
    decided_s = 0.0
    for event in events:
        if event["kind"] == "service_scaled":
            decided_s = event["at_s"]
        elif event["kind"] == "replica_started":
            asked[event["subject"]] = decided_s or event["at_s"]
        elif event["kind"] == "replica_ready" and event["subject"] in asked:
            found.append(event["at_s"] - asked.pop(event["subject"]))
    return found
