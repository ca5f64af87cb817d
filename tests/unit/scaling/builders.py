"""Looks and loads in a line each."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from colonnade.core.decision import Decision
from colonnade.scaling.decide import step
from colonnade.scaling.limits import Bound, Machine
from colonnade.scaling.state import Look, Memory, ScalingPolicy, SetReplicas

PACE_S = 0.5


def policy(
    replicas: tuple[int, int] = (2, 12),
    threads: int = 2,
    *,
    p99_s: float | None = 0.25,
    target: float = 0.7,
    down_after_s: float = 60.0,
) -> ScalingPolicy:
    return ScalingPolicy("web", *replicas, threads, target, p99_s, down_after_s)


class World:
    """A service whose load is told from outside; replicas that are asked for are ready after `startup_s`."""

    def __init__(
        self, policy: ScalingPolicy, replicas: int = 2, *, service_s: float = 0.05, startup_s: float = 1.0
    ) -> None:
        self.policy = policy
        self.service_s = service_s
        self.startup_s = startup_s
        self.now = 0.0
        self.arrived = 0.0
        self.queued = 0.0
        self.desired = replicas
        self.memory = Memory()
        self.changes: list[tuple[float, int, str]] = []
        self.decision: Decision[SetReplicas] = Decision((), "not_seen", "")
        self.machine: Machine | None = None
        self.floors: Iterable[Bound] = ()
        self.latency_p99_s: float | None = None
        self.cores_used: float | None = None
        self.is_broken = False
        """Replicas that are asked for never get ready."""
        self._first = replicas
        self._ready_at = [0.0] * replicas

    def run(self, rate: float, duration_s: float) -> None:
        """A fluid load: `rate` comes evenly, what is more than the places serve waits."""
        for _ in range(round(duration_s / PACE_S)):
            self.look(rate * PACE_S)

    def look(self, arrivals: float) -> None:
        self.now += PACE_S
        self.arrived += arrivals
        ready = sum(1 for at in self._ready_at if at <= self.now)
        places = ready * self.policy.threads
        offered = arrivals / PACE_S * self.service_s
        self.queued = max(0.0, self.queued + arrivals - places / self.service_s * PACE_S)
        waits = [at for at in self._ready_at if at > self.now]
        seen = Look(
            at_s=self.now,
            arrived_total=int(self.arrived),
            in_service=places if self.queued >= 1 else min(places, round(offered)),
            queued=int(self.queued),
            service_time_s=self.service_s,
            desired=self.desired,
            ready=ready,
            latency_p99_s=self.latency_p99_s,
            cores_used=self.cores_used,
            startup_s=self.startup_s,
            ready_in_s=max(waits, default=self.now) - self.now if not self.is_broken else 0.0,
        )
        self.memory, self.decision = step(self.memory, seen, self.policy, self.machine, self.floors)
        for action in self.decision.actions:
            self._set(action.count)

    def _set(self, count: int) -> None:
        self.changes.append((self.now, count, self.decision.reason))
        at = float("inf") if self.is_broken else self.now + self.startup_s
        self._ready_at = [*self._ready_at[:count], *[at] * (count - self.desired)]
        self.desired = count

    def reversals(self) -> int:
        """How often the number turned from rising to falling or back."""
        counts = [self._first, *(count for _, count, _ in self.changes)]
        signs = [after > before for before, after in pairwise(counts)]
        return sum(one != other for one, other in pairwise(signs))
