"""The engine for everything: discrete events, from a visitor's first attempt to the answer or the end of patience.

A request takes a route's tree of calls (`visits.py`) through stations (`stations.py`) whose replicas come and go
(`fleet.py`) and compute on shared processors (`processors.py`). Seven to eleven microseconds for each visit; what needs
none of it, `lanes.py` does ten times faster.
"""

from __future__ import annotations

import math
from itertools import accumulate, count

from colonnade.planning.model import Call
from colonnade.planning.simulation.distributions import stream
from colonnade.planning.simulation.fleet import Fleet
from colonnade.planning.simulation.outcome import Outcome
from colonnade.planning.simulation.processors import Processors
from colonnade.planning.simulation.scenario import Scenario
from colonnade.planning.simulation.stations import StationRun
from colonnade.planning.simulation.streams import Streams
from colonnade.planning.simulation.timeline import Timeline
from colonnade.planning.simulation.visits import Step, Visit


class Request:
    """What a visitor asks for, until there is an answer or nobody waits for one."""

    __slots__ = ("asked_s", "attempts", "index", "is_over", "step", "visit")

    def __init__(self, index: int, asked_s: float, step: Step) -> None:
        self.index = index
        self.asked_s = asked_s
        self.step = step
        self.attempts = 0
        self.is_over = False
        self.visit: Visit | None = None


class Run:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, streams: Streams) -> None:
        self._scenario = scenario
        self._visitors = scenario.visitors
        self._timeline = Timeline()
        processors = Processors(self._timeline, scenario.system.cores)
        self._stations = {
            station.name: StationRun(scenario, station, self._timeline, streams, processors)
            for station in scenario.system.stations
        }
        self._fleets = [Fleet(station, streams, scenario.duration_s) for station in self._stations.values()]
        self._streams = streams
        numbers = count()
        self._steps = [self._step(route.call, numbers) for route in scenario.system.routes]
        self._shares = list(accumulate(route.share for route in scenario.system.routes))
        self._routes = streams.of("routes")
        self._pauses_s = stream(scenario.visitors.backoff, streams.of("backoff"))
        self._tokens = scenario.visitors.budget_burst
        self._moments = scenario.arrivals.moments(streams.of("arrivals"))
        self.outcome = Outcome({name: station.outcome for name, station in self._stations.items()})

    def run(self) -> Outcome:
        self._expect_next()
        self._timeline.run()
        for fleet in self._fleets:
            fleet.close()
        return self.outcome

    def _step(self, call: Call, numbers: count[int]) -> Step:
        """Calls are numbered before those that they make, as in `model.walk`."""
        works = self._streams.works(self._scenario, call, next(numbers))
        steps = [self._step(inner, numbers) for inner in call.calls]
        return Step(self._stations[call.station], works, call.work.cpu_share, call.count, steps)

    def _expect_next(self) -> None:
        at_s = next(self._moments, math.inf)
        if at_s < self._scenario.duration_s:
            self._timeline.at(at_s, self._arrive)

    def _arrive(self, _: None) -> None:
        now_s = self._timeline.now_s
        request = Request(len(self.outcome.arrived_s), now_s, self._route())
        self.outcome.arrived_s.append(now_s)
        self.outcome.latency_s.append(math.inf)
        self._tokens = min(self._visitors.budget_burst, self._tokens + self._visitors.budget_share)
        if self._visitors.patience_s < math.inf:
            self._timeline.after(self._visitors.patience_s, self._give_up, request)
        self._expect_next()
        self._attempt(request)

    def _route(self) -> Step:
        if len(self._steps) == 1:
            return self._steps[0]
        return self._routes.choices(self._steps, cum_weights=self._shares)[0]

    def _attempt(self, request: Request) -> None:
        if request.is_over:
            return
        request.attempts += 1
        request.visit = Visit(request.step, request, self._ended)
        request.step.station.enter(request.visit)

    def _ended(self, visit: Visit, reason: str) -> None:
        request: Request = visit.request
        if request.is_over:
            return
        # Visit and request would keep each other alive until the garbage collector comes.
        request.visit = None
        if not reason:
            request.is_over = True
            self.outcome.latency_s[request.index] = self._timeline.now_s - request.asked_s
        elif request.attempts < self._visitors.attempts_max and self._tokens >= 1:
            self._tokens -= 1
            self.outcome.retries += 1
            self._timeline.after(next(self._pauses_s), self._attempt, request)
        else:
            request.is_over = True
            self.outcome.lost[reason] += 1

    def _give_up(self, request: Request) -> None:
        if request.is_over:
            return
        request.is_over = True
        self.outcome.lost["gave_up"] += 1
        visit, request.visit = request.visit, None
        while visit is not None and visit.again is not None:
            visit = visit.again
        if visit is not None:
            visit.step.station.abandon(visit)


def run_events(scenario: Scenario, streams: Streams) -> Outcome:
    """The whole run. Requests that can never be answered (all replicas gone for good) stay without a latency and
    without a reason."""
    return Run(scenario, streams).run()
