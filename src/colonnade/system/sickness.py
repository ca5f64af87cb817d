"""Watches for replicas that are sick though they live, and has them replaced: looks, asks the pure parts, acts, tells.

`runtime/outliers.py` judges replicas by their peers, `runtime/trends.py` by where they are going, and
`gateway/adaptive.py` sets the shares of those that differ. This module remembers what they need, for one life of the
controller: the next one starts knowing nothing, and so condemns nobody by an old memory.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from colonnade.core.clock import Clock
from colonnade.core.decision import Decision
from colonnade.core.groups import GroupUsage
from colonnade.core.memory import MachineMemory
from colonnade.gateway import adaptive
from colonnade.gateway.state import PoolView, ServerView
from colonnade.runtime import outlier_decision, outliers, trends
from colonnade.runtime.outlier_decision import EndReplica, Pool, Replacement, ReplaceReplica
from colonnade.runtime.outliers import Holds, Look, Seen
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState
from colonnade.spec.derive import replica_groups
from colonnade.spec.model import ServiceSpec
from colonnade.system.system import System

LOOK_EVERY_S = 1.0
"""Every second look of the gateway's."""

EARLY_SHARE = 0.9
"""Of a pace: what is done at every look, or at every second one, is done at one that comes a little early too. Looks
never come on the dot, and otherwise half of them would be left for the next."""

LOOKS_MAX = 75
"""Somewhat more than the longest span of `outliers.py`, at this pace."""

WARM_UP_S = 10.0
"""After a replica became ready: caches fill, code is compiled, and it is not compared with those that run for long."""

USUAL_EVERY_S = 10.0
USUAL_COUNT_MIN, USUAL_COUNT_MAX = 6, 60
"""What a pool usually takes is known after a minute, and goes by the last ten minutes."""

FORESEE_EVERY_S = 5.0
"""Trends are of minutes."""

TELL_AGAIN_AFTER_S = 600.0
"""What is not done is told once, and again if it is so ten minutes later."""

WELL_AFTER_S = 10.0
"""A pool that was sick together is well again when it has been for this long."""

PAST_MAX = 200
"""Replacements that are remembered."""


@dataclass(slots=True)
class _Known:
    """What is remembered of one replica, while its process is the same one."""

    pid: int | None
    started_at_s: float
    total_restarts: int
    looks: deque[Look] = field(default_factory=lambda: deque(maxlen=LOOKS_MAX))
    outside_since_s: float | None = None
    address_space: trends.History = field(default_factory=trends.History)
    own_memory: trends.History = field(default_factory=trends.History)
    beside_peers: trends.History = field(default_factory=trends.History)
    heard_at_s: float = 0.0
    replaced_from_s: float | None = None
    """Since when it is being replaced."""

    @property
    def is_being_replaced(self) -> bool:
        return self.replaced_from_s is not None


@dataclass(slots=True)
class _Service:
    """What is remembered of a service."""

    usual_s: deque[float] = field(default_factory=lambda: deque(maxlen=USUAL_COUNT_MAX))
    usual_at_s: float = 0.0
    together_at_s: float | None = None
    """When most of it was last seen sick; None once it is well."""
    told_at_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """By kind of event and reason, when it was told that nothing is done."""


