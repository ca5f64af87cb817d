"""A station at work: who comes is sent to a replica or waits, works, has others work for it, and leaves.

The queue is where HAProxy has it: one for the whole station, and one for a replica that a hash chose; whoever has
waited longest in either gets a place that becomes free. `queue_at = "replica"` is a gateway that sends on at once.
When replicas come, go, die or slow down is decided in `fleet.py`.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from random import Random

from colonnade.core.histogram import BOUNDS_MS
from colonnade.planning.model import Station
from colonnade.planning.simulation.outcome import StationOutcome
from colonnade.planning.simulation.policies import ConsistentHash, Rotation, picker
from colonnade.planning.simulation.processors import Cores, Processors
from colonnade.planning.simulation.scenario import Scenario, Traits
from colonnade.planning.simulation.streams import Streams
from colonnade.planning.simulation.timeline import Timeline
from colonnade.planning.simulation.visits import Visit

MEAN_OVER = 1_024
"""Answers over which the gateway's mean service time goes, as HAProxy's does."""


class Replica:
    """One of a station's; `number` is its index in the rotation."""

    def __init__(self, number: int, speed: float, cores: Cores | None, asked_s: float, ready_s: float) -> None:
        self.number = number
        self.speed = speed
        self.cores = cores
        self.asked_s = asked_s
        self.ready_s = ready_s
        self.is_stuck = False
        """Takes what comes and ends nothing."""
        self.is_leaving = False
        self.slow_times = 1.0
        self.busy: dict[Visit, None] = {}
        """Who has a place, in the order of coming."""
        self.waiting: deque[Visit] = deque()
        self.latency_counts: Counter[int] = Counter()
        """Answers by bucket of core.histogram; only where somebody weighs."""


