"""The loop that scales services by themselves: look at gateway and runtime, ask `scaling.decide`, tell the runtime.

Only services with `replicas = { min, max }` and max above min. A number given by `colonnade scale` is pinned: it holds
until `colonnade scale SERVICE=auto`. Nothing is decided here; what is, and why, is an event and in `status`.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from colonnade.core.decision import Decision
from colonnade.core.errors import HostError, SpecError
from colonnade.core.histogram import Histogram
from colonnade.core.processor import cores_allowed
from colonnade.gateway.state import PoolView
from colonnade.runtime.state import ObservedReplica, ReplicaState
from colonnade.scaling.decide import step
from colonnade.scaling.demand import replicas_for
from colonnade.scaling.forecast import forecast, with_minute
from colonnade.scaling.limits import Bound, Machine
from colonnade.scaling.schedule import scheduled_floor
from colonnade.scaling.state import LATENCY_OVER_S, Look, Memory, ScalingPolicy, SetReplicas
from colonnade.spec.model import ServiceSpec
from colonnade.system import scaling_record

if TYPE_CHECKING:
    from colonnade.system.system import System

HISTORY_EVERY_MINUTES = 10
"""Between two writings of the demand history: what a crash may cost it."""

STARTUP_S_UNKNOWN = 1.5
"""As long as no start was seen: what a small Flask application takes on a core of its own."""

STARTUP_S_MIN = 0.1
"""Less is no start but a replica that was taken over as it ran."""

TELL_AGAIN_S = 60.0
"""That a service is at its limit is told once, and again after this."""


@dataclass(slots=True)
class _Scaled:
    """One service that is scaled, as this life of the controller holds it."""

    spec: ServiceSpec
    policy: ScalingPolicy
    history: dict[int, float]
    memory: Memory = field(default_factory=Memory)
    decision: Decision[SetReplicas] = field(
        default_factory=lambda: Decision((), "not_seen", "nothing was seen of its load yet")
    )
    usage_at_s: float = -math.inf
    used_s: dict[int, float] = field(default_factory=dict)
    """Processor seconds per process group, at the last measurement."""
    cores_used: float | None = None
    machine: Machine | None = None
    latencies: deque[tuple[float, Histogram]] = field(default_factory=deque)
    """What was counted when, over LATENCY_OVER_S."""
    told: tuple[str, float] = ("", -math.inf)
    minute: int = 0
    minute_busy: list[float] = field(default_factory=list)
    forecast_floor: Bound | None = None


class Autoscaler:
    """Scales the services of one system. `run` is its loop; `pin` and `release` are what people ask for."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._seen_at_s = -math.inf
        self._pins = _pins(system)
        self._services: dict[str, _Scaled] = {}
        self.follow()

    def follow(self) -> None:
        """Go by the declaration that counts now: at first, and whenever a deployment changes it. What is known of a
        service that is scaled as before is kept."""
        known = self._services
        self._services = {}
        for name, spec in self._system.services.items():
            if is_scaled(spec):
                before = known.get(name)
                history = before.history if before is not None else _history(self._system, name)
                is_as_before = before is not None and before.spec == spec
                self._services[name] = (
                    before if before and is_as_before else _Scaled(spec, policy_of(name, spec), history)
                )

    def pin(self, service: str, replicas: int) -> None:
        """Keep this number until `release`. For a service that is not scaled there is nothing to pin."""
        if service in self._services:
            self._pins[service] = replicas
            self._save_pins()

    def release(self, service: str) -> None:
        """Scale by load again. Raises SpecError for a service with a fixed number."""
        if service not in self._services:
            raise SpecError(
                "has a fixed number of replicas, so nothing scales it",
                subject=f"services.{service}",
                hint="give bounds in colonnade.toml: replicas = { min = 2, max = 8 }",
            )
        if self._pins.pop(service, None) is not None:
            self._save_pins()
            self._system.say("scaling_released", service, "asked", f"{service} is scaled by its load again")

    def describe(self, service: str) -> dict[str, Any]:
        """For `status`: how the number of replicas comes about, and the last decision."""
        scaled = self._services.get(service)
        if scaled is None:
            return {"mode": "fixed", "reason": "fixed", "message": "its number of replicas is fixed"}
        about: dict[str, Any] = {"min": scaled.policy.replicas_min, "max": scaled.policy.replicas_max}
        if (pinned := self._pins.get(service)) is not None:
            message = f"{service} stays at {pinned}: pinned; `colonnade scale {service}=auto` lets go"
            return {"mode": "pinned", "reason": "pinned", "message": message, **about}
        return {"mode": "auto", "reason": scaled.decision.reason, "message": scaled.decision.message, **about}

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._system.gateway.next_view()
                self.tick()
        finally:
            for name, scaled in self._services.items():
                self._save_history(name, scaled.history)

    def tick(self) -> None:
        """One decision per service, if the gateway was looked at since the last time."""
        view = self._system.gateway.view()
        if not self._services or view.pid is None or view.observed_at_s <= self._seen_at_s:
            return
        self._seen_at_s = view.observed_at_s
        runtime = self._system.runtime.view()
        for name, scaled in self._services.items():
            replicas = [replica for replica in runtime.replicas if replica.id.service == name]
            pool = view.pools.get(name)
            desired = runtime.desired.get(name)
            if pool is None or desired is None:
                continue  # while all is adopted: replicas are known before their number
            # A service that has never served is the start's business.
            if any(replica.state is ReplicaState.READY for replica in replicas):
                self._measure(scaled, replicas, view.observed_at_s)
                look = self._look(scaled, pool, replicas, desired, view.observed_at_s)
                self._decide(name, scaled, look)

    def _decide(self, name: str, scaled: _Scaled, look: Look) -> None:
        scaled.memory, scaled.decision = step(
            scaled.memory, look, scaled.policy, scaled.machine, tuple(self._floors(scaled))
        )
        self._note_minute(name, scaled, look)
        if (pinned := self._pins.get(name)) is not None:
            if look.desired != pinned:  # after a start that was no adoption
                self._system.runtime.scale(name, pinned, reason="pinned")
            return
        decision = scaled.decision
        for action in decision.actions:
            self._system.runtime.scale(action.service, action.count, reason=decision.reason, message=decision.message)
        if not decision.actions and decision.reason.startswith(("limit_", "slow_")):
            self._tell(name, scaled, look.at_s)

    def _tell(self, name: str, scaled: _Scaled, now: float) -> None:
        """What keeps a service from growing is worth an event, though nothing is done."""
        reason, at_s = scaled.told
        if reason != scaled.decision.reason or now - at_s >= TELL_AGAIN_S:
            scaled.told = (scaled.decision.reason, now)
            self._system.say("scaling_held", name, scaled.decision.reason, scaled.decision.message)

    def _floors(self, scaled: _Scaled) -> Iterator[Bound]:
        if schedule := scaled.spec.scaling.schedule:
            local = datetime.fromtimestamp(self._system.clock.wall(), UTC).astimezone()
            if (scheduled := scheduled_floor(schedule, local)) is not None:
                yield scheduled
        if scaled.spec.scaling.predict and scaled.forecast_floor is not None:
            yield scaled.forecast_floor

    def _look(
        self, scaled: _Scaled, pool: PoolView, replicas: list[ObservedReplica], desired: int, at_s: float
    ) -> Look:
        ready = sum(1 for replica in replicas if replica.state is ReplicaState.READY)
        startup_s = startup_s_of(replicas)
        return Look(
            at_s=at_s,
            arrived_total=pool.traffic.requests_total,
            in_service=sum(server.sessions for server in pool.servers.values()),
            queued=pool.traffic.queued,
            service_time_s=pool.traffic.response_ms_mean / 1000,
            desired=desired,
            ready=ready,
            latency_p99_s=_latency_p99_s(scaled.latencies, at_s, pool.latency),
            cores_used=scaled.cores_used,
            startup_s=startup_s,
            ready_in_s=ready_in_s(replicas, desired - ready, startup_s, at_s, self._system.runtime.starts_at_once_max),
        )

    def _measure(self, scaled: _Scaled, replicas: list[ObservedReplica], now: float) -> None:
        """Processor and memory of the replicas that serve, as they were read last."""
        reading = self._system.readings.at(now)
        passed_s = reading.at_s - scaled.usage_at_s
        if passed_s <= 0:
            return
        serving = {replica.pid for replica in replicas if replica.state is ReplicaState.READY and replica.pid}
        held = {pid: usage for pid, usage in reading.groups.items() if pid in serving}
        used_s = {pid: usage.processor_s for pid, usage in held.items()}
        rates = [(used_s[pid] - scaled.used_s[pid]) / passed_s for pid in used_s.keys() & scaled.used_s.keys()]
        # What starts up is busy with itself: only those count that served during all of the time.
        scaled.cores_used = max(0.0, statistics.fmean(rates)) * len(serving) if rates else None
        scaled.used_s, scaled.usage_at_s = used_s, reading.at_s
        if held:
            memory = reading.machine
            largest = max(group.own_bytes for group in held.values())
            scaled.machine = Machine(
                cores_allowed(), memory.total_bytes, memory.available_bytes, largest, replicas=len(held)
            )

    def _note_minute(self, name: str, scaled: _Scaled, look: Look) -> None:
        """The demand of each minute, and once a minute what earlier days say of the next ones."""
        minute = int(self._system.clock.wall() // 60)
        if minute != scaled.minute:
            if scaled.minute_busy:
                scaled.history = with_minute(scaled.history, scaled.minute, statistics.fmean(scaled.minute_busy))
                if minute % HISTORY_EVERY_MINUTES == 0:
                    self._save_history(name, scaled.history)
            scaled.minute, scaled.minute_busy = minute, []
            scaled.forecast_floor = forecast_floor(scaled.history, minute, scaled.policy, look.service_time_s)
        looks = scaled.memory.looks
        if len(looks) >= 2:
            rate = (looks[-1].arrived_total - looks[-2].arrived_total) / (looks[-1].at_s - looks[-2].at_s)
            scaled.minute_busy.append(rate * look.service_time_s)

    def _save_pins(self) -> None:
        try:
            scaling_record.write_pins(self._system.paths, self._pins)
        except HostError as error:
            self._system.say("scaling_not_written", "services", "host_refused", str(error))

    def _save_history(self, name: str, history: Mapping[int, float]) -> None:
        try:
            scaling_record.write_demand_history(self._system.paths, name, history)
        except HostError as error:
            # Predictions are a help; scaling goes on without them.
            self._system.say("scaling_not_written", name, "host_refused", str(error))


def _latency_p99_s(counted: deque[tuple[float, Histogram]], now: float, latency: Histogram) -> float | None:
    """Of the answers of the last LATENCY_OVER_S, waiting included; notes what is counted now."""
    counted.append((now, latency))
    while counted[0][0] < now - LATENCY_OVER_S:
        counted.popleft()
    return latency.since(counted[0][1]).quantile_s(0.99)


def is_scaled(spec: ServiceSpec) -> bool:
    return not spec.replicas.fixed and spec.replicas.max > spec.replicas.min and not spec.weights


def policy_of(name: str, spec: ServiceSpec) -> ScalingPolicy:
    """`min = 0` counts as 1: with no replica at all nobody would answer the request that ends the rest."""
    return ScalingPolicy(
        service=name,
        replicas_min=max(1, spec.replicas.min),
        replicas_max=spec.replicas.max,
        threads=spec.threads,
        target_utilization=spec.scaling.target_utilization,
        objective_p99_s=spec.slo.p99_s if spec.slo is not None else None,
        down_after_s=spec.scaling.down_after_s,
    )


def startup_s_of(replicas: list[ObservedReplica]) -> float:
    """The median of how long the replicas that serve took to get there."""
    took = [
        replica.state_since_s - replica.started_at_s
        for replica in replicas
        if replica.state is ReplicaState.READY and replica.state_since_s - replica.started_at_s >= STARTUP_S_MIN
    ]
    return statistics.median(took) if took else STARTUP_S_UNKNOWN


def ready_in_s(
    replicas: list[ObservedReplica], missing: int, startup_s: float, now: float, starts_at_once: int
) -> float:
    """Until those that are asked for serve, `starts_at_once` of them at a time."""
    if missing <= 0:
        return 0.0
    begun = [replica.started_at_s for replica in replicas if replica.state is ReplicaState.STARTING]
    passed_s = now - min(begun) if begun else 0.0
    return max(0.0, math.ceil(missing / starts_at_once) * startup_s - passed_s)


def forecast_floor(
    history: Mapping[int, float], minute: int, policy: ScalingPolicy, service_time_s: float
) -> Bound | None:
    """The replicas that the load of the next minutes needs, if earlier days tell it."""
    found = forecast(history, minute)
    if found is None or service_time_s <= 0:
        return None
    replicas = min(policy.replicas_max, replicas_for(found.busy / service_time_s, service_time_s, policy))
    return Bound(
        replicas,
        "forecast",
        f"at this time of the {found.pattern} {found.busy:.1f} places were busy "
        f"(over the last hour this told the load to {found.error:.0%})",
    )


def _pins(system: System) -> dict[str, int]:
    try:
        return scaling_record.read_pins(system.paths)
    except HostError as error:
        system.say("scaling_not_read", "services", "host_refused", str(error))
        return {}


def _history(system: System, service: str) -> dict[int, float]:
    try:
        return scaling_record.read_demand_history(system.paths, service)
    except HostError as error:
        system.say("scaling_not_read", service, "host_refused", str(error))
        return {}
