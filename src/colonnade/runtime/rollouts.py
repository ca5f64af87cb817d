"""The rollouts of all services as the runtime holds them: begin, take the next step, tell, remember the end.

Decides nothing itself: `rollout.py` does. What is here is written down before it is acted on (`save`), so that a
controller that dies in the middle of a rollout is followed by one that goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from colonnade.core.decision import Decision
from colonnade.core.events import EventLog
from colonnade.runtime.canary import Comparison, Tally
from colonnade.runtime.rollout import Enter, ObservedService, RolloutPolicy, Step, advance, decide, is_serving
from colonnade.runtime.state import ObservedReplica, ReplicaId
from colonnade.runtime.wanted import ENDED, FORWARD, Rollout, Stage, Wanted, wanted_replicas

TOLD: Mapping[Stage, str] = {
    Stage.JUDGING: "judging",
    Stage.REPLACING: "replacing",
    Stage.UNDOING: "undoing",
    Stage.DONE: "finished",
    Stage.UNDONE: "undone",
}
"""The event for a stage, after `rollout_` or `replacement_`; the others are steps in between."""

COMPARED = frozenset({Stage.JUDGING, Stage.REPLACING})
"""Stages in which a judgement rests on what was answered so far."""

STEPS_AT_ONCE_MAX = 8
"""Of one service in one tick: from the first to the last stage when there is no replica to wait for."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What is on disk about versions and rollouts, by service."""

    current: Mapping[str, int] = field(default_factory=dict)
    open: Mapping[str, Rollout] = field(default_factory=dict)
    ended: Mapping[str, Rollout] = field(default_factory=dict)
    """How the last one ended, until whoever asked for it has taken note."""


@dataclass(slots=True)
class _Evidence:
    """What the two versions of a service answered since the first new one served, and how far was counted."""

    comparison: Comparison = field(default_factory=Comparison)
    counted: dict[tuple[ReplicaId, int | None], Tally] = field(default_factory=dict)


