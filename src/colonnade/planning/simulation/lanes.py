"""The fast engine: first come first served, where a request's end is known as soon as it arrives.

A *lane* is places behind one queue. Of each place only the moment counts at which it becomes free: who arrives takes
the first of them, and that moment and the work make the next one (J. Kiefer and J. Wolfowitz, 1955; for one place
D. Lindley, 1952). No event has to be waited for, but for departures where a policy counts who is inside. So a request
costs about a microsecond, and a thousand replicas are a thousand small heaps.

Which scenarios are that simple, `is_plain` knows; all others are for `events.py`. From one seed both give the same
moments, which a test compares. Never draws anything itself: works and keys come as streams.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush, heapreplace
from itertools import takewhile
from operator import sub

from colonnade.planning.model import Call, Station
from colonnade.planning.simulation.outcome import Outcome, StationOutcome
from colonnade.planning.simulation.policies import Picker, Rotation, picker
from colonnade.planning.simulation.scenario import Scenario, Visitors
from colonnade.planning.simulation.streams import Streams

Visits = Iterator[tuple[float, float]]
"""(arrival, seconds of work), ascending."""

_SHARING = ("round-robin", "weighted", "least-connections")
"""With a queue at the gateway, whoever is free takes the first who waits: then it is one queue before all places."""


def is_plain(scenario: Scenario) -> bool:
    """Whether this engine can run it: one route through stations that are left one after the other, none of which
    fails, scales, shares its cores or has replicas that differ in speed; and nobody is lost on the way."""
    stations = _path(scenario)
    if stations is None or scenario.visitors != Visitors():
        return False
    alone = len(stations) == 1
    return all(
        _is_plain_station(scenario, station)
        and (alone or not station.holds_place or station is stations[-1])
        and (alone or not _has_bound(station))
        for station in stations
    )


def run_lanes(scenario: Scenario, streams: Streams) -> Outcome:
    """Station after station: who leaves one arrives at the next."""
    stations = _path(scenario)
    assert stations is not None
    calls = _calls(scenario.system.routes[0].call)
    arrivals = scenario.arrivals.moments(streams.of("arrivals"))
    moments: Iterable[float] = takewhile(scenario.duration_s.__gt__, arrivals)
    outcome, left_s = Outcome({}), array("d")
    for number, (station, call) in enumerate(zip(stations, calls, strict=True)):
        # Who overtakes at one station is ahead at the next.
        order = sorted(range(len(left_s)), key=left_s.__getitem__) if number else None
        if order is not None:
            moments = [left_s[index] for index in order]
        served = StationOutcome(station.places, replica_s=station.replicas * scenario.duration_s)
        served.changes = [(0.0, station.replicas)]
        visits = zip(moments, streams.works(scenario, call, number), strict=False)
        ends_s = _serve(scenario, station, visits, served, streams)
        if order is None:
            left_s = ends_s
        else:
            for index, moment_s in zip(order, ends_s, strict=True):
                left_s[index] = moment_s
        outcome.stations[station.name] = served
        outcome.lost += served.lost
    outcome.arrived_s = outcome.stations[stations[0].name].arrived_s
    outcome.latency_s = array("d", map(sub, left_s, outcome.arrived_s))
    return outcome


def _path(scenario: Scenario) -> list[Station] | None:
    """The stations of the only route in their order; None when it branches, returns or is not the only one."""
    system = scenario.system
    if len(system.routes) != 1:
        return None
    calls = _calls(system.routes[0].call)
    names = [call.station for call in calls]
    if len(set(names)) != len(names) or any(call.count != 1 or len(call.calls) > 1 for call in calls):
        return None
    return [system.station(name) for name in names]


def _calls(call: Call) -> list[Call]:
    """The call, the first one that it makes, the first that this makes …"""
    found = [call]
    while found[-1].calls:
        found.append(found[-1].calls[0])
    return found


def _is_plain_station(scenario: Scenario, station: Station) -> bool:
    traits = scenario.traits_of(station.name)
    if traits.failures or traits.outages or traits.slowdowns or traits.scaling or traits.adapting or traits.speeds:
        return False
    if scenario.shares_cores(station) or (station.weights and not min(station.weights) > 0):
        return False
    return _is_one_queue(scenario, station) or (
        not _has_bound(station) and (traits.queue_at == "replica" or scenario.policy_of(station) == "consistent-hash")
    )


def _has_bound(station: Station) -> bool:
    return station.queue_max is not None or station.queue_timeout_s < math.inf


def _is_one_queue(scenario: Scenario, station: Station) -> bool:
    at_gateway = scenario.traits_of(station.name).queue_at == "gateway"
    return station.replicas == 1 or (at_gateway and scenario.policy_of(station) in _SHARING)


def _serve(
    scenario: Scenario, station: Station, visits: Visits, served: StationOutcome, streams: Streams
) -> array[float]:
    """Everybody through one station; the moments at which they leave, infinite for those who got nothing."""
    if _is_one_queue(scenario, station):
        if _has_bound(station):
            return _bounded(station, visits, served)
        return _one_lane([0.0] * station.places, visits, served)
    rotation = Rotation(station.weights or (1.0,) * station.replicas)
    policy = picker(scenario.policy_of(station), rotation, streams.of(f"{station.name} policy"))
    lanes = [[0.0] * station.concurrency for _ in range(station.replicas)]
    served.answered_by = [0] * station.replicas
    keys = streams.keys(station.name, scenario.traits_of(station.name).keys)
    if policy.sees_load:
        return _seeing(lanes, visits, served, rotation, policy)
    return _blind(lanes, visits, served, policy, keys)


def _one_lane(places: list[float], visits: Visits, served: StationOutcome) -> array[float]:
    left_s = array("d")
    note_arrival, note_wait, note_end = served.arrived_s.append, served.wait_s.append, left_s.append
    busy_s = 0.0
    for at_s, work_s in visits:
        begin_s = places[0]
        if begin_s < at_s:
            begin_s = at_s
        end_s = begin_s + work_s
        heapreplace(places, end_s)
        busy_s += work_s
        note_arrival(at_s)
        note_wait(begin_s - at_s)
        note_end(end_s)
    served.busy_s = busy_s
    return left_s


def _bounded(station: Station, visits: Visits, served: StationOutcome) -> array[float]:
    """With a bound on the queue, and on the time in it. Both are known at once: who would have to wait too long never
    takes a place, but is in the queue until then."""
    left_s, lost = array("d"), served.lost
    note_arrival, note_wait, note_end = served.arrived_s.append, served.wait_s.append, left_s.append
    places = [0.0] * station.places
    queue_max = math.inf if station.queue_max is None else station.queue_max
    timeout_s = station.queue_timeout_s
    leaving: deque[float] = deque()
    """When those who wait leave the queue; ascending, as are the moments of service and of giving up."""
    busy_s = 0.0
    for at_s, work_s in visits:
        note_arrival(at_s)
        begin_s = places[0]
        if begin_s <= at_s:
            begin_s = at_s
        else:
            while leaving and leaving[0] <= at_s:
                leaving.popleft()
            reason = "refused" if len(leaving) >= queue_max else ""
            if not reason:
                leaving.append(min(begin_s, at_s + timeout_s))
                reason = "timed_out" if begin_s - at_s > timeout_s else ""
            if reason:
                lost[reason] += 1
                note_wait(math.inf)
                note_end(math.inf)
                continue
        end_s = begin_s + work_s
        heapreplace(places, end_s)
        busy_s += work_s
        note_wait(begin_s - at_s)
        note_end(end_s)
    served.busy_s = busy_s
    return left_s


def _blind(
    lanes: list[list[float]], visits: Visits, served: StationOutcome, policy: Picker, keys: Iterator[float]
) -> array[float]:
    """A queue at each replica, and a policy that does not look at them."""
    left_s = array("d")
    note_arrival, note_wait, note_end = served.arrived_s.append, served.wait_s.append, left_s.append
    pick, answered_by = policy.pick, served.answered_by
    busy_s = 0.0
    for (at_s, work_s), key in zip(visits, keys, strict=False):
        replica = pick(key)
        assert replica is not None
        answered_by[replica] += 1
        places = lanes[replica]
        begin_s = places[0]
        if begin_s < at_s:
            begin_s = at_s
        end_s = begin_s + work_s
        heapreplace(places, end_s)
        busy_s += work_s
        note_arrival(at_s)
        note_wait(begin_s - at_s)
        note_end(end_s)
    served.busy_s = busy_s
    return left_s


def _seeing(
    lanes: list[list[float]], visits: Visits, served: StationOutcome, rotation: Rotation, policy: Picker
) -> array[float]:
    """A queue at each replica, and a policy that is told who comes and who leaves."""
    left_s = array("d")
    note_arrival, note_wait, note_end = served.arrived_s.append, served.wait_s.append, left_s.append
    pick, changed, answered_by = policy.pick, policy.changed, served.answered_by
    enter, leave = rotation.enter, rotation.leave
    inside: list[tuple[float, int]] = []
    busy_s = 0.0
    for at_s, work_s in visits:
        while inside and inside[0][0] <= at_s:
            gone = heappop(inside)[1]
            leave(gone)
            changed(gone)
        replica = pick(0.0)
        assert replica is not None
        enter(replica)
        changed(replica)
        answered_by[replica] += 1
        places = lanes[replica]
        begin_s = places[0]
        if begin_s < at_s:
            begin_s = at_s
        end_s = begin_s + work_s
        heapreplace(places, end_s)
        heappush(inside, (end_s, replica))
        busy_s += work_s
        note_arrival(at_s)
        note_wait(begin_s - at_s)
        note_end(end_s)
    served.busy_s = busy_s
    return left_s
