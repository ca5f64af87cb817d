"""One service as discrete events: arrivals that come and go with the day, replicas with places, one queue in front.

What a formula for a steady load cannot say is here: replicas that take time to start, loads that change, a queue with a
bound. Whoever scales is called at every tick with what a real gateway would show, and answers with a number of
replicas. Requests are events (a heap of the moments at which places get free); nothing is averaged. Pure: its time is
its own, its randomness is passed in. What one should do about load is decided in `scaling`.
"""

from __future__ import annotations

import heapq
import math
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

ServiceTime = Callable[[Random], float]
"""Seconds of one request in its place."""

StartUp = Callable[[Random], float]
"""Seconds from the start of a replica until it serves."""

MEAN_OVER = 1_024
"""Answers over which the gateway's mean service time goes, as HAProxy's does."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Arrivals a second at 0, `step_s`, 2·`step_s` …, straight lines between, the last one holding on."""

    rates: Sequence[float]
    step_s: float = 60.0

    @property
    def duration_s(self) -> float:
        return (len(self.rates) - 1) * self.step_s

    def rate(self, at_s: float) -> float:
        index = int(at_s // self.step_s)
        if index >= len(self.rates) - 1:
            return self.rates[-1]
        share = at_s / self.step_s - index
        return self.rates[index] * (1 - share) + self.rates[index + 1] * share

    def arrivals(self, random: Random) -> Iterator[float]:
        """Ascending moments of a Poisson process with this rate, by thinning (Lewis and Shedler, 1979), step by step,
        so that a quiet hour costs no more than it has arrivals."""
        expovariate, draw, step_s = random.expovariate, random.random, self.step_s
        for index in range(len(self.rates) - 1):
            begin, end = self.rates[index], self.rates[index + 1]
            bound = max(begin, end)
            if bound <= 0:
                continue
            slope = (end - begin) / step_s
            offset_s = expovariate(bound)
            while offset_s < step_s:
                if begin == end or draw() * bound < begin + slope * offset_s:
                    yield index * step_s + offset_s
                offset_s += expovariate(bound)


@dataclass(frozen=True, slots=True)
class Setup:
    """What is simulated. `startup` holds for each replica; at most `starts_at_once` of them start side by side."""

    trace: Trace
    service_time: ServiceTime
    threads: int
    replicas: int
    startup: StartUp
    starts_at_once: int = 2
    queue_max: int = 200
    queue_timeout_s: float = 10.0
    tick_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Observation:
    """What a gateway and a process supervisor would show at a tick."""

    at_s: float
    arrived_total: int
    in_service: int
    queued: int
    service_time_s: float
    desired: int
    ready: int
    ready_in_s: float
    """Until the last replica that was asked for serves; 0 when all do."""


Scaler = Callable[[Observation], int | None]
"""The number of replicas from now on; None: as before."""


@dataclass(slots=True)
class Outcome:
    """What happened. Two arrays side by side, as a day has ten million requests."""

    arrived_s: array[float] = field(default_factory=lambda: array("d"))
    latency_s: array[float] = field(default_factory=lambda: array("d"))
    """Of each request, seconds until its answer; infinite where there was none."""
    replica_s: float = 0.0
    """Seconds of replicas, from their start to their end: what one pays for."""
    changes: list[tuple[float, int]] = field(default_factory=list)
    """(moment, replicas asked for from then on)."""
    refused: int = 0
    timed_out: int = 0

    def note(self, arrived_s: float, latency_s: float) -> None:
        self.arrived_s.append(arrived_s)
        self.latency_s.append(latency_s)

    def reversals(self) -> int:
        """How often the number of replicas turned from rising to falling or back."""
        counts = [count for _, count in self.changes]
        steps = [after - before for before, after in pairwise(counts) if after != before]
        return sum(1 for one, next_one in pairwise(steps) if (one > 0) != (next_one > 0))

    def quantile_by_interval(self, interval_s: float, quantile: float) -> list[float]:
        """That quantile of the latencies of each interval that had requests, by their arrival (nearest rank)."""
        found: dict[int, array[float]] = {}
        for at_s, latency_s in zip(self.arrived_s, self.latency_s, strict=True):
            interval = int(at_s // interval_s)
            if interval not in found:
                found[interval] = array("d")
            found[interval].append(latency_s)
        return [_rank(sorted(values), quantile) for _, values in sorted(found.items())]


def simulate(setup: Setup, scaler: Scaler, random: Random) -> Outcome:
    """Run the trace to its end. The same `random` gives the same run."""
    service = _Service(setup, random)
    next_tick_s = setup.tick_s
    for at_s in setup.trace.arrivals(random):
        while next_tick_s <= at_s:
            service.tick(next_tick_s, scaler)
            next_tick_s += setup.tick_s
        service.arrive(at_s)
    while next_tick_s <= setup.trace.duration_s:
        service.tick(next_tick_s, scaler)
        next_tick_s += setup.tick_s
    return service.finish(setup.trace.duration_s)


@dataclass(slots=True)
class _Replica:
    asked_s: float
    ready_s: float
    is_leaving: bool = False


class _Service:
    """The state of the simulation. A place is an entry (moment at which it gets free, its replica) of one heap."""

    def __init__(self, setup: Setup, random: Random) -> None:
        self._setup = setup
        self._random = random
        self._places: list[tuple[float, int]] = []
        self._replicas: dict[int, _Replica] = {}
        self._wanted: list[int] = []
        """Numbers of the replicas that are asked for, oldest first."""
        self._count = 0
        self._waiting: deque[float] = deque()
        self._arrived = 0
        self._mean_s = 0.0
        self._answered = 0
        self.outcome = Outcome(changes=[(0.0, setup.replicas)])
        for _ in range(setup.replicas):
            self._add(0.0, ready_s=0.0)

    def arrive(self, at_s: float) -> None:
        self._arrived += 1
        places, waiting = self._places, self._waiting
        if waiting:
            self._serve_waiting(at_s)
        while places and self._replicas[places[0][1]].is_leaving:
            heapq.heappop(places)
        if not waiting and places and places[0][0] <= at_s:
            self._begin(at_s, at_s)
        elif len(waiting) >= self._setup.queue_max:
            self.outcome.refused += 1
            self.outcome.note(at_s, math.inf)
        else:
            waiting.append(at_s)

    def tick(self, now_s: float, scaler: Scaler) -> None:
        self._serve_waiting(now_s)
        wanted = scaler(self._observe(now_s))
        if wanted is not None and wanted != len(self._wanted):
            self.outcome.changes.append((now_s, wanted))
            for number in self._wanted[wanted:]:
                self._remove(number, now_s)
            while len(self._wanted) < wanted:
                self._add(now_s)

    def finish(self, end_s: float) -> Outcome:
        self._serve_waiting(math.inf)
        self.outcome.replica_s += sum(end_s - self._replicas[number].asked_s for number in self._wanted)
        return self.outcome

    def _observe(self, now_s: float) -> Observation:
        ready = [number for number in self._wanted if self._replicas[number].ready_s <= now_s]
        in_service = sum(
            1 for free_s, number in self._places if free_s > now_s and self._replicas[number].ready_s <= now_s
        )
        last_s = max((self._replicas[number].ready_s for number in self._wanted), default=now_s)
        return Observation(
            now_s,
            self._arrived,
            in_service,
            len(self._waiting),
            self._mean_s,
            len(self._wanted),
            len(ready),
            max(0.0, last_s - now_s),
        )

    def _serve_waiting(self, now_s: float) -> None:
        """Everything that got a place until `now_s`, or gave up."""
        waiting, places = self._waiting, self._places
        while waiting:
            while places and self._replicas[places[0][1]].is_leaving:
                heapq.heappop(places)
            arrived_s = waiting[0]
            gives_up_s = arrived_s + self._setup.queue_timeout_s
            free_s = max(places[0][0], arrived_s) if places else math.inf
            if free_s > gives_up_s and gives_up_s <= now_s:
                waiting.popleft()
                self.outcome.timed_out += 1
                self.outcome.note(arrived_s, math.inf)
            elif free_s <= now_s and places:
                waiting.popleft()
                self._begin(arrived_s, free_s)
            else:
                return

    def _begin(self, arrived_s: float, start_s: float) -> None:
        """The place that is free first takes the request."""
        time_s = self._setup.service_time(self._random)
        done_s = start_s + time_s
        heapq.heapreplace(self._places, (done_s, self._places[0][1]))
        self._answered += 1
        self._mean_s += (time_s - self._mean_s) / min(self._answered, MEAN_OVER)
        self.outcome.note(arrived_s, done_s - arrived_s)

    def _add(self, now_s: float, ready_s: float | None = None) -> None:
        if ready_s is None:
            # Those that start already are in front; as many as may start side by side do.
            starting = sorted(
                replica.ready_s for number in self._wanted if (replica := self._replicas[number]).ready_s > now_s
            )
            behind = len(starting) - self._setup.starts_at_once
            begins_s = starting[behind] if behind >= 0 else now_s
            ready_s = begins_s + self._setup.startup(self._random)
        self._count += 1
        self._replicas[self._count] = _Replica(now_s, ready_s)
        self._wanted.append(self._count)
        for _ in range(self._setup.threads):
            heapq.heappush(self._places, (ready_s, self._count))

    def _remove(self, number: int, now_s: float) -> None:
        """It finishes what it has, takes nothing new, and costs until its last request is done."""
        replica = self._replicas[number]
        replica.is_leaving = True
        self._wanted.remove(number)
        busy_until_s = max((free_s for free_s, owner in self._places if owner == number), default=now_s)
        ends_s = max(now_s, busy_until_s) if replica.ready_s <= now_s else now_s
        self.outcome.replica_s += ends_s - replica.asked_s


def steps_of(changes: Sequence[tuple[float, int]], at_s: Sequence[float]) -> list[int]:
    """The number of replicas asked for at each of these moments."""
    moments = [moment for moment, _ in changes]
    return [changes[max(0, bisect_right(moments, each) - 1)][1] for each in at_s]


def _rank(ascending: Sequence[float], quantile: float) -> float:
    return ascending[max(1, math.ceil(round(quantile * len(ascending), 9))) - 1]
