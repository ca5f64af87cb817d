"""A replica's whole life, driven by `decide` through anything that can happen to it, in simulated time.

The world here is as unkind as the real one: a process may end at any moment, hang, never get ready, ignore SIGTERM,
take its time to die; the wanted number goes up and down meanwhile. What is checked holds at every step of every story.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

from hypothesis import example, given
from hypothesis import strategies as st

from colonnade.core.transitions import edge
from colonnade.runtime.decide import UNREACHED_RESTARTS_MAX, decide, decide_absent
from colonnade.runtime.restart import DELAY_MAX_S, STABLE_AFTER_S
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
from colonnade.runtime.traffic import Traffic, noted
from colonnade.runtime.transitions import TRANSITIONS

ID = ReplicaId("web", 1)
POLICY = ReplicaPolicy(start_timeout_s=5.0, drain_timeout_s=3.0)
TICK_S = 1.0

HEALED_WITHIN_S = DELAY_MAX_S * 1.2 + POLICY.start_timeout_s + 2 * POLICY.drain_timeout_s + 10 * TICK_S
"""The longest wait there can be once nothing goes wrong any more: a back-off at its cap, then a start; or a drain and a
stop that were under way, and then a start."""

EVENTS = (
    *("nothing", "exit", "probe ok", "sick", "well", "answers", "silent", "idle", "busy", "dies", "stopped"),
    *("wanted", "unwanted"),
)


@dataclass
class World:
    """One replica, its processes and the clock: does what the controller does with each action, and nothing else."""

    now: float = 1_000.0
    is_wanted: bool = True
    jitter: float = 0.5
    seen: ObservedReplica | None = None
    live_processes: int = 0
    failed_at: float | None = None
    """When the last process failed, and how long its successor must wait."""
    delay_s: float = 0.0
    starts: list[float] = field(default_factory=list)

    def happens(self, event: str) -> None:
        """Something outside our power; impossible events change nothing."""
        if event == "wanted":
            self.is_wanted = True
        elif event == "unwanted":
            self.is_wanted = False
        seen = self.seen
        if seen is None or seen.state is ReplicaState.WAITING:
            return
        if event == "exit" or (event == "dies" and seen.is_being_killed):
            self._process_ends()
        elif event == "probe ok" and seen.state is ReplicaState.STARTING and not seen.has_exited:
            self.seen = replace(seen, is_probe_ok=True)
        elif event in ("sick", "well"):
            self.seen = noted(seen, Traffic(seen.in_flight, is_unhealthy=event == "sick"), self.now)
        elif event in ("answers", "silent") and seen.unhealthy_since_s is not None:
            self.seen = replace(seen, answers=event == "answers")
        elif event in ("idle", "busy") and seen.state is ReplicaState.DRAINING:
            self.seen = replace(seen, in_flight=0 if event == "idle" else 3)
        elif event == "stopped" and seen.state is ReplicaState.STOPPING:
            self._process_ends()
            assert self.seen is not None
            self.seen = replace(self.seen, has_stopped=True)

    def _process_ends(self) -> None:
        assert self.seen is not None
        if not self.seen.has_exited:
            self.live_processes -= 1
            self.seen = replace(self.seen, has_exited=True, exit_code=-9)

    def tick(self) -> list[Action]:
        """Let `decide` decide, check what it decided, and do it."""
        if self.seen is None:
            actions = decide_absent(ID).actions if self.is_wanted else ()
        else:
            decision = decide(self.seen, is_wanted=self.is_wanted, policy=POLICY, now=self.now, jitter=self.jitter)
            assert decision.reason
            assert decision.message
            actions = decision.actions
        kinds = {type(action) for action in actions}
        assert not (StartReplica in kinds and kinds & {StopReplica, KillReplica, DrainReplica}), actions
        for action in actions:
            self._do(action)
        return list(actions)

    def _do(self, action: Action) -> None:
        seen = self.seen
        match action:
            case StartReplica():
                self._check_start()
                edge(TRANSITIONS, seen.state if seen else None, ReplicaState.STARTING, subject="web/1")
                self.live_processes += 1
                self.starts.append(self.now)
                started = ObservedReplica(ID, ReplicaState.STARTING, self.now, 4711, 15_000, self.now)
                self.seen = replace(started, history=seen.history) if seen else started
            case MarkReady():
                assert self.live_processes == 1, "only what lives goes into rotation"
                self._enter(ReplicaState.READY)
            case DrainReplica():
                self._enter(ReplicaState.DRAINING)
            case StopReplica():
                self._enter(ReplicaState.STOPPING)
            case KillReplica():
                assert seen is not None
                assert not seen.is_being_killed, "killed once is enough"
                if seen.answers:
                    assert seen.unhealthy_since_s is not None
                    assert self.now - seen.unhealthy_since_s >= POLICY.unreached_timeout_s, "late is not dead"
                    assert seen.history.in_vain < UNREACHED_RESTARTS_MAX
                self.seen = replace(seen, is_being_killed=True)
            case NoteUnreached():
                assert seen is not None
                assert not seen.is_unreached, "told once is enough"
                self.seen = replace(seen, is_unreached=True)
            case ScheduleRestart(_, history):
                assert self.live_processes == 0
                self.failed_at, self.delay_s = self.now, history.restart_delay_s
                self._enter(ReplicaState.WAITING)
                assert self.seen is not None
                self.seen = replace(self.seen, history=history, pid=None)
            case ForgetReplica():
                assert seen is not None
                edge(TRANSITIONS, seen.state, None, subject="web/1")
                assert self.live_processes == 0, "a living process must not be forgotten"
                self.seen, self.failed_at = None, None
            case _:
                assert_never(action)

    def _check_start(self) -> None:
        assert self.is_wanted
        assert self.live_processes == 0, "two processes for one replica"
        if self.failed_at is not None:
            # A nanosecond is what adding and subtracting the same floats may cost.
            assert self.now - self.failed_at >= self.delay_s - 1e-9, "sooner than the back-off allows"

    def _enter(self, state: ReplicaState) -> None:
        assert self.seen is not None
        edge(TRANSITIONS, self.seen.state, state, subject="web/1")
        self.seen = replace(
            self.seen,
            state=state,
            state_since_s=self.now,
            in_flight=None,
            unhealthy_since_s=None,
            answers=None,
            is_unreached=False,
        )

    def go_well(self) -> None:
        """From now on whatever can go well does: processes start, answer, drain, and die when they are told to."""
        for event in ("wanted", "probe ok", "well", "idle", "dies", "stopped"):
            self.happens(event)


# Mostly short steps: after a long one every deadline has passed, and there is little left to get wrong.
STEPS = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.sampled_from((0.0, 0.0, 0.01, 0.01, 0.3, 0.3, 1.0, 6.0, 40.0))),
    min_size=20,
    max_size=60,
)
JITTER = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)


@given(steps=STEPS, jitter=JITTER)
def test_whatever_happens_no_rule_is_broken_and_when_it_ends_the_replica_serves(
    steps: list[tuple[str, float]], jitter: float
) -> None:
    world = World(jitter=jitter)
    for event, duration_s in steps:
        world.happens(event)
        world.tick()
        world.now += duration_s
    ends_at = world.now + HEALED_WITHIN_S
    while world.seen is None or world.seen.state is not ReplicaState.READY or world.seen.is_being_killed:
        assert world.now < ends_at, f"not ready again {HEALED_WITHIN_S:.0f} s after the last fault: {world.seen}"
        world.go_well()
        world.tick()
        world.now += TICK_S / 4
    assert world.live_processes == 1


@given(looks_s=st.lists(st.sampled_from((0.1, 0.5, 1.0, 6.0)), min_size=10, max_size=200))
def test_a_replica_that_only_the_gateway_does_not_reach_is_started_anew_a_bounded_number_of_times(
    looks_s: list[float],
) -> None:
    world = World()
    for look_s in looks_s:
        for event in ("probe ok", "sick", "answers", "dies"):
            world.happens(event)
        world.tick()
        world.now += look_s
    assert len(world.starts) <= 1 + UNREACHED_RESTARTS_MAX


@example(lives_s=[0.0] * 25)
@example(lives_s=[STABLE_AFTER_S - 0.1] * 25)
@given(lives_s=st.lists(st.sampled_from((0.0, 0.1, 2.0, STABLE_AFTER_S - 0.1, STABLE_AFTER_S, 60.0)), max_size=25))
def test_a_replica_that_always_dies_is_started_again_for_ever_but_never_in_a_hurry(lives_s: list[float]) -> None:
    world = World()
    world.tick()
    for life_s in lives_s:
        starts = len(world.starts)
        world.happens("probe ok")
        world.tick()
        world.now += life_s
        world.happens("exit")
        world.tick()
        failed_at = world.now
        while len(world.starts) == starts:
            assert world.now - failed_at <= DELAY_MAX_S * 1.2 + TICK_S, "it was given up"
            world.tick()
            world.now += 0.05
    # In any ten seconds: one immediate restart for each life that was long enough, and otherwise the back-off.
    for index, at in enumerate(world.starts):
        within = [other for other in world.starts[index:] if other - at < 10.0]
        assert len(within) <= 8


@given(steps=STEPS)
def test_an_unwanted_replica_goes_whatever_it_does(steps: list[tuple[str, float]]) -> None:
    world = World()
    for event, duration_s in steps:
        world.happens(event)
        world.tick()
        world.now += duration_s
    for _ in range(200):
        world.happens("unwanted")
        for event in ("dies", "stopped"):  # what we end does end; it need not drain
            world.happens(event)
        world.tick()
        world.now += 0.25
    assert world.seen is None
    assert world.live_processes == 0


@given(
    state=st.sampled_from(ReplicaState),
    has_exited=st.booleans(),
    is_probe_ok=st.booleans(),
    is_being_killed=st.booleans(),
    has_stopped=st.booleans(),
    is_wanted=st.booleans(),
    unhealthy_for_s=st.none() | st.floats(0, 100),
    in_flight=st.none() | st.integers(0, 100),
    for_s=st.floats(0, 1000),
)
def test_every_decision_is_about_this_replica_and_explains_itself(
    state: ReplicaState,
    has_exited: bool,
    is_probe_ok: bool,
    is_being_killed: bool,
    has_stopped: bool,
    is_wanted: bool,
    unhealthy_for_s: float | None,
    in_flight: int | None,
    for_s: float,
) -> None:
    now = 5_000.0
    seen = ObservedReplica(
        ID,
        state,
        now - for_s,
        started_at_s=now - for_s,
        has_exited=has_exited,
        is_probe_ok=is_probe_ok,
        is_being_killed=is_being_killed,
        has_stopped=has_stopped,
        unhealthy_since_s=None if unhealthy_for_s is None else now - unhealthy_for_s,
        in_flight=in_flight,
    )
    decision = decide(seen, is_wanted=is_wanted, policy=POLICY, now=now, jitter=0.0)
    assert len(decision.actions) <= 1
    assert all(action.id == ID for action in decision.actions)
    assert decision.reason.replace("_", "").isalpha()
    assert decision.recheck_after_s is None or decision.recheck_after_s > 0 or decision.actions
