"""What is simulated: the planned system, what comes, and what formulas have no place for. Plain data, checked.

`planning/model.py` has stations, routes and calls. Here are the policies that only a simulator knows, measured samples,
failures, retries, and whoever scales or weighs while it runs. Never runs anything: `simulate.py` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from colonnade.core.histogram import Histogram
from colonnade.planning.model import Call, Route, Station, SystemModel, Work
from colonnade.planning.simulation.arrivals import Arrivals
from colonnade.planning.simulation.distributions import Constant, Distribution
from colonnade.planning.simulation.policies import Policy


@dataclass(frozen=True, slots=True)
class Observation:
    """What a gateway and a process supervisor would show of a station at one moment."""

    at_s: float
    arrived_total: int
    in_service: int
    queued: int
    service_time_s: float
    """Mean time in a place, over the latest thousand that left one."""
    desired: int
    ready: int
    ready_in_s: float
    """Until the last replica that was asked for serves; 0 when all do."""


Scaler = Callable[[Observation], int | None]
"""The number of replicas from now on; None: as before. `scaling/simulated.py` has the one that runs in a system."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Who decides how many replicas there are, asked every `tick_s`, and how long a start takes."""

    scaler: Callable[[], Scaler]
    """Makes one for each run: scalers remember."""
    startup: Distribution = field(default_factory=lambda: Constant(1.0))
    """From the decision until the replica serves, unless it has to wait for others that start."""
    starts_at_once: int = 2
    tick_s: float = 0.5

    def __post_init__(self) -> None:
        if self.starts_at_once < 1 or not 0 < self.tick_s < math.inf:
            raise ValueError(f"expected at least one start at once and ticks above 0: {self}")


@dataclass(frozen=True, slots=True)
class Heard:
    """Of one replica in rotation: its part of its weight, and all its answers so far by how long they took."""

    replica: int
    factor: float
    latency: Histogram


Weigher = Callable[[float, Sequence[Heard]], Mapping[int, float]]
"""(now, replicas) → the part of its weight that each gets from now on."""


@dataclass(frozen=True, slots=True)
class Adapting:
    """Who sets the weights of `adaptive`, every `step_s`. `gateway/simulated.py` has the one that runs in a system."""

    weigher: Callable[[], Weigher]
    step_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.step_s < math.inf:
            raise ValueError(f"expected steps above 0: {self}")


@dataclass(frozen=True, slots=True)
class Outage:
    """One replica, counted from 0, does nothing from `begin_s` to `end_s`. The gateway notices after `noticed_after_s`:
    0 for a process that dies, longer for one that hangs. Then what it held is broken, and nobody is sent to it."""

    replica: int
    begin_s: float
    end_s: float
    noticed_after_s: float = 0.0

    def __post_init__(self) -> None:
        if self.replica < 0 or not 0 <= self.begin_s < self.end_s:
            raise ValueError(f"expected a replica from 0 on, and an end after the beginning: {self}")
        if not 0 <= self.noticed_after_s <= self.end_s - self.begin_s:
            raise ValueError(f"expected an outage to be noticed before it ends: {self}")


@dataclass(frozen=True, slots=True)
class Slowdown:
    """What one replica begins between the two moments takes `times` as long."""

    replica: int
    begin_s: float
    end_s: float
    times: float

    def __post_init__(self) -> None:
        if self.replica < 0 or not 0 <= self.begin_s < self.end_s or not 0 < self.times < math.inf:
            raise ValueError(f"expected a replica from 0 on, an end after the beginning and times above 0: {self}")


@dataclass(frozen=True, slots=True)
class Failures:
    """Each replica, again and again: lives for `up`, and is away for `down` (the start that follows included)."""

    up: Distribution
    down: Distribution
    noticed_after_s: float = 0.0
    """As for an `Outage`; with the end of the failure at the latest."""

    def __post_init__(self) -> None:
        if not self.noticed_after_s >= 0 or not self.up.mean_s > 0:
            raise ValueError(f"expected lives above 0, and to notice after a time of at least 0: {self}")


@dataclass(frozen=True, slots=True)
class Keys:
    """What a consistent hash is fed with: so many keys, the k-th most wanted one with a weight of k to the power of
    −`skew` (Zipf's law; 0: all alike). A `count` of 0: no two requests share a key."""

    count: int = 0
    skew: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 0 or not 0 <= self.skew < math.inf:
            raise ValueError(f"expected a count and a skew of at least 0: {self}")


