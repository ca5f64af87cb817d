"""A rollout of a whole service in a world that does its worst, in simulated time.

Replicas die, hang, never get ready, are frozen; the service is scaled; the new version is found worse; the controller
is killed and goes on from what it wrote down. Checked at every step: nobody who serves is taken out while too few
others do, and there are never more than the bound. When the faults stop, all is new or all is old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from hypothesis import example, given, settings
from hypothesis import strategies as st

from colonnade.core.histogram import Histogram
from colonnade.core.processes import ProcessId
from colonnade.core.transitions import edge
from colonnade.runtime.canary import Comparison, Tally
from colonnade.runtime.decide import decide as decide_replica
from colonnade.runtime.decide import decide_absent
from colonnade.runtime.registry import RegisteredReplica, adopted
from colonnade.runtime.restart import is_crash_loop
from colonnade.runtime.rollout import EDGES, ObservedService, RolloutPolicy, advance, decide, is_serving
from colonnade.runtime.state import (
    Action,
    DrainReplica,
    ForgetReplica,
    KillReplica,
    MarkReady,
    NoteUnreached,
    ObservedReplica,
    ReplicaId,
    ReplicaPolicy,
    ReplicaState,
    ScheduleRestart,
    StartReplica,
    StopReplica,
)
from colonnade.runtime.transitions import TRANSITIONS
from colonnade.runtime.wanted import ENDED, Rollout, Stage, Wanted, wanted_replicas

REPLICA_POLICY = ReplicaPolicy(start_timeout_s=5.0, drain_timeout_s=3.0)
OLD, NEW = 1, 2
SLOTS = 10
COUNT_MAX = 6

GOOD = Comparison(Tally(1000, 0, Histogram()), Tally(300, 0, Histogram()))
BAD = Comparison(Tally(1000, 0, Histogram()), Tally(300, 30, Histogram()))


@dataclass
class World:
    """The controller's part played by its own rules, everything else by chance."""

    count: int
    policy: RolloutPolicy
    rollout: Rollout
    comparison: Comparison = GOOD
    now: float = 1_000.0
    replicas: dict[int, ObservedReplica] = field(default_factory=dict)
    current: int = OLD
    never_ready: set[int] = field(default_factory=set)
    """Versions whose replicas do not get ready."""
    next_pid: int = 100

    def __post_init__(self) -> None:
        for number in range(1, self.count + 1):
            self.replicas[number] = self._started(number, OLD, ReplicaState.READY)
        if self.rollout.is_same_version:
            pids = {number: replica.pid for number, replica in self.replicas.items() if replica.pid is not None}
            chosen = pids if self.rollout.numbers is None else {n: pids[n] for n in self.rollout.numbers if n in pids}
            self.rollout = replace(self.rollout, replaces=chosen)

    def _started(self, number: int, version: int, state: ReplicaState) -> ObservedReplica:
        self.next_pid += 1
        return ObservedReplica(
            ReplicaId("web", number), state, self.now - 100, self.next_pid, 15_000, self.now, version=version
        )

    # What happens

    def happens(self, event: str, number: int) -> None:
        replica = self.replicas.get(number)
        match event:
            case "scale":
                self.count = number
            case "bad":
                self.comparison = BAD
            case "hangs":
                self.never_ready.add(NEW)
            case "controller killed":
                self._controller_is_killed()
            case _ if replica is None or replica.state is ReplicaState.WAITING:
                return
            case "exit":
                self.replicas[number] = replace(replica, has_exited=True, exit_code=1)
            case "held" if self._can_be_drained(number):
                self.replicas[number] = replace(replica, is_held=True)
            case "frozen" if replica.state is ReplicaState.READY:
                self.replicas[number] = replace(replica, unhealthy_since_s=replica.unhealthy_since_s or self.now)
            case "well":
                self.replicas[number] = replace(replica, unhealthy_since_s=None, is_held=False)
            case _:
                self.goes_on(number)

    def _can_be_drained(self, number: int) -> bool:
        """As `asked.py` has it: not when a rollout is under way, and not the last one that serves."""
        is_under_way = self.rollout.stage is not Stage.STARTING or self.rollout.moved
        serving = {key for key, seen in self.replicas.items() if is_serving(seen) and not seen.is_held}
        return not is_under_way and number in serving and number <= self.count and len(serving) > 1

    def goes_on(self, number: int) -> None:
        """What ordinarily comes next for this replica."""
        replica = self.replicas[number]
        if replica.state is ReplicaState.STOPPING:
            self.replicas[number] = replace(replica, has_exited=True, has_stopped=True)
        elif replica.is_being_killed:
            self.replicas[number] = replace(replica, has_exited=True)
        elif replica.state is ReplicaState.STARTING and replica.version not in self.never_ready:
            self.replicas[number] = replace(replica, is_probe_ok=True)
        elif replica.state is ReplicaState.DRAINING:
            self.replicas[number] = replace(replica, in_flight=0)

    def _controller_is_killed(self) -> None:
        """Replicas run on and are adopted as the registry has them; waiting ones are not in it."""
        for number, replica in list(self.replicas.items()):
            if replica.state is ReplicaState.WAITING or replica.has_exited:
                del self.replicas[number]
                continue
            entry = RegisteredReplica(
                replica.id,
                ProcessId(replica.pid or 0, 1),
                replica.port or 0,
                is_ready=replica.state is ReplicaState.READY,
                total_restarts=replica.history.total_restarts,
                version=replica.version,
                is_draining=replica.state is ReplicaState.DRAINING,
                is_held=replica.is_held,
            )
            self.replicas[number] = adopted(entry, replica.pid or 0, self.now)
        self.rollout = replace(self.rollout, stage_since_s=self.now)

    # What the controller does

    def tick(self) -> None:
        # Of those that are wanted: what is too many goes at once when the service is scaled down, as ever.
        before = self.serving(self._wanted())
        for _ in range(8):
            seen = ObservedService(self.count, list(self.replicas.values()), self.comparison)
            decision = decide(self.rollout, seen, self.policy, self.now)
            assert decision.reason.replace("_", "").isalpha()
            assert decision.message
            if not decision.actions:
                break
            self.rollout = advance(self.rollout, decision, self.now)
        else:
            raise AssertionError(f"steps without end: {self.rollout}")
        if self.rollout.stage is Stage.DONE:
            self.current = self.rollout.new
        bounds = self.policy.bounds(self.count)
        wanted = self._wanted()
        assert len(wanted) <= self.count + bounds.surge
        assert {want.version for want in wanted.values()} <= {OLD, self.rollout.new}
        for number in sorted(wanted.keys() - self.replicas.keys()):
            self._do(list(decide_absent(ReplicaId("web", number)).actions), wanted[number].version)
        for number in sorted(self.replicas):
            replica = self.replicas[number]
            want = wanted.get(number)
            is_wanted = want is not None and want.is_met_by(replica)
            done = decide_replica(replica, is_wanted=is_wanted, policy=REPLICA_POLICY, now=self.now, jitter=0.5)
            self._do(list(done.actions), replica.version)
        held = sum(1 for number, replica in self.replicas.items() if replica.is_held and number <= self.count)
        declared = max(0, self.count - bounds.unavailable)
        needed = max(min(1, declared), declared - held)
        serving = self.serving(wanted)
        # Who crashes again and again is not waited for with what is there in addition.
        if not any(is_crash_loop(replica.history) for replica in self.replicas.values()):
            assert serving >= min(before, needed), f"{serving} of {before} serve: {self.rollout}"

    def _wanted(self) -> Mapping[int, Wanted]:
        rollout = self.rollout if self.rollout.stage not in ENDED else None
        return wanted_replicas(self.count, self.current, rollout, self.policy.bounds(self.count))

    def serving(self, wanted: Mapping[int, Wanted]) -> int:
        """In rotation, and to stay there: neither replaced nor held by somebody."""
        seen = [(self.replicas[number], want) for number, want in wanted.items() if number in self.replicas]
        return sum(is_serving(replica) and not replica.is_held and want.is_met_by(replica) for replica, want in seen)

    def _do(self, actions: list[Action], version: int) -> None:
        for action in actions:
            number = action.id.number
            replica = self.replicas.get(number)
            match action:
                case StartReplica():
                    edge(TRANSITIONS, replica.state if replica else None, ReplicaState.STARTING, subject="web")
                    started = self._started(number, version, ReplicaState.STARTING)
                    self.replicas[number] = replace(started, history=replica.history) if replica else started
                case MarkReady():
                    self._enter(number, ReplicaState.READY)
                case DrainReplica():
                    self._enter(number, ReplicaState.DRAINING)
                case StopReplica():
                    self._enter(number, ReplicaState.STOPPING)
                case KillReplica():
                    assert replica is not None
                    self.replicas[number] = replace(replica, is_being_killed=True)
                case NoteUnreached():
                    assert replica is not None
                    self.replicas[number] = replace(replica, is_unreached=True)
                case ScheduleRestart(_, history):
                    self._enter(number, ReplicaState.WAITING)
                    self.replicas[number] = replace(
                        self.replicas[number], history=history, pid=None, has_exited=False, is_being_killed=False
                    )
                case ForgetReplica():
                    del self.replicas[number]
                case _:
                    assert_never(action)

    def _enter(self, number: int, state: ReplicaState) -> None:
        replica = self.replicas[number]
        edge(TRANSITIONS, replica.state, state, subject="web")
        self.replicas[number] = replace(
            replica,
            state=state,
            state_since_s=self.now,
            in_flight=None,
            unhealthy_since_s=None,
            is_held=replica.is_held and state is ReplicaState.DRAINING,
        )

    def settle(self) -> None:
        """The faults are over: what can go on does. Only a bad version stays bad, unless nothing else is left."""
        if self.rollout.stage is Stage.DONE:
            self.never_ready.clear()
        for number, replica in list(self.replicas.items()):
            self.replicas[number] = replace(replica, unhealthy_since_s=None)
            self.goes_on(number)
        self.tick()
        self.now += 0.5

    def is_settled(self) -> bool:
        numbers = sorted(self.replicas)
        return (
            self.rollout.stage in ENDED
            and numbers == list(range(1, self.count + 1))
            and all(
                (is_serving(replica) or replica.is_held) and replica.version == self.current
                for replica in self.replicas.values()
            )
        )


