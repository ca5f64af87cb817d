"""The loop that keeps replicas at the number wanted: observe, decide, apply, emit.

Callbacks (a pidfd, a probe, the gateway's numbers) only record what they saw and wake the loop; `tick` alone decides.
Long work (stopping, killing) is a task whose end is seen by the next tick as an observation.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, assert_never

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.decision import Decision
from colonnade.core.errors import ColonnadeError, HostError
from colonnade.core.events import EventLog
from colonnade.core.files import tail_lines
from colonnade.core.ports import PortAllocator
from colonnade.runtime.decide import decide, decide_absent, wanted_numbers
from colonnade.runtime.launch import ServicePlan, log_path, replica_command
from colonnade.runtime.probe import probe
from colonnade.runtime.registry import RegisteredReplica, Registry, write_registry
from colonnade.runtime.restart import is_crash_loop, next_restart
from colonnade.runtime.state import (
    Action,
    DrainReplica,
    ForgetReplica,
    KillReplica,
    MarkReady,
    ObservedReplica,
    ReplicaId,
    ReplicaState,
    ScheduleRestart,
    StartReplica,
    StopReplica,
)
from colonnade.runtime.transitions import check_transition

TICK_S = 1.0
"""The slowest pace: everything urgent wakes the loop at once."""

PROBE_INTERVAL_S = 0.03
"""While a replica starts: fine enough not to add to its start, and each attempt is one refused connection."""

UNREADY_GRACE_S = 1.0
"""Between SIGTERM and SIGKILL for a replica that was never ready: it has nothing to finish, and Granian does not hear
SIGTERM while its worker imports the application."""

LOG_TAIL_LINES = 15
"""Shown with a failure: a Python traceback's end fits."""


@dataclass(slots=True)
class _Replica:
    """A replica as the controller holds it: the last observation, its process and its running task."""

    observed: ObservedReplica
    process: processes.Process | None = None
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class RuntimeView:
    """For `status` and for the mapping to the gateway."""

    desired: Mapping[str, int]
    replicas: tuple[ObservedReplica, ...] = field(default_factory=tuple)


