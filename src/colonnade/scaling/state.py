"""The data that scaling decisions are made from: one look, a short memory of looks, a policy. Frozen, plain.

Invariant of a memory: its looks are in the order of time, none older than LOOKS_KEPT_S, and totals never fall from one
to the next (`window.remember` sees to it).
"""

from __future__ import annotations

from dataclasses import dataclass

LOOKS_KEPT_S = 30.0
"""The longest window over which a rate is taken: ten requests a second are then known to 12 %."""

LATENCY_OVER_S = 10.0
"""Over which the 99th percentile is taken: at ten requests a second it is one of a hundred."""

LOOKS_MAX = 200
"""In LOOKS_KEPT_S, whatever the pace: at the usual two a second there are sixty."""


@dataclass(frozen=True, slots=True)
class Look:
    """One service at one moment, as the gateway and the runtime see it. Times are monotonic seconds."""

    at_s: float
    arrived_total: int
    """Requests that ever came for this service, those refused included."""
    in_service: int
    """Requests that occupy a place of a replica now; streams do not count."""
    queued: int
    """Requests that wait in the gateway for a place."""
    service_time_s: float
    """Mean time in which a replica begins its answer, over the gateway's latest thousand; 0 when nobody answered."""
    desired: int
    """Replicas asked for, whether they serve yet or not."""
    ready: int
    latency_p99_s: float | None = None
    """99 of 100 answers of the last LATENCY_OVER_S came within this, waiting included; None when not known."""
    cores_used: float | None = None
    """Cores that the ready replicas use together; None when not measured yet."""
    startup_s: float = 1.0
    """From the decision for a replica until it serves, as measured on the last ones."""
    ready_in_s: float = 0.0
    """Seconds until the replicas that start are expected to serve; 0 when none starts."""

    @property
    def missing(self) -> int:
        """Replicas that are asked for and do not serve yet: starting, or waiting to be started again."""
        return max(0, self.desired - self.ready)


@dataclass(frozen=True, slots=True)
class Need:
    """At `at_s` the service needed so many replicas, by a cautious reading of its load."""

    at_s: float
    replicas: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept from look to look. `needs` falls from the oldest to the newest: only such a need can still be the
    highest of some window that ends later, so there are never more than a service has replicas."""

    looks: tuple[Look, ...] = ()
    needs: tuple[Need, ...] = ()
    watching_since_s: float | None = None
    """Since when needs are known: fewer replicas only after having watched for long enough."""


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What is declared of a service, as far as scaling goes by it."""

    service: str
    replicas_min: int
    replicas_max: int
    threads: int
    """Places of one replica: requests that it serves at once."""
    target_utilization: float = 0.75
    objective_p99_s: float | None = None
    down_after_s: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.replicas_min <= self.replicas_max or self.threads < 1 or self.down_after_s <= 0:
            raise ValueError(f"not a policy: {self}")


@dataclass(frozen=True, slots=True)
class SetReplicas:
    """The only effect: from now on so many are asked for."""

    service: str
    count: int