EVENTS = (
    *("goes on",) * 8,
    "exit",
    "exit",
    "frozen",
    "held",
    "well",
    "scale",
    "bad",
    "hangs",
    "controller killed",
)
POLICIES = st.builds(
    RolloutPolicy,
    surge=st.integers(0, 3),
    unavailable=st.integers(1, 2) | st.just(0),
    slots_max=st.just(SLOTS) | st.just(COUNT_MAX),
    canary_time_s=st.sampled_from((0.0, 2.0)),
    canary_requests=st.just(50),
    start_timeout_s=st.just(REPLICA_POLICY.start_timeout_s),
    slow_start_s=st.sampled_from((0.0, 1.0)),
).filter(lambda policy: policy.surge + policy.unavailable > 0)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(EVENTS), st.integers(1, COUNT_MAX + 3), st.sampled_from((0.0, 0.01, 0.1, 0.5, 1.0, 3.0, 8.0))
    ),
    max_size=80,
)
ROLLOUTS = st.sampled_from((Rollout("web", OLD, NEW), Rollout("web", OLD, OLD))) | st.integers(1, 3).map(
    lambda number: Rollout("web", OLD, OLD, numbers=frozenset({number}))
)


HELD = RolloutPolicy(1, 0, SLOTS, 0.0, 50, REPLICA_POLICY.start_timeout_s)
"""With one that somebody drained: once it and another one were replaced in the same step, since nobody waited for the
former; and once it was waited for to serve, when fewer were wanted and its number was one of those in addition."""