class RuntimeController:
    """Owns the replicas of all services. `on_change` is called after each change of state, address or number.

    `starts_at_once_max` bounds the new replicas of a service that start side by side: importing an application is
    all processor, so more of them than cores only make the first one late.
    """

    def __init__(
        self,
        registry_path: Path,
        ports: PortAllocator,
        events: EventLog,
        clock: Clock,
        random: Random,
        on_change: Callable[[], None],
        *,
        starts_at_once_max: int,
    ) -> None:
        self._registry_path = registry_path
        self._ports = ports
        self._events = events
        self._clock = clock
        self._random = random
        self._on_change = on_change
        self._starts_at_once_max = starts_at_once_max
        self._plans: dict[str, ServicePlan] = {}
        self._desired: dict[str, int] = {}
        self._replicas: dict[ReplicaId, _Replica] = {}
        self._replaced: set[ReplicaId] = set()
        """Drained and stopped although they are wanted; they start anew once they are gone."""
        self._wake = asyncio.Event()
        self._recheck_after_s = TICK_S
        self._is_unsaved = False

    # What others may ask and tell

    def view(self) -> RuntimeView:
        return RuntimeView(dict(self._desired), tuple(self._replicas[key].observed for key in sorted(self._replicas)))

    def add_service(self, plan: ServicePlan, count: int) -> None:
        """Begin to run a service with `count` replicas; those adopted while they started are asked again."""
        self._plans[plan.name] = plan
        self._desired[plan.name] = count
        for replica, record in self._replicas.items():
            if replica.service == plan.name and record.observed.state is ReplicaState.STARTING:
                self._begin(record, self._probe(replica))
        self._wake.set()

    def scale(self, service: str, count: int) -> None:
        old = self._desired[service]
        self._desired[service] = count
        self._save()
        self._events.emit(
            "service_scaled", service, reason="asked", message=f"{service} goes from {old} to {count} replicas"
        )
        self._wake.set()

    def replace(self, replica: ReplicaId, *, reason: str, message: str) -> bool:
        """Drain it, stop it and start it anew under its number. False when it does not serve, or when another one of
        its service is being replaced."""
        record = self._replicas.get(replica)
        if record is None or record.observed.state is not ReplicaState.READY or record.observed.is_being_killed:
            return False
        if any(other.service == replica.service for other in self._replaced):
            return False
        self._replaced.add(replica)
        self._events.emit("replica_replaced", str(replica), reason=reason, message=f"{message}: it is replaced")
        self._wake.set()
        return True

    def end(self, replica: ReplicaId, *, reason: str, message: str) -> bool:
        """Kill it, so that what it holds is sent elsewhere, and start it anew. False when it does not serve."""
        record = self._replicas.get(replica)
        if record is None or record.observed.state is not ReplicaState.READY or record.observed.is_being_killed:
            return False
        self._apply(Decision((KillReplica(replica),), reason, message))
        return True

    def observe_traffic(
        self, replica: ReplicaId, *, in_flight: int | None, is_unhealthy: bool, is_widespread: bool = False
    ) -> None:
        """What the gateway sees of one replica; recorded for the next tick."""
        record = self._replicas.get(replica)
        if record is None:
            return
        since = record.observed.unhealthy_since_s
        if not is_unhealthy or record.observed.state is not ReplicaState.READY:
            since = None
        elif since is None:
            since = self._clock.monotonic()
        changed = (in_flight, since) != (record.observed.in_flight, record.observed.unhealthy_since_s)
        record.observed = replace(
            record.observed, in_flight=in_flight, unhealthy_since_s=since, is_sickness_widespread=is_widespread
        )
        if changed and (is_unhealthy or record.observed.state is ReplicaState.DRAINING):
            self._wake.set()

    def adopt(self, registry: Registry) -> None:
        """Take over what an earlier controller left running: known replicas become ours, unknown ones end."""
        now = self._clock.monotonic()
        for entry in registry.replicas:
            process = processes.adopt(entry.process)
            if process is None:
                continue
            state = ReplicaState.READY if entry.is_ready else ReplicaState.STARTING
            observed = ObservedReplica(entry.id, state, now, process.pid, entry.port, now, is_probe_ok=entry.is_ready)
            history = replace(observed.history, total_restarts=entry.total_restarts)
            self._replicas[entry.id] = _Replica(replace(observed, history=history), process)
            process.on_exit(lambda replica=entry.id: self._exited(replica))  # type: ignore[misc]
            self._events.emit(
                "replica_adopted",
                str(entry.id),
                reason="controller_restarted",
                message=f"{entry.id} goes on as pid {process.pid}",
            )

    # The loop

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self._wake.clear()
            self.tick()
            # Not wait_for: up to Python 3.11 it loses a cancellation that comes together with the wake, and then
            # whoever waits for this loop to end waits for ever.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._recheck_after_s):
                    await self._wake.wait()

    def tick(self) -> None:
        """Look at every replica once, and take the next step for each."""
        now = self._clock.monotonic()
        self._recheck_after_s = TICK_S
        for service, plan in self._plans.items():
            wanted = {ReplicaId(service, number) for number in wanted_numbers(self._desired[service])}
            for replica in sorted(wanted - self._replicas.keys())[: self._free_starts(service)]:
                self._apply(decide_absent(replica))
            for replica in sorted(key for key in self._replicas if key.service == service):
                record = self._replicas[replica]
                if record.process is not None and not record.observed.has_exited and record.process.has_exited():
                    self._exited(replica)
                decision = decide(
                    record.observed,
                    is_wanted=replica in wanted and replica not in self._replaced,
                    policy=plan.policy,
                    now=now,
                    jitter=self._random.random(),
                )
                self._apply(decision)
                if decision.recheck_after_s is not None:
                    self._recheck_after_s = min(self._recheck_after_s, max(0.01, decision.recheck_after_s))
        if self._is_unsaved:
            self._save()

    def _free_starts(self, service: str) -> int:
        """How many new replicas of a service may start now; those that replace a dead one do not wait for this."""
        starting = sum(
            1
            for replica, record in self._replicas.items()
            if replica.service == service and record.observed.state is ReplicaState.STARTING
        )
        return max(0, self._starts_at_once_max - starting)

    def _apply(self, decision: Decision[Action]) -> None:
        for action in decision.actions:
            match action:
                case StartReplica(replica):
                    self._start(replica, decision)
                case MarkReady(replica):
                    self._enter(replica, ReplicaState.READY)
                    self._save()
                    self._emit("replica_ready", replica, decision)
                case DrainReplica(replica):
                    self._enter(replica, ReplicaState.DRAINING)
                    self._emit("replica_draining", replica, decision)
                case StopReplica(replica):
                    self._enter(replica, ReplicaState.STOPPING)
                    self._begin(self._replicas[replica], self._stop(replica))
                    self._emit("replica_stopping", replica, decision)
                case KillReplica(replica):
                    record = self._replicas[replica]
                    record.observed = replace(record.observed, is_being_killed=True)
                    self._emit("replica_killed", replica, decision)
                    self._begin(record, self._kill(replica))
                case ScheduleRestart(replica, history):
                    self._fail(replica, decision)
                    self._enter(replica, ReplicaState.WAITING)
                    record = self._replicas[replica]
                    record.observed = replace(record.observed, history=history)
                    self._wake.set()
                case ForgetReplica(replica):
                    self._forget(replica)
                    self._emit("replica_stopped", replica, decision)
                case _:
                    assert_never(action)

    # Leaf steps

    def _start(self, replica: ReplicaId, decision: Decision[Action]) -> None:
        plan = self._plans[replica.service]
        now = self._clock.monotonic()
        record = self._replicas.get(replica)
        history = record.observed.history if record else ObservedReplica(replica, ReplicaState.STARTING, now).history
        check_transition(str(replica), record.observed.state if record else None, ReplicaState.STARTING)
        try:
            port = self._ports.take()
            process = processes.start(replica_command(plan, replica, port))
        except HostError as error:
            # A full disk or a missing program may be mended while we wait: same back-off as for a crash.
            self._note_failed_start(replica, error, now)
            return
        observed = ObservedReplica(replica, ReplicaState.STARTING, now, process.pid, port, now, history=history)
        self._replicas[replica] = _Replica(observed, process)
        self._save()
        process.on_exit(lambda: self._exited(replica))
        self._begin(self._replicas[replica], self._probe(replica))
        self._emit("replica_started", replica, decision)
        self._on_change()

    def _note_failed_start(self, replica: ReplicaId, error: ColonnadeError, now: float) -> None:
        record = self._replicas.setdefault(replica, _Replica(ObservedReplica(replica, ReplicaState.WAITING, now)))
        history = next_restart(record.observed.history, now, 0.0, self._random.random())
        record.observed = replace(record.observed, state_since_s=now, history=history)
        self._events.emit(
            "replica_start_failed",
            str(replica),
            reason="host_refused",
            message=f"{replica} could not be started: {error}; next try in {history.restart_delay_s:.1f} s",
            data={"hint": error.hint},
        )

    def _enter(self, replica: ReplicaId, state: ReplicaState) -> None:
        record = self._replicas[replica]
        check_transition(str(replica), record.observed.state, state)
        record.observed = replace(
            record.observed,
            state=state,
            state_since_s=self._clock.monotonic(),
            in_flight=None,
            unhealthy_since_s=None,
            pid=None if state is ReplicaState.WAITING else record.observed.pid,
        )
        self._wake.set()
        self._on_change()

    def _fail(self, replica: ReplicaId, decision: Decision[Action]) -> None:
        """Say what happened with the last lines of its log, and end what is left of its group."""
        record = self._replicas[replica]
        plan = self._plans[replica.service]
        tail = tail_lines(log_path(plan.log_directory, replica), LOG_TAIL_LINES)
        kind = "replica_crash_looping" if decision.reason == "crash_loop" else "replica_exited"
        self._emit(kind, replica, decision, log_tail=tail, pid=record.observed.pid)
        if record.process is not None:
            # The leader is dead, its workers may not be, and they still hold the port.
            record.process.send_group(signal.SIGKILL)
            record.process.close()
            record.process = None
        self._cancel(record)

    def _forget(self, replica: ReplicaId) -> None:
        record = self._replicas.pop(replica)
        self._replaced.discard(replica)
        check_transition(str(replica), record.observed.state, None)
        self._cancel(record)
        if record.process is not None:
            record.process.send_group(signal.SIGKILL)
            record.process.close()
        self._save()
        self._on_change()

    def _exited(self, replica: ReplicaId) -> None:
        record = self._replicas.get(replica)
        if record is None or record.process is None:
            return
        record.observed = replace(record.observed, has_exited=True, exit_code=record.process.exit_code)
        self._wake.set()

    async def _probe(self, replica: ReplicaId) -> None:
        plan = self._plans[replica.service]
        record = self._replicas[replica]
        port = record.observed.port
        if port is None:
            return
        while True:
            result = await probe(port, plan.spec.health.path)
            record.observed = replace(record.observed, is_probe_ok=result.is_ok, probe_message=result.message)
            if result.is_ok:
                self._wake.set()
                return
            await self._clock.sleep(PROBE_INTERVAL_S)

    async def _stop(self, replica: ReplicaId) -> None:
        record = self._replicas[replica]
        if record.process is not None:
            grace_period_s = self._grace_period_s(record)
            graceful = await processes.stop(record.process, grace_period_s=grace_period_s)
            if not graceful:
                self._events.emit(
                    "replica_killed",
                    str(replica),
                    reason="stop_timeout",
                    message=f"{replica} did not end within {grace_period_s:.0f} s of SIGTERM",
                )
        record.observed = replace(record.observed, has_stopped=True)
        self._wake.set()

    def _grace_period_s(self, record: _Replica) -> float:
        declared_s = self._plans[record.observed.id.service].spec.stop_timeout_s
        return declared_s if record.observed.is_probe_ok else min(declared_s, UNREADY_GRACE_S)

    async def _kill(self, replica: ReplicaId) -> None:
        process = self._replicas[replica].process
        if process is not None:
            await processes.kill(process)

    # Book-keeping

    def _begin(self, record: _Replica, work: Coroutine[Any, Any, None]) -> None:
        self._cancel(record)
        record.task = asyncio.create_task(self._guard(record.observed.id, work))

    async def _guard(self, replica: ReplicaId, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ColonnadeError as error:
            self._events.emit(
                "operation_failed", str(replica), reason="host_refused", message=str(error), data={"hint": error.hint}
            )

    def _cancel(self, record: _Replica) -> None:
        if record.task is not None:
            record.task.cancel()
            record.task = None

    def _emit(self, kind: str, replica: ReplicaId, decision: Decision[Action], **data: object) -> None:
        self._events.emit(kind, str(replica), reason=decision.reason, message=decision.message, data=data)

    def _save(self) -> None:
        entries = [
            RegisteredReplica(
                key,
                record.process.identity,
                record.observed.port,
                record.observed.state is ReplicaState.READY,
                record.observed.history.total_restarts,
            )
            for key, record in self._replicas.items()
            if record.process is not None and record.observed.port is not None
        ]
        try:
            write_registry(self._registry_path, entries, self._desired, self._ports.cursor)
        except HostError as error:
            # On a full disk replicas are still replaced. All that is lost is that a next controller would not know
            # the newest of them; so it is tried again at each tick.
            if not self._is_unsaved:
                self._events.emit("registry_not_written", "services", reason="host_refused", message=str(error))
            self._is_unsaved = True
        else:
            self._is_unsaved = False

    async def stop(self) -> None:
        """Stop all replicas at once, each with its grace period; nothing of them is left."""
        records = list(self._replicas.values())
        for record in records:
            self._cancel(record)
        await asyncio.gather(
            *(
                processes.stop(record.process, grace_period_s=self._grace_period_s(record))
                for key, record in self._replicas.items()
                if record.process is not None and key.service in self._plans
            )
        )
        self._replicas.clear()
        self._desired = dict.fromkeys(self._desired, 0)
        self._save()

    def crash_looping(self) -> list[ObservedReplica]:
        return [record.observed for record in self._replicas.values() if is_crash_loop(record.observed.history)]
