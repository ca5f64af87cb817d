"""The loop that keeps replicas at the number wanted: observe, decide, apply, emit.

Callbacks (a pidfd, a probe, the gateway's numbers) only record what they saw and wake the loop; `tick` alone decides.
Long work (stopping, killing) is a task whose end is seen by the next tick as an observation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, assert_never

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.decision import Decision
from colonnade.core.errors import Bug, ColonnadeError, HostError
from colonnade.core.events import EventLog
from colonnade.core.files import tail_lines
from colonnade.core.ports import PortAllocator
from colonnade.core.transitions import edge
from colonnade.runtime.asked import held_without_others
from colonnade.runtime.asking import Question, ask_until_ready, ask_while_unhealthy
from colonnade.runtime.canary import Tally
from colonnade.runtime.decide import decide, decide_absent
from colonnade.runtime.held import HeldReplica
from colonnade.runtime.launch import ServicePlan, log_path, replica_command
from colonnade.runtime.registry import Registry, adopted, write_registry
from colonnade.runtime.restart import next_restart
from colonnade.runtime.rollouts import Rollouts
from colonnade.runtime.state import (
    Action,
    DrainReplica,
    ForgetReplica,
    KillReplica,
    MarkReady,
    NoteUnreached,
    ObservedReplica,
    ReplicaId,
    ReplicaState,
    ScheduleRestart,
    StartReplica,
    StopReplica,
)
from colonnade.runtime.traffic import Traffic, noted
from colonnade.runtime.transitions import TRANSITIONS
from colonnade.runtime.view import RuntimeView
from colonnade.runtime.wanted import Rollout, Wanted

TICK_S = 1.0
"""The slowest pace: everything urgent wakes the loop at once."""

UNREADY_GRACE_S = 1.0
"""Between SIGTERM and SIGKILL for a replica that was never ready: it has nothing to finish, and Granian does not hear
SIGTERM while its worker imports the application."""

LOG_TAIL_LINES = 15
"""Shown with a failure: a Python traceback's end fits."""


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
        self._plans: dict[tuple[str, int], ServicePlan] = {}
        self._desired: dict[str, int] = {}
        self._rollouts = Rollouts(events, self._save)
        self._replicas: dict[ReplicaId, HeldReplica] = {}
        self._wake = asyncio.Event()
        self._recheck_after_s = TICK_S
        self._is_unsaved = False

    # What others may ask and tell

    def view(self) -> RuntimeView:
        return RuntimeView(
            dict(self._desired),
            tuple(self._replicas[key].observed for key in sorted(self._replicas)),
            dict(self._rollouts.current),
            dict(self._rollouts.open),
        )

    def add_plan(self, plan: ServicePlan) -> None:
        """How to start a replica of this service in this version: before anything wants one."""
        self._plans[plan.name, plan.version] = plan

    def add_service(self, plan: ServicePlan, count: int) -> None:
        """Begin to run a service with `count` replicas; those adopted while they started are asked again. An adopted
        service keeps the version it has, whose plan must have been added."""
        self.add_plan(plan)
        self._rollouts.current.setdefault(plan.name, plan.version)
        self._desired[plan.name] = count
        for replica, record in self._replicas.items():
            if replica.service == plan.name and record.observed.state is ReplicaState.STARTING:
                self._begin(record, self._ask(ask_until_ready, record))
        self._wake.set()

    def remove_service(self, service: str) -> None:
        """Forget a service of which nothing runs any more."""
        if any(replica.service == service for replica in self._replicas):
            raise Bug("is removed while replicas of it run", subject=service)
        self._desired.pop(service, None)
        self._rollouts.forget(service)
        self._plans = {key: plan for key, plan in self._plans.items() if key[0] != service}
        self._save()

    @property
    def starts_at_once_max(self) -> int:
        return self._starts_at_once_max

    def scale(self, service: str, count: int, *, reason: str = "asked", message: str = "") -> None:
        old = self._desired[service]
        self._desired[service] = count
        self._save()
        message = message or f"{service} goes from {old} to {count} replicas"
        self._events.emit("service_scaled", service, reason=reason, message=message)
        self._wake.set()

    def roll(self, service: str, version: int, *, reason: str, message: str, is_judged: bool = True) -> bool:
        """Begin to replace all replicas by ones of `version`, whose plan must have been added; replicas that are of it
        already are replaced as well. False while another rollout, or a replacement, is open."""
        if (service, version) not in self._plans:
            raise Bug(f"is to become version {version}, which has no plan", subject=service)
        now = self._clock.monotonic()
        is_begun = self._rollouts.roll(
            service, version, self._seen(service), now, is_judged=is_judged, why=(reason, message)
        )
        self._wake.set()
        return is_begun

    def replace(self, *chosen: ReplicaId, reason: str, message: str) -> bool:
        """Begin to replace these (of one service) by new ones of their version, with another beside them meanwhile
        where there is room. False when none runs, or a rollout or another replacement of the service is open."""
        replicas = [seen for seen in self._seen(chosen[0].service) if seen.id in chosen]
        is_begun = self._rollouts.replace(chosen[0].service, replicas, self._clock.monotonic(), why=(reason, message))
        self._wake.set()
        return is_begun

    def start_now(self, replica: ReplicaId) -> None:
        """One that waits for its next start does not wait any longer."""
        record = self._replicas[replica]
        record.observed = replace(record.observed, history=replace(record.observed.history, restart_delay_s=0.0))
        self._wake.set()

    def set_held(self, replica: ReplicaId, *, is_held: bool) -> None:
        """Out of rotation, and to stay; or back. Raises HostError when it cannot be written down: it is not done."""
        before = self._replicas[replica].observed
        self._replicas[replica].observed = replace(before, is_held=is_held)
        if not self._save():
            self._replicas[replica].observed = before
            raise HostError("could not be written down", subject=str(replica), hint="is the disk full? See `df`")
        self._wake.set()

    def ended_rollout(self, service: str) -> Rollout | None:
        """How the last rollout of this service ended; None when none has, or one is open."""
        return self._rollouts.ended.get(service)

    def forget_ended_rollout(self, service: str) -> None:
        self._rollouts.forget_end(service)

    def drop_plans(self, *, keep: Collection[int]) -> None:
        """Forget plans of versions that nothing runs or is to run."""
        used = {(replica.service, record.observed.version) for replica, record in self._replicas.items()}
        self._plans = {key: plan for key, plan in self._plans.items() if key in used or key[1] in keep}

    def observe_answers(self, service: str, counters: Mapping[int, Tally]) -> None:
        """What the gateway counted for each slot since it started: a rollout compares by it. While all is adopted, a
        rollout is known before what its versions are."""
        if service in self._desired and (rollout := self._rollouts.open.get(service)) is not None:
            policy = self._plans[service, rollout.new].rollout_policy
            self._rollouts.count(service, self._seen(service), counters, policy, self._clock.monotonic())
            self._wake.set()

    def end(self, replica: ReplicaId, *, reason: str, message: str) -> bool:
        """Kill it, so that what it holds is sent elsewhere, and start it anew. False when it does not serve."""
        record = self._replicas.get(replica)
        if record is None or record.observed.state is not ReplicaState.READY or record.observed.is_being_killed:
            return False
        self._apply(Decision((KillReplica(replica),), reason, message), record.observed.version)
        return True

    def observe_traffic(self, replica: ReplicaId, traffic: Traffic) -> None:
        """What the gateway sees of one replica; recorded for the next tick. While all is adopted, replicas are known
        before what their service is."""
        record = self._replicas.get(replica)
        if record is None or replica.service not in self._desired:
            return
        before = record.observed
        seen = record.observed = noted(before, traffic, self._clock.monotonic())
        if before.unhealthy_since_s is None and seen.unhealthy_since_s is not None and not seen.is_being_killed:
            self._begin(record, self._ask(ask_while_unhealthy, record))
        if before.is_unreached and not seen.is_unreached:
            message = f"the gateway reaches {replica} again"
            self._events.emit("replica_reached", str(replica), reason="checks_pass", message=message)
        if before.history != seen.history:
            self._on_change()
        changed = (before.in_flight, before.unhealthy_since_s) != (seen.in_flight, seen.unhealthy_since_s)
        if changed and (traffic.is_unhealthy or seen.state is ReplicaState.DRAINING):
            self._wake.set()

    def adopt(self, registry: Registry) -> None:
        """Take over what an earlier controller left running: known replicas become ours, unknown ones end."""
        now = self._clock.monotonic()
        self._rollouts.adopt(registry.versions, now)
        for entry in registry.replicas:
            process = processes.adopt(entry.process)
            if process is None:
                continue
            observed = adopted(entry, process.pid, now)
            self._replicas[entry.id] = HeldReplica(observed, process)
            process.on_exit(lambda replica=entry.id: self._exited(replica))  # type: ignore[misc]
            message = f"{entry.id} goes on as pid {process.pid}"
            self._events.emit("replica_adopted", str(entry.id), reason="controller_restarted", message=message)

    # The loop

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self._wake.clear()
            self.tick()
            await self._clock.wait(self._wake, self._recheck_after_s)

    def tick(self) -> None:
        """Look at every replica once, and take the next step for each."""
        now = self._clock.monotonic()
        self._recheck_after_s = TICK_S
        for service in list(self._desired):
            self._tick_service(service, now)
        if self._is_unsaved:
            self._save()

    def _tick_service(self, service: str, now: float) -> None:
        self._give_back_the_last(service)
        wanted = self._wanted(service, now)
        missing = sorted(wanted.keys() - {replica.number for replica in self._replicas if replica.service == service})
        for number in missing[: self._free_starts(service)]:
            self._apply(decide_absent(ReplicaId(service, number)), wanted[number].version)
        for replica in sorted(key for key in self._replicas if key.service == service):
            record = self._replicas[replica]
            if record.process is not None and not record.observed.has_exited and record.process.has_exited():
                self._exited(replica)
            want = wanted.get(replica.number)
            decision = decide(
                record.observed,
                is_wanted=want is not None and want.is_met_by(record.observed),
                policy=self._plan_of(record.observed).policy,
                now=now,
                jitter=self._random.random(),
            )
            self._apply(decision, record.observed.version)
            self._recheck(decision.recheck_after_s)

    def _give_back_the_last(self, service: str) -> None:
        for seen in held_without_others(self._desired[service], self._seen(service)):
            self._replicas[seen.id].observed = replace(seen, is_held=False)
            self._is_unsaved = True
            message = f"{seen.id} gets requests again: no other replica of {service} is wanted any more"
            self._events.emit("replica_given_back", str(seen.id), reason="last_one", message=message)

    def _wanted(self, service: str, now: float) -> Mapping[int, Wanted]:
        replicas = self._seen(service)
        version = self._rollouts.current[service]
        if (rollout := self._rollouts.open.get(service)) is not None:
            version = rollout.new
        policy = self._plans[service, version].rollout_policy
        wanted, recheck_after_s = self._rollouts.wanted(service, self._desired[service], replicas, policy, now)
        self._recheck(recheck_after_s)
        return wanted

    def _seen(self, service: str) -> list[ObservedReplica]:
        return [self._replicas[key].observed for key in sorted(self._replicas) if key.service == service]

    def _recheck(self, after_s: float | None) -> None:
        if after_s is not None:
            self._recheck_after_s = min(self._recheck_after_s, max(0.01, after_s))

    def _plan_of(self, replica: ObservedReplica) -> ServicePlan:
        return self._plans[replica.id.service, replica.version]

    def _free_starts(self, service: str) -> int:
        """How many new replicas of a service may start now; those that replace a dead one do not wait for this."""
        starting = sum(
            1
            for replica, record in self._replicas.items()
            if replica.service == service and record.observed.state is ReplicaState.STARTING
        )
        return max(0, self._starts_at_once_max - starting)

    def _apply(self, decision: Decision[Action], version: int) -> None:
        """`version` is for a replica that starts: of a next start, the one it had."""
        for action in decision.actions:
            match action:
                case StartReplica(replica):
                    self._start(replica, version, decision)
                case MarkReady(replica):
                    self._enter(replica, ReplicaState.READY)
                    self._save()
                    self._emit("replica_ready", replica, decision)
                case DrainReplica(replica):
                    self._enter(replica, ReplicaState.DRAINING)
                    self._save()
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
                case NoteUnreached(replica):
                    record = self._replicas[replica]
                    record.observed = replace(record.observed, is_unreached=True)
                    self._emit("replica_unreached", replica, decision)
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

    def _start(self, replica: ReplicaId, version: int, decision: Decision[Action]) -> None:
        plan = self._plans[replica.service, version]
        now = self._clock.monotonic()
        record = self._replicas.get(replica)
        history = record.observed.history if record else ObservedReplica(replica, ReplicaState.STARTING, now).history
        edge(TRANSITIONS, record.observed.state if record else None, ReplicaState.STARTING, subject=str(replica))
        try:
            port = self._ports.take()
            process = processes.start(replica_command(plan, replica, port))
        except HostError as error:
            # A full disk or a missing program may be mended while we wait: same back-off as for a crash.
            self._note_failed_start(replica, version, error, now)
            return
        observed = ObservedReplica(
            replica, ReplicaState.STARTING, now, process.pid, port, now, history=history, version=version
        )
        self._replicas[replica] = HeldReplica(observed, process)
        self._save()
        process.on_exit(lambda: self._exited(replica))
        self._begin(self._replicas[replica], self._ask(ask_until_ready, self._replicas[replica]))
        self._emit("replica_started", replica, decision)
        self._on_change()

    def _note_failed_start(self, replica: ReplicaId, version: int, error: ColonnadeError, now: float) -> None:
        waiting = ObservedReplica(replica, ReplicaState.WAITING, now, version=version)
        record = self._replicas.setdefault(replica, HeldReplica(waiting))
        history = next_restart(record.observed.history, now, 0.0, self._random.random())
        record.observed = replace(record.observed, state_since_s=now, history=history)
        message = f"{replica} could not be started: {error}; next try in {history.restart_delay_s:.1f} s"
        told = {"hint": error.hint}
        self._events.emit("replica_start_failed", str(replica), reason="host_refused", message=message, data=told)

    def _enter(self, replica: ReplicaId, state: ReplicaState) -> None:
        record = self._replicas[replica]
        edge(TRANSITIONS, record.observed.state, state, subject=str(replica))
        record.observed = replace(
            record.observed,
            state=state,
            state_since_s=self._clock.monotonic(),
            in_flight=None,
            unhealthy_since_s=None,
            answers=None,
            is_unreached=False,
            is_held=record.observed.is_held and state is ReplicaState.DRAINING,
            pid=None if state is ReplicaState.WAITING else record.observed.pid,
        )
        self._wake.set()
        self._on_change()

    def _fail(self, replica: ReplicaId, decision: Decision[Action]) -> None:
        """Say what happened with the last lines of its log, and end what is left of its group."""
        record = self._replicas[replica]
        plan = self._plan_of(record.observed)
        tail = tail_lines(log_path(plan.log_directory, replica), LOG_TAIL_LINES)
        kind = "replica_crash_looping" if decision.reason == "crash_loop" else "replica_exited"
        self._emit(kind, replica, decision, log_tail=tail, pid=record.observed.pid)
        record.end_group()
        record.cancel()

    def _forget(self, replica: ReplicaId) -> None:
        record = self._replicas.pop(replica)
        edge(TRANSITIONS, record.observed.state, None, subject=str(replica))
        record.cancel()
        record.end_group()
        self._save()
        self._on_change()

    def _exited(self, replica: ReplicaId) -> None:
        record = self._replicas.get(replica)
        if record is None or record.process is None:
            return
        record.observed = replace(record.observed, has_exited=True, exit_code=record.process.exit_code)
        self._wake.set()

    def _ask(self, how: Question, record: HeldReplica) -> Coroutine[Any, Any, None]:
        return how(record, self._plan_of(record.observed).spec.health.path, self._clock, self._wake.set)

    async def _stop(self, replica: ReplicaId) -> None:
        record = self._replicas[replica]
        if record.process is not None:
            grace_period_s = self._grace_period_s(record)
            graceful = await processes.stop(record.process, grace_period_s=grace_period_s)
            if not graceful:
                message = f"{replica} did not end within {grace_period_s:.0f} s of SIGTERM"
                self._events.emit("replica_killed", str(replica), reason="stop_timeout", message=message)
        record.observed = replace(record.observed, has_stopped=True)
        self._wake.set()

    def _grace_period_s(self, record: HeldReplica) -> float:
        declared_s = self._plan_of(record.observed).spec.stop_timeout_s
        return declared_s if record.observed.is_probe_ok else min(declared_s, UNREADY_GRACE_S)

    async def _kill(self, replica: ReplicaId) -> None:
        process = self._replicas[replica].process
        if process is not None:
            await processes.kill(process)

    # Book-keeping

    def _begin(self, record: HeldReplica, work: Coroutine[Any, Any, None]) -> None:
        record.begin(self._guard(record.observed.id, work))

    async def _guard(self, replica: ReplicaId, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ColonnadeError as error:
            self._events.emit(
                "operation_failed", str(replica), reason="host_refused", message=str(error), data={"hint": error.hint}
            )

    def _emit(self, kind: str, replica: ReplicaId, decision: Decision[Action], **data: object) -> None:
        self._events.emit(kind, str(replica), reason=decision.reason, message=decision.message, data=data)

    def _save(self) -> bool:
        """False when the disk refuses; it is tried again at the next tick."""
        entries = [entry for record in self._replicas.values() if (entry := record.registered()) is not None]
        try:
            write_registry(self._registry_path, entries, self._desired, self._ports.cursor, self._rollouts.versions())
        except HostError as error:
            # On a full disk replicas are still replaced. All that is lost is that a next controller would not know
            # the newest of them; so it is tried again at each tick.
            if not self._is_unsaved:
                self._events.emit("registry_not_written", "services", reason="host_refused", message=str(error))
            self._is_unsaved = True
        else:
            self._is_unsaved = False
        return not self._is_unsaved

    async def stop(self) -> None:
        """Stop all replicas at once, each with its grace period; nothing of them is left."""
        records = list(self._replicas.values())
        for record in records:
            record.cancel()
        await asyncio.gather(
            *(
                processes.stop(record.process, grace_period_s=self._grace_period_s(record))
                for key, record in self._replicas.items()
                if record.process is not None and key.service in self._desired
            )
        )
        self._replicas.clear()
        self._rollouts.open.clear()
        self._desired = dict.fromkeys(self._desired, 0)
        self._save()