@settings(max_examples=400)
@example(count=2, policy=HELD, rollout=Rollout("web", OLD, NEW), steps=[("held", 1, 0.0)])
@example(
    count=2,
    policy=HELD,
    rollout=Rollout("web", OLD, OLD, numbers=frozenset({1})),
    steps=[("held", 2, 0.0), ("scale", 1, 0.0)],
)
@given(count=st.integers(0, COUNT_MAX), policy=POLICIES, rollout=ROLLOUTS, steps=STEPS)
def test_whatever_happens_enough_serve_and_in_the_end_all_is_new_or_all_is_old(
    count: int, policy: RolloutPolicy, rollout: Rollout, steps: list[tuple[str, int, float]]
) -> None:
    world = World(count, policy, replace(rollout, stage_since_s=1_000.0))
    for event, number, duration_s in steps:
        world.happens(event, min(number, COUNT_MAX) if event == "scale" else number)
        world.tick()
        world.now += duration_s
    for _ in range(2_000):
        world.settle()
        if world.is_settled():
            break
    assert world.is_settled(), f"{world.rollout}\n{world.replicas}"


def test_every_stage_can_end() -> None:
    reached = {Stage.DONE, Stage.UNDONE}
    while more := {old for old, new in EDGES if new in reached} - reached:
        reached |= more
    assert reached == set(Stage)