class SicknessWatch:
    """Memory and effects; one per life of a controller. `look` is called once a second."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._clock: Clock = system.clock
        self._known: dict[ReplicaId, _Known] = {}
        self._services: dict[str, _Service] = {}
        self._lifetimes: dict[ReplicaId, deque[float]] = {}
        self._past: deque[Replacement] = deque(maxlen=PAST_MAX)
        self._machine_used = trends.History()
        self._looked_at_s = 0.0
        self._weighed_at_s = 0.0
        self._foresaw_at_s = 0.0

    def look(self, used: Mapping[int, GroupUsage], machine: MachineMemory) -> None:
        """One look at everything; `used` is by process group."""
        view = self._system.gateway.view()
        now = self._clock.monotonic()
        if view.observed_at_s == self._looked_at_s:
            return  # the gateway has not been looked at since, because it is being restarted, say
        self._looked_at_s = view.observed_at_s
        runtime = self._system.runtime.view()
        self._meet(runtime.replicas, now)
        self._machine_used = self._machine_used.with_sample(now, machine.total_bytes - machine.available_bytes)
        weighs = now - self._weighed_at_s >= EARLY_SHARE * adaptive.STEP_EVERY_S
        foresees = now - self._foresaw_at_s >= EARLY_SHARE * FORESEE_EVERY_S
        for name, spec in self._system.services.items():
            pool = view.pools.get(name)
            replicas = [replica for replica in runtime.replicas if replica.id.service == name]
            if pool is None:
                continue
            ready = self._note(pool, replicas, view.observed_at_s)
            for replica in ready:
                self._note_memory(replica, used, now)
                self._take_back(replica, spec, now)
            is_whole = len(ready) >= runtime.desired.get(name, 0) and not pool.is_failed_open
            if spec.health.outliers:
                self._judge(name, spec, ready, now, is_whole=is_whole)
            if spec.health.outliers and foresees and is_whole:
                self._foresee(name, spec, ready, machine, now)
            if weighs and spec.balance == "adaptive":
                self._weigh(spec, ready, now)
        self._weighed_at_s = now if weighs else self._weighed_at_s
        self._foresaw_at_s = now if foresees else self._foresaw_at_s

    # What is remembered

    def _meet(self, replicas: Sequence[ObservedReplica], now: float) -> None:
        """Forget processes that are no more; note at which age those ended that nobody asked to."""
        seen = {replica.id: replica for replica in replicas}
        for replica in [replica for replica in self._known if replica not in seen]:
            self._forget(replica)
        for replica, observed in seen.items():
            known = self._known.get(replica)
            restarts = observed.history.total_restarts
            if known is not None and restarts > known.total_restarts and not known.is_being_replaced:
                lives = self._lifetimes.setdefault(replica, deque(maxlen=trends.LIFETIMES_KEPT))
                lives.append(now - known.started_at_s)
            if known is None or (observed.pid, restarts) != (known.pid, known.total_restarts):
                self._forget(replica)
                self._known[replica] = _Known(observed.pid, observed.started_at_s, restarts, heard_at_s=now)

    def _forget(self, replica: ReplicaId) -> None:
        self._known.pop(replica, None)
        if self._system.factors.pop(replica, None) is not None:
            self._system.changed.set()

    def _note(self, pool: PoolView, replicas: Sequence[ObservedReplica], at_s: float) -> list[ObservedReplica]:
        """Keep this look at each replica that serves; returns those."""
        serving = []
        for replica in replicas:
            server = pool.servers.get(replica.id.number)
            if replica.state is not ReplicaState.READY or server is None or not _passes(server):
                continue
            serving.append(replica)
            self._known[replica.id].looks.append(_look_of(server, at_s))
        return serving

    def _note_memory(self, replica: ObservedReplica, used: Mapping[int, GroupUsage], now: float) -> None:
        seen = used.get(replica.pid or 0)
        if seen is not None:
            known = self._known[replica.id]
            known.address_space = known.address_space.with_sample(now, seen.address_space_bytes_max)
            known.own_memory = known.own_memory.with_sample(now, seen.own_bytes)

    def _take_back(self, replica: ObservedReplica, spec: ServiceSpec, now: float) -> None:
        """A replica that should have been replaced by now and was not (a new one does not start, say) serves on."""
        since = self._known[replica.id].replaced_from_s
        limit_s = spec.health.start_timeout_s + 2 * spec.stop_timeout_s + WARM_UP_S
        if since is None or now - since < limit_s:
            return
        self._known[replica.id].replaced_from_s = None
        if self._system.factors.pop(replica.id, None) is not None:
            self._system.changed.set()
        message = f"{replica.id} was to be replaced {now - since:.0f} s ago and was not: it serves on"
        self._system.say("replica_sick", str(replica.id), "not_replaced", message)

    # Outliers

    def _judge(
        self, name: str, spec: ServiceSpec, ready: Sequence[ObservedReplica], now: float, *, is_whole: bool
    ) -> None:
        seen = [self._seen(replica, spec) for replica in ready if not self._known[replica.id].is_being_replaced]
        findings = {one.id: finding for one in seen if (finding := outliers.find(one, seen)) is not None}
        since: dict[ReplicaId, float] = {}
        for one in seen:
            known = self._known[one.id]
            if one.id not in findings:
                known.outside_since_s = None
                continue
            if known.outside_since_s is None:
                known.outside_since_s = now
            since[one.id] = known.outside_since_s
        self._compare(seen, now)
        pool = Pool(name, seen, findings, since, self._usual_s(name, seen, now))
        self._act(name, outlier_decision.decide(pool, self._past, now, is_whole=is_whole), now)

    def _seen(self, replica: ObservedReplica, spec: ServiceSpec) -> Seen:
        group = str(_group_of(spec, replica.id.number))
        holds = Holds(spec.threads, spec.request_timeout_s)
        return outliers.see(replica.id, self._known[replica.id].looks, group, replica.state_since_s + WARM_UP_S, holds)

    def _usual_s(self, name: str, seen: Sequence[Seen], now: float) -> float | None:
        service = self._services.setdefault(name, _Service())
        present_s = outliers.usual_latency_s(seen)
        if present_s is not None and now - service.usual_at_s >= USUAL_EVERY_S:
            service.usual_at_s = now
            service.usual_s.append(present_s)
        return statistics.median(service.usual_s) if len(service.usual_s) >= USUAL_COUNT_MIN else None

    def _compare(self, seen: Sequence[Seen], now: float) -> None:
        """Note by how much each replica is slower than its peers."""
        for one in seen:
            ratio = outliers.beside_peers(one, seen)
            if ratio is not None:
                known = self._known[one.id]
                known.beside_peers = known.beside_peers.with_sample(now, ratio)

    def _act(self, name: str, decision: Decision[outlier_decision.Action], now: float) -> None:
        self._note_together(name, decision, now)
        for action in decision.actions:
            match action:
                case ReplaceReplica(replica):
                    self._replace(replica, decision.reason, decision.message, now)
                case EndReplica(replica):
                    self._end(replica, decision.reason, decision.message, now)
        if decision.reason in outlier_decision.HELD_BACK:
            self._tell_at_times("replica_sick", name, decision.reason, decision.message, now)

    def _tell_at_times(self, kind: str, name: str, reason: str, message: str, now: float) -> None:
        told_at_s = self._services.setdefault(name, _Service()).told_at_s
        if now - told_at_s.get((kind, reason), -TELL_AGAIN_AFTER_S) >= TELL_AGAIN_AFTER_S:
            told_at_s[kind, reason] = now
            self._system.say(kind, name, reason, message)

    def _note_together(self, name: str, decision: Decision[outlier_decision.Action], now: float) -> None:
        service = self._services.setdefault(name, _Service())
        if decision.reason == "pool_sick_together":
            if service.together_at_s is None:
                self._system.say("pool_sick_together", name, "most_are_sick", decision.message)
            service.together_at_s = now
        elif service.together_at_s is not None and now - service.together_at_s >= WELL_AFTER_S:
            service.together_at_s = None
            self._system.say(
                "pool_well_again", name, "most_are_well", f"most of {name} has been well for {WELL_AFTER_S:.0f} s"
            )

    def _replace(self, replica: ReplicaId, reason: str, message: str, now: float) -> None:
        if not self._system.runtime.replace(replica, reason=reason, message=message):
            return  # somebody else replaces one of this service: if this one is still sick then, its turn comes
        self._system.say("replica_sick", str(replica), reason, message)
        self._begin(replica, now)
        # At once, even if a new one is started before this one is drained.
        self._system.factors[replica] = 0.0
        self._system.changed.set()

    def _end(self, replica: ReplicaId, reason: str, message: str, now: float) -> None:
        self._system.say("replica_sick", str(replica), reason, message)
        if self._system.runtime.end(replica, reason=reason, message=message):
            self._begin(replica, now)

    def _begin(self, replica: ReplicaId, now: float, *, is_foreseen: bool = False) -> None:
        self._past.append(Replacement(replica, now, is_foreseen))
        self._known[replica].replaced_from_s = now

    # Trends

    def _foresee(
        self, name: str, spec: ServiceSpec, ready: Sequence[ObservedReplica], machine: MachineMemory, now: float
    ) -> None:
        """At most one replica that is expected to fail is replaced, the one with the least time left."""
        if self._services.setdefault(name, _Service()).together_at_s is not None:
            return
        known = [replica for replica in ready if not self._known[replica.id].is_being_replaced]
        found = [one for replica in known for one in self._expected_of(replica, spec, now)]
        alone = {replica.id: self._known[replica.id].own_memory for replica in known}
        if (full := trends.expect_machine_full(self._machine_used, machine.total_bytes, alone)) is not None:
            found.append(full)
        if not found:
            return
        first = min(found, key=lambda one: (one.left_s, one.id))
        if (enough := outlier_decision.enough_replaced(name, len(ready), self._past, now)) is not None:
            message = f"{first.message}; {enough}"
            self._tell_at_times("replica_expected_to_fail", name, "enough_replaced", message, now)
            return
        if not self._system.runtime.replace(first.id, reason=first.reason, message=first.message):
            return
        self._system.say("replica_expected_to_fail", str(first.id), first.reason, first.message)
        # Its requests need not leave it before a new one is there, so it keeps its weight.
        self._begin(first.id, now, is_foreseen=True)
        if first.reason == "dies_at_this_age":
            # What it rests on is used up a little by each use, so that a cause that has gone is noticed.
            self._lifetimes[first.id].popleft()

    def _expected_of(self, replica: ObservedReplica, spec: ServiceSpec, now: float) -> list[trends.Expectation]:
        known = self._known[replica.id]
        lives = self._lifetimes.get(replica.id, ())
        found = [
            trends.expect_slowness(replica.id, known.beside_peers, outliers.SLOW_RATIO),
            trends.expect_death(replica.id, tuple(lives), now - replica.started_at_s),
        ]
        if spec.memory_bytes_max is not None:
            found.append(trends.expect_out_of_memory(replica.id, known.address_space, spec.memory_bytes_max))
        return [one for one in found if one is not None]

    # Shares

    def _weigh(self, spec: ServiceSpec, ready: Sequence[ObservedReplica], now: float) -> None:
        factors = self._system.factors
        measured: dict[ReplicaId, adaptive.Measured] = {}
        for replica in ready:
            known = self._known[replica.id]
            if known.is_being_replaced:
                continue
            recent = outliers.recent(self._seen(replica, spec), adaptive.ANSWERS_MIN)
            time_s = adaptive.mean_s(recent.latency) if recent is not None else None
            if time_s is not None:
                known.heard_at_s = now
            factor = factors.get(replica.id, 1.0)
            unheard_s = now - known.heard_at_s
            measured[replica.id] = adaptive.Measured(replica.id.number, factor, time_s, unheard_s)
        wanted = adaptive.next_factors(tuple(measured.values()))
        for replica_id, one in measured.items():
            if wanted[one.slot] != one.factor:
                factors[replica_id] = wanted[one.slot]
                self._system.changed.set()


def _passes(server: ServerView) -> bool:
    return server.status == "UP" and server.failing_since_s is None


def _look_of(server: ServerView, at_s: float) -> Look:
    return Look(at_s, server.latency, server.server_errors_total, server.errors_total, server.sessions)


def _group_of(spec: ServiceSpec, number: int) -> int:
    """Replicas of one group are alike; those added by scaling belong to the last one."""
    for index, group in enumerate(replica_groups(spec)):
        if number <= group.count:
            return index
        number -= group.count
    return len(replica_groups(spec)) - 1


async def watch_sickness(system: System) -> None:
    """Look once a second, for as long as the system runs."""
    watch = SicknessWatch(system)
    looked_at_s = -math.inf
    while True:
        now = (await system.gateway.next_view()).observed_at_s
        if now - looked_at_s < EARLY_SHARE * LOOK_EVERY_S:
            continue
        looked_at_s = now
        reading = system.readings.at(now)
        watch.look(reading.groups, reading.machine)