class Rollouts:
    def __init__(self, events: EventLog, save: Callable[[], bool]) -> None:
        self._events = events
        self._save = save
        self.current: dict[str, int] = {}
        self.open: dict[str, Rollout] = {}
        self.ended: dict[str, Rollout] = {}
        self._evidence: dict[str, _Evidence] = {}

    def versions(self) -> Versions:
        return Versions(dict(self.current), dict(self.open), dict(self.ended))

    def adopt(self, versions: Versions, now: float) -> None:
        """Go on where an earlier controller was. What had been compared is lost: the comparison begins anew."""
        self.current = dict(versions.current)
        self.open = {name: replace(rollout, stage_since_s=now) for name, rollout in versions.open.items()}
        self.ended = dict(versions.ended)
        for name, rollout in self.open.items():
            if rollout.stage in COMPARED and rollout.is_judged and not rollout.is_same_version:
                message = (
                    f"another controller goes on, and what was compared so far is lost with the one before: "
                    f"version {rollout.new} of {name} is compared with version {rollout.old} from now on"
                )
                data = {"old": rollout.old, "new": rollout.new}
                self._events.emit("rollout_judging", name, reason="controller_restarted", message=message, data=data)

    def roll(
        self,
        service: str,
        version: int,
        replicas: Sequence[ObservedReplica],
        now: float,
        *,
        is_judged: bool,
        why: tuple[str, str],
    ) -> bool:
        """Begin; False while one is open. Replicas that are of `version` already are to be replaced, too."""
        pids = {seen.id.number: seen.pid for seen in replicas if seen.version == version and seen.pid is not None}
        rollout = Rollout(
            service, self.current[service], version, stage_since_s=now, replaces=pids, is_judged=is_judged
        )
        return self._begin(rollout, "rollout_started", why)

    def replace(self, service: str, replicas: Sequence[ObservedReplica], now: float, *, why: tuple[str, str]) -> bool:
        """Begin with these replicas of a service; False when none of them runs, or something is open."""
        pids = {seen.id.number: seen.pid for seen in replicas if seen.pid is not None}
        if not pids:
            return False
        version = self.current[service]
        rollout = Rollout(service, version, version, stage_since_s=now, numbers=frozenset(pids), replaces=pids)
        return self._begin(rollout, "replacement_started", why)

    def _begin(self, rollout: Rollout, kind: str, why: tuple[str, str]) -> bool:
        service = rollout.service
        if service in self.open:
            return False
        reason, message = why
        self.open[service] = replace(rollout, reason=reason, message=message)
        self.ended.pop(service, None)
        self._evidence.pop(service, None)
        self._save()
        self._events.emit(kind, service, reason=reason, message=message, data={"old": rollout.old, "new": rollout.new})
        return True

    def forget(self, service: str) -> None:
        for known in (self.current, self.open, self.ended, self._evidence):
            known.pop(service, None)

    def forget_end(self, service: str) -> None:
        """Whoever asked for it has taken note."""
        if self.ended.pop(service, None) is not None:
            self._save()

    def wanted(
        self, service: str, count: int, replicas: Sequence[ObservedReplica], policy: RolloutPolicy, now: float
    ) -> tuple[Mapping[int, Wanted], float | None]:
        """Take the steps that can be taken, and say which replicas are wanted then; and when to look again."""
        recheck_after_s = self._step(service, count, replicas, policy, now)
        rollout = self.open.get(service)
        return wanted_replicas(count, self.current.get(service, 1), rollout, policy.bounds(count)), recheck_after_s

    def _step(
        self, service: str, count: int, replicas: Sequence[ObservedReplica], policy: RolloutPolicy, now: float
    ) -> float | None:
        for _ in range(STEPS_AT_ONCE_MAX):
            rollout = self.open.get(service)
            if rollout is None:
                return None
            decision = decide(rollout, ObservedService(count, replicas, self.comparison(service)), policy, now)
            if not decision.actions:
                return decision.recheck_after_s
            self._take(rollout, advance(rollout, decision, now))
            if not self._save():
                # What is not on disk is not done: a next controller would not know of it.
                self._take_back(rollout)
                return None
            self._tell(rollout, decision)
        return None

    def _take(self, before: Rollout, after: Rollout) -> None:
        service = before.service
        if after.stage not in ENDED:
            self.open[service] = after
            return
        del self.open[service]
        self.ended[service] = after
        self._evidence.pop(service, None)
        if after.stage is Stage.DONE:
            self.current[service] = after.new

    def _take_back(self, before: Rollout) -> None:
        self.open[before.service] = before
        self.current[before.service] = before.old
        self.ended.pop(before.service, None)

    def _tell(self, before: Rollout, decision: Decision[Step]) -> None:
        what = "rollout" if before.numbers is None else "replacement"
        for step in decision.actions:
            kind = f"{what}_step"
            if isinstance(step, Enter):
                if step.stage not in TOLD:
                    continue
                kind = f"{what}_{TOLD[step.stage]}"
            message = decision.message
            data = {"old": before.old, "new": before.new}
            self._events.emit(kind, before.service, reason=decision.reason, message=message, data=data)

    # What the comparison is made from

    def comparison(self, service: str) -> Comparison:
        evidence = self._evidence.get(service)
        return evidence.comparison if evidence is not None else Comparison()

    def count(
        self,
        service: str,
        replicas: Sequence[ObservedReplica],
        counters: Mapping[int, Tally],
        policy: RolloutPolicy,
        now: float,
    ) -> None:
        """`counters` is what each slot has answered since the gateway started. What was answered while only one of the
        versions served says nothing about the other, and is left out."""
        rollout = self.open.get(service)
        if rollout is None or rollout.stage not in FORWARD or rollout.is_same_version:
            return
        evidence = self._evidence.setdefault(service, _Evidence())
        serving = [replica for replica in replicas if is_serving(replica) and replica.id.number in counters]
        are_both_there = {rollout.old, rollout.new} <= {replica.version for replica in serving}
        counted: dict[tuple[ReplicaId, int | None], Tally] = {}
        answered = {rollout.old: Tally(), rollout.new: Tally()}
        for replica in serving:
            key = (replica.id, replica.pid)
            now_counted = counted[key] = counters[replica.id.number]
            before = evidence.counted.get(key)
            if before is None or not are_both_there:
                continue
            if replica.version in answered:
                answered[replica.version] = answered[replica.version].plus(now_counted.since(before))
        evidence.counted = counted
        if are_both_there:
            old, new = answered[rollout.old], answered[rollout.new]
            evidence.comparison = evidence.comparison.with_answers(old, new, now, policy.canary_requests)
