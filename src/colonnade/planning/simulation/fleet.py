"""The replicas of a station over time: they start, scale, die, hang, come back, slow down, and are weighed.

What a replica does with visits is `stations.py`'s. How many there should be, and what weights, is asked from whoever
the scenario names.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from colonnade.core.histogram import BUCKETS_COUNT, Histogram
from colonnade.planning.simulation.distributions import stream
from colonnade.planning.simulation.scenario import (
    Adapting,
    Failures,
    Heard,
    Observation,
    Outage,
    Scaler,
    Scaling,
    Slowdown,
    Weigher,
)
from colonnade.planning.simulation.stations import Replica, StationRun
from colonnade.planning.simulation.streams import Streams


class Fleet:
    """Of one station. Nothing new happens after `end_s`."""

    def __init__(self, station: StationRun, streams: Streams, end_s: float) -> None:
        self._station = station
        self._timeline = station.timeline
        self._end_s = end_s
        self._outages: Counter[int] = Counter()
        """By replica: how many hold at this moment."""
        traits, declared = station.traits, station.station
        self._weights = declared.weights or (1.0,) * declared.replicas
        self._wanted = [
            station.add(weight, speed, asked_s=0.0, ready_s=0.0)
            for weight, speed in zip(self._weights, traits.speeds or (1.0,) * declared.replicas, strict=True)
        ]
        """Those that are asked for, oldest first."""
        station.outcome.changes.append((0.0, declared.replicas))
        station.when_empty = self._ended
        station.bring_in(self._wanted)
        random = streams.of(f"{declared.name} replicas")
        if traits.failures is not None:
            self._lives_s = stream(traits.failures.up, random)
            self._repairs_s = stream(traits.failures.down, random)
            for replica in self._wanted:
                self._will_fail(traits.failures, replica)
        for outage in traits.outages:
            self._timeline.at(outage.begin_s, self._strike, outage)
        for slowdown in traits.slowdowns:
            self._timeline.at(slowdown.begin_s, partial(self._slow, times=slowdown.times), slowdown)
            self._timeline.at(slowdown.end_s, partial(self._slow, times=1 / slowdown.times), slowdown)
        if traits.scaling is not None:
            self._startups_s = stream(traits.scaling.startup, streams.of(f"{declared.name} starts"))
            self._every(traits.scaling.tick_s, partial(self._scale, traits.scaling, traits.scaling.scaler()))
        if traits.adapting is not None:
            self._factors: dict[int, float] = {}
            self._every(traits.adapting.step_s, partial(self._weigh, traits.adapting, traits.adapting.weigher()))

    def close(self) -> None:
        """The end of the run: what its replicas cost."""
        self._station.outcome.replica_s += sum(self._end_s - replica.asked_s for replica in self._wanted)

    # Failures

    def _will_fail(self, failures: Failures, replica: Replica) -> None:
        at_s = self._timeline.now_s + next(self._lives_s)
        if at_s < self._end_s:
            self._timeline.at(at_s, partial(self._fail, failures), replica)

    def _fail(self, failures: Failures, replica: Replica) -> None:
        if not replica.is_leaving:
            down_s = next(self._repairs_s)
            self._fall(replica, down_s, min(failures.noticed_after_s, down_s))
            self._timeline.after(down_s, partial(self._will_fail, failures), replica)

    def _strike(self, outage: Outage) -> None:
        replica = self._station.replicas.get(outage.replica)
        if replica is not None and not replica.is_leaving:
            self._fall(replica, outage.end_s - outage.begin_s, outage.noticed_after_s)

    def _fall(self, replica: Replica, down_s: float, noticed_after_s: float) -> None:
        self._outages[replica.number] += 1
        replica.is_stuck = True
        if noticed_after_s > 0:
            self._timeline.after(noticed_after_s, self._notice, replica)
        else:
            self._notice(replica)
        self._timeline.after(down_s, self._rise, replica)

    def _notice(self, replica: Replica) -> None:
        if self._outages[replica.number]:
            self._station.take_out(replica)
            self._station.break_all(replica)

    def _rise(self, replica: Replica) -> None:
        self._outages[replica.number] -= 1
        if self._outages[replica.number]:
            return
        # Whatever it hung on is gone with the process.
        self._station.take_out(replica)
        self._station.break_all(replica)
        replica.is_stuck = False
        if replica.is_leaving:
            self._ended(replica)
            return
        if replica.ready_s <= self._timeline.now_s:
            self._station.bring_in([replica])

    def _slow(self, slowdown: Slowdown, times: float) -> None:
        replica = self._station.replicas.get(slowdown.replica)
        if replica is not None:
            replica.slow_times *= times

    # Scaling

    def _scale(self, scaling: Scaling, scaler: Scaler) -> None:
        wanted = scaler(self._observe())
        if wanted is None or wanted == len(self._wanted):
            return
        self._station.outcome.changes.append((self._timeline.now_s, wanted))
        leaving, self._wanted = self._wanted[wanted:], self._wanted[:wanted]
        for replica in leaving:
            self._remove(replica)
        while len(self._wanted) < wanted:
            self._start(scaling)

    def _observe(self) -> Observation:
        now_s, rotation = self._timeline.now_s, self._station.rotation
        arrived, busy, queued = self._station.observed()
        return Observation(
            now_s,
            arrived,
            busy,
            queued,
            self._station.service_time_s,
            len(self._wanted),
            sum(rotation.is_in[replica.number] for replica in self._wanted),
            max(0.0, max((replica.ready_s for replica in self._wanted), default=now_s) - now_s),
        )

    def _start(self, scaling: Scaling) -> None:
        # Those that start already are in front; as many as may start side by side do.
        now_s = self._timeline.now_s
        starting = sorted(replica.ready_s for replica in self._wanted if replica.ready_s > now_s)
        behind = len(starting) - scaling.starts_at_once
        ready_s = (starting[behind] if behind >= 0 else now_s) + next(self._startups_s)
        replica = self._station.add(self._weights[-1], 1.0, now_s, ready_s)
        self._wanted.append(replica)
        self._timeline.at(ready_s, self._ready, replica)

    def _ready(self, replica: Replica) -> None:
        if not replica.is_leaving and not self._outages[replica.number]:
            self._station.bring_in([replica])
            if self._station.traits.failures is not None:
                self._will_fail(self._station.traits.failures, replica)

    def _remove(self, replica: Replica) -> None:
        """It finishes what it has, takes nothing new, and costs until its last visit is done."""
        replica.is_leaving = True
        self._station.take_out(replica)
        if not replica.busy:
            self._ended(replica)

    def _ended(self, replica: Replica) -> None:
        if self._station.replicas.pop(replica.number, None) is not None:
            self._station.outcome.replica_s += self._timeline.now_s - replica.asked_s

    # Weights

    def _weigh(self, adapting: Adapting, weigher: Weigher) -> None:
        station, rotation = self._station, self._station.rotation
        heard = [
            Heard(replica.number, self._factors.get(replica.number, 1.0), _histogram(replica))
            for replica in self._wanted
            if rotation.is_in[replica.number]
        ]
        factors = weigher(self._timeline.now_s, heard)
        if any(self._factors.get(number, 1.0) != factor for number, factor in factors.items()):
            self._factors |= factors
            for number, factor in factors.items():
                rotation.weights[number] = self._weights[min(number, len(self._weights) - 1)] * factor
            station.picker.members_changed()

    def _every(self, step_s: float, action: partial[None]) -> None:
        def act(count: int) -> None:
            action()
            if (count + 1) * step_s <= self._end_s:
                self._timeline.at((count + 1) * step_s, act, count + 1)

        if step_s <= self._end_s:
            self._timeline.at(step_s, act, 1)


def _histogram(replica: Replica) -> Histogram:
    return Histogram(tuple(replica.latency_counts[bucket] for bucket in range(BUCKETS_COUNT)))