@dataclass(frozen=True, slots=True)
class Traits:
    """What a station has beside what `model.Station` says of it."""

    policy: Policy | None = None
    """None: the station's own `balance`."""
    queue_at: Literal["gateway", "replica"] = "gateway"
    """Where those wait for whom there is no place. At the gateway, which sends a replica no more than it has places
    for, they get the first place that becomes free anywhere (unless a hash decides). At the replica the policy has
    chosen for good; this is a gateway without limits, and what most of the literature on balancing means."""
    shape: Distribution | None = None
    """How service times vary around the mean that each call has: a measured sample, say. None: a gamma distribution
    with the call's own `scv`."""
    speeds: tuple[float, ...] = ()
    """Of the replicas: one of speed 2 works in half the time. Empty: all 1."""
    keys: Keys = Keys()
    retries: int = 2
    """How often the gateway sends a request on whose answer broke off; not while more wait than one replica serves at
    once, as replays would then be a load of their own."""
    repeatable_share: float = 1.0
    """Of the requests: those that may be sent twice."""
    failures: Failures | None = None
    outages: tuple[Outage, ...] = ()
    slowdowns: tuple[Slowdown, ...] = ()
    scaling: Scaling | None = None
    adapting: Adapting | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.repeatable_share <= 1 or self.retries < 0 or (self.speeds and not min(self.speeds) > 0):
            raise ValueError(f"expected a share in [0, 1], retries of at least 0 and speeds above 0: {self}")


@dataclass(frozen=True, slots=True)
class Visitors:
    """What those do who ask: how long they wait, and how often they try again."""

    patience_s: float = math.inf
    """Who got no answer by then gives up: leaves the queue, or is not there any more when the answer comes."""
    attempts_max: int = 1
    """1: nobody tries again."""
    backoff: Distribution = field(default_factory=lambda: Constant(0.1))
    """Pause before another attempt."""
    budget_share: float = math.inf
    """Retries for each request at most, on average (a token bucket). Infinite: whatever `attempts_max` allows."""
    budget_burst: float = 10.0
    """Retries that may come at once after a quiet time."""

    def __post_init__(self) -> None:
        if not self.patience_s > 0 or self.attempts_max < 1 or not self.budget_share >= 0 or not self.budget_burst >= 1:
            raise ValueError(f"expected patience above 0, at least one attempt and a budget of at least 0: {self}")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run, but for its seed. Requests come until `duration_s`; the run goes on until all have ended."""

    system: SystemModel
    arrivals: Arrivals
    duration_s: float
    traits: Mapping[str, Traits] = field(default_factory=dict)
    """By station; those that are not named have the default ones."""
    visitors: Visitors = Visitors()

    def __post_init__(self) -> None:
        if not 0 < self.duration_s < math.inf:
            raise ValueError(f"expected a finite duration above 0, got {self.duration_s}")
        names = {station.name for station in self.system.stations}
        if unknown := set(self.traits) - names:
            raise ValueError(f"traits of {sorted(unknown)}, and the stations are {sorted(names)}")
        for name, traits in self.traits.items():
            replicas = self.system.station(name).replicas
            if traits.speeds and len(traits.speeds) != replicas:
                raise ValueError(f"{name} has {replicas} replicas, and speeds {traits.speeds}")
            named = [outage.replica for outage in traits.outages]
            named += [slowdown.replica for slowdown in traits.slowdowns]
            if named and max(named) >= replicas and traits.scaling is None:
                raise ValueError(f"{name} has {replicas} replicas, counted from 0, and no number {max(named)}")

    def traits_of(self, station: str) -> Traits:
        return self.traits.get(station, _PLAIN)

    def shares_cores(self, station: Station) -> bool:
        """Whether requests that are worked on at once can slow each other down."""
        return station.cores_per_replica < station.concurrency or self.system.cores < math.inf

    def policy_of(self, station: Station) -> Policy:
        return self.traits_of(station.name).policy or station.balance


_PLAIN = Traits()


def of_one(station: Station, work: Work, arrivals: Arrivals, duration_s: float, traits: Traits = _PLAIN) -> Scenario:
    """A service alone: each request visits the station once."""
    system = SystemModel((station,), (Route("all", Call(station.name, work)),))
    return Scenario(system, arrivals, duration_s, {station.name: traits})