class StationRun:
    """One station of one run."""

    def __init__(
        self, scenario: Scenario, station: Station, timeline: Timeline, streams: Streams, processors: Processors
    ) -> None:
        self.station = station
        self.traits: Traits = scenario.traits_of(station.name)
        self.timeline = timeline
        self.outcome = StationOutcome(station.places)
        self.replicas: dict[int, Replica] = {}
        self.queued = 0
        self.service_time_s = 0.0
        self.when_empty: Callable[[Replica], None] | None = None
        """Told of a replica that leaves and has ended its last visit."""
        self._random: Random = streams.of(f"{station.name} calls")
        self._processors = processors if scenario.shares_cores(station) else None
        self._sends_at_once = self.traits.queue_at == "replica"
        self._queue_max = math.inf if station.queue_max is None else station.queue_max
        self._waiting: deque[Visit] = deque()
        self._answered = 0
        self.rotation = Rotation((), math.inf if self._sends_at_once else station.concurrency)
        self.picker = picker(scenario.policy_of(station), self.rotation, streams.of(f"{station.name} policy"))
        hashes = isinstance(self.picker, ConsistentHash)
        self._keys = streams.keys(station.name, self.traits.keys) if hashes else None

    # Replicas: what `fleet.py` does to them

    def add(self, weight: float, speed: float, asked_s: float, ready_s: float) -> Replica:
        """One more, not in rotation yet."""
        number = self.rotation.add(weight)
        cores = Cores(self._processors, self.station.cores_per_replica) if self._processors is not None else None
        replica = self.replicas[number] = Replica(number, speed, cores, asked_s, ready_s)
        self.outcome.answered_by.append(0)
        return replica

    def bring_in(self, replicas: Iterable[Replica]) -> None:
        """Into rotation; those who wait come to them first."""
        replicas = list(replicas)
        for replica in replicas:
            self.rotation.put(replica.number, is_in=True)
        self.picker.members_changed()
        for replica in replicas:
            self._fill(replica)

    def take_out(self, replica: Replica) -> None:
        """Out of rotation; it ends what it has, and who waits for it is sent to others."""
        self.rotation.put(replica.number, is_in=False)
        self.picker.members_changed()
        waiting, replica.waiting = replica.waiting, deque()
        for visit in waiting:
            if visit.is_waiting:
                visit.is_waiting = False
                self.queued -= 1
                if visit.replica is not None:
                    visit.replica = None
                    self._left(replica)
                self._send(visit)

    def break_all(self, replica: Replica) -> None:
        """Whatever it was working on gets no answer; what may be repeated is sent to another replica."""
        is_behind = self.queued >= self.station.concurrency
        visits, replica.busy = list(replica.busy), {}
        if replica.cores is not None:
            replica.cores.drop_all()
        for visit in visits:
            self._account(visit)
            self._left(replica)
            visit.is_over = True
        for visit in visits:
            may = visit.attempt < self.traits.retries and not is_behind
            if may and self._random.random() < self.traits.repeatable_share:
                self._repeat(visit)
            else:
                self._lose(visit, "broken")

    # Visits

    def enter(self, visit: Visit) -> None:
        visit.arrived_s = self.timeline.now_s
        visit.index = len(self.outcome.wait_s)
        visit.work_s = next(visit.step.works)
        if self._keys is not None:
            visit.key = next(self._keys)
        self.outcome.arrived_s.append(visit.arrived_s)
        self.outcome.wait_s.append(math.inf)
        self._send(visit)

    def abandon(self, visit: Visit) -> None:
        """Nobody waits for the answer any more. In the queue it is taken out; a replica that has it does not notice."""
        if visit.is_waiting:
            self._leave_queue(visit, "abandoned")

    def proceed(self, visit: Visit) -> None:
        """The next call, or the end."""
        if visit.is_over or self._is_stuck(visit):
            return
        if visit.to_call:
            step = visit.to_call.pop()
            step.station.enter(Visit(step, visit, self._called))
        else:
            self._end(visit)

    def observed(self) -> tuple[int, int, int]:
        """(visits that ever came, visits in a place, visits in the queue)."""
        busy = sum(len(replica.busy) for replica in self.replicas.values() if not replica.is_leaving)
        return len(self.outcome.wait_s), busy, self.queued

    def _send(self, visit: Visit) -> None:
        number = self.picker.pick(visit.key)
        if number is None:
            self._wait(visit, self._waiting)
            return
        replica = self.replicas[number]
        if len(replica.busy) < self.station.concurrency:
            self._begin(visit, replica)
        elif self._wait(visit, replica.waiting) and self._sends_at_once:
            visit.replica = replica
            self._sent(replica)

    def _wait(self, visit: Visit, queue: deque[Visit]) -> bool:
        if self.queued >= self._queue_max:
            visit.is_over = True
            self._lose(visit, "refused")
            return False
        self.queued += 1
        visit.is_waiting = True
        visit.queued_s = self.timeline.now_s
        queue.append(visit)
        if self.station.queue_timeout_s < math.inf:
            self.timeline.after(self.station.queue_timeout_s, self._time_out, visit)
        return True

    def _time_out(self, visit: Visit) -> None:
        """Unless it was sent to another replica meanwhile, and waits for that one since."""
        if visit.is_waiting and visit.queued_s + self.station.queue_timeout_s <= self.timeline.now_s:
            self._leave_queue(visit, "timed_out")

    def _leave_queue(self, visit: Visit, reason: str) -> None:
        """It stays in its deque, over, until it comes to the front."""
        visit.is_waiting, visit.is_over = False, True
        self.queued -= 1
        if visit.replica is not None:
            self._left(visit.replica)
        self._lose(visit, reason)

    def _fill(self, replica: Replica) -> None:
        """Gives the replica's free places to those who wait."""
        while self.queued and len(replica.busy) < self.station.concurrency:
            queue = self._longest_waiting(replica)
            if queue is None:
                return
            visit = queue.popleft()
            visit.is_waiting = False
            self.queued -= 1
            if visit.replica is None:
                self._begin(visit, replica)
            else:
                self._occupy(visit, replica)

    def _longest_waiting(self, replica: Replica) -> deque[Visit] | None:
        """The queue whose first has waited longest, of those that this replica serves."""
        is_usable = self.rotation.is_in[replica.number] and self.rotation.weights[replica.number] > 0
        queues = [queue for queue in (replica.waiting, self._waiting if is_usable else None) if queue]
        for queue in queues:
            while queue and not queue[0].is_waiting:
                queue.popleft()
        return min(filter(None, queues), key=lambda queue: queue[0].queued_s, default=None)

    def _begin(self, visit: Visit, replica: Replica) -> None:
        self._sent(replica)
        self._occupy(visit, replica)

    def _occupy(self, visit: Visit, replica: Replica) -> None:
        now_s = self.timeline.now_s
        visit.replica = replica
        visit.began_s = now_s
        replica.busy[visit] = None
        self.outcome.wait_s[visit.index] = now_s - visit.arrived_s
        work_s = visit.work_s * replica.slow_times / replica.speed
        cpu_s = work_s * visit.step.cpu_share
        if replica.cores is not None and cpu_s > 0:
            visit.work_s = work_s
            replica.cores.work(cpu_s, self._computed, visit)
        else:
            self.timeline.after(work_s, self._worked, visit)

    def _computed(self, visit: Visit) -> None:
        self.timeline.after(visit.work_s * (1 - visit.step.cpu_share), self._worked, visit)

    def _worked(self, visit: Visit) -> None:
        if visit.is_over or self._is_stuck(visit):
            return
        if not (steps := visit.step.steps):
            self._end(visit)
            return
        if not self.station.holds_place:
            self._release(visit)
        visit.to_call = [step for step in reversed(steps) for _ in range(step.times(self._random))]
        self.proceed(visit)

    def _called(self, inner: Visit, reason: str) -> None:
        """What one of our visits had asked another station for has ended."""
        visit: Visit = inner.request
        if visit.is_over or self._is_stuck(visit):
            return
        if not reason:
            self.proceed(visit)
            return
        visit.is_over = True
        self._release(visit)
        self._lose(visit, "broken")

    def _end(self, visit: Visit) -> None:
        replica = visit.replica
        assert replica is not None
        visit.is_over = True
        self.outcome.answered_by[replica.number] += 1
        if self.traits.adapting is not None:
            took_ms = (self.timeline.now_s - visit.began_s) * 1000
            replica.latency_counts[sum(took_ms >= bound for bound in BOUNDS_MS)] += 1
        self._release(visit)
        visit.ended(visit, "")

    def _is_stuck(self, visit: Visit) -> bool:
        """Its replica does nothing any more, and will break it."""
        replica = visit.replica
        return replica is not None and replica.is_stuck and visit in replica.busy

    def _release(self, visit: Visit) -> None:
        """The place, if it still has it."""
        replica = visit.replica
        if replica is None or visit not in replica.busy:
            return
        del replica.busy[visit]
        time_s = self._account(visit)
        if self._answered < MEAN_OVER:
            self._answered += 1
        self.service_time_s += (time_s - self.service_time_s) / self._answered
        self._left(replica)
        if self.queued:
            self._fill(replica)
        if replica.is_leaving and not replica.busy and self.when_empty is not None:
            self.when_empty(replica)

    def _account(self, visit: Visit) -> float:
        time_s = self.timeline.now_s - visit.began_s
        self.outcome.busy_s += time_s
        return time_s

    def _repeat(self, visit: Visit) -> None:
        self.outcome.repeated += 1
        again = Visit(visit.step, visit.request, visit.ended, visit.key, visit.index, visit.attempt + 1)
        again.arrived_s, again.work_s = visit.arrived_s, next(visit.step.works)
        visit.again = again
        self._send(again)

    def _lose(self, visit: Visit, reason: str) -> None:
        self.outcome.lost[reason] += 1
        visit.ended(visit, reason)

    def _sent(self, replica: Replica) -> None:
        self.rotation.enter(replica.number)
        if self.picker.sees_load:
            self.picker.changed(replica.number)

    def _left(self, replica: Replica) -> None:
        self.rotation.leave(replica.number)
        if self.picker.sees_load:
            self.picker.changed(replica.number)
