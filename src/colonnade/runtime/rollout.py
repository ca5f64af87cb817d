"""How one service goes from one version to another, replica by replica, and back when the new one is bad. Pure.

Replicas of the new version are started beside all old ones (*surge*), and judged against them (canary). Then number
by number the old one is drained, stopped and started anew in its own slot, so that a consistent hash keeps its keys.
At last the surge goes. Going back is the same, the other way round. The same mechanics replace replicas by new ones
of their own version: then `replaces` has the processes that must go.

What holds at every moment: a replica that serves is taken out only while at least `count - unavailable` others serve,
of whichever version; and there are never more than `count + surge`. What does not serve may be replaced at any time. On
the way back one that will not come (it crashes again and again, or is not reached) is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from colonnade.core.decision import Decision
from colonnade.core.transitions import edge
from colonnade.runtime.canary import Comparison, judge
from colonnade.runtime.restart import is_crash_loop, is_looping
from colonnade.runtime.state import ObservedReplica, ReplicaState
from colonnade.runtime.wanted import FORWARD, Bounds, Rollout, Stage, wanted_replicas

CANARY_TIMES_MAX = 3
"""With too few answers the first ones are compared for so many times `canary_time` at most. Then the rollout goes on,
and says by how few it was judged: whoever deploys a service that is hardly asked would otherwise wait for ever."""

DEATHS_MAX = 3
"""Deaths of new replicas, all together, from which on the version is given up: one may be an accident, also two; one
that serves for a while before it dies is no crash loop and yet no good."""


EDGES: Mapping[tuple[Stage, Stage], str] = {
    (Stage.STARTING, Stage.JUDGING): "the first ones are ready",
    (Stage.STARTING, Stage.REPLACING): "the first ones are ready, and there is nothing to compare them with",
    (Stage.STARTING, Stage.UNDOING): "a new one does not get ready, or keeps dying",
    (Stage.JUDGING, Stage.REPLACING): "they are no worse than the old ones",
    (Stage.JUDGING, Stage.UNDOING): "they are worse than the old ones, or keep dying",
    (Stage.REPLACING, Stage.SHRINKING): "every number is new and ready",
    (Stage.REPLACING, Stage.UNDOING): "a new one does not get ready, keeps dying, or is worse than the old ones were",
    (Stage.SHRINKING, Stage.DONE): "nothing is there in addition",
    (Stage.UNDOING, Stage.CLEARING): "every number is old again, and as many serve as have to",
    (Stage.CLEARING, Stage.UNDONE): "nothing is there in addition",
}


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """What the new version's declaration says, and the gateway's slots."""

    surge: int
    unavailable: int
    slots_max: int
    canary_time_s: float
    canary_requests: int
    start_timeout_s: float
    slow_start_s: float = 0.0
    """A replica counts as serving only when it has its full share."""

    def bounds(self, count: int) -> Bounds:
        """For `count` replicas: without room for one more, one may be missing instead."""
        surge = max(0, min(self.surge, self.slots_max - count))
        return Bounds(surge, self.unavailable if surge else max(1, self.unavailable))


@dataclass(frozen=True, slots=True)
class ObservedService:
    """What a step is decided from: the number wanted, the replicas there are, what the comparison has so far."""

    count: int
    replicas: Sequence[ObservedReplica]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Move:
    """From now on these numbers are wanted as the new version."""

    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Return:
    """From now on these numbers are wanted as the old version again."""

    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Enter:
    stage: Stage
    doubt: str = ""
    """What is to be said at the end about the comparison."""


Step = Move | Return | Enter


def advance(rollout: Rollout, decision: Decision[Step], now: float) -> Rollout:
    """The rollout after these steps. Raises IllegalTransition for a way that is not in EDGES."""
    for step in decision.actions:
        match step:
            case Move(numbers):
                rollout = replace(rollout, moved=rollout.moved | numbers)
            case Return(numbers):
                rollout = replace(rollout, moved=rollout.moved - numbers)
            case Enter(stage, doubt):
                edge(EDGES, rollout.stage, stage, subject=rollout.service)
                rollout = replace(rollout, stage=stage, stage_since_s=now, doubt=doubt or rollout.doubt)
                if stage is Stage.UNDOING:
                    rollout = replace(rollout, reason=decision.reason, message=decision.message)
    return rollout


def decide(rollout: Rollout, seen: ObservedService, policy: RolloutPolicy, now: float) -> Decision[Step]:
    """The next step of a rollout, or what it waits for."""
    look = _Look(rollout, seen, policy, now)
    if rollout.stage in FORWARD and (trouble := look.trouble()) is not None:
        return trouble
    match rollout.stage:
        case Stage.STARTING:
            return _starting(look)
        case Stage.JUDGING:
            return _judging(look)
        case Stage.REPLACING:
            return _replacing(look)
        case Stage.SHRINKING | Stage.CLEARING:
            return _clearing(look)
        case Stage.UNDOING:
            return _undoing(look)
        case Stage.DONE | Stage.UNDONE:
            return Decision((), "ended", f"{rollout.service} is {rollout.stage.value}")


def _starting(look: _Look) -> Decision[Step]:
    first = look.first_numbers()
    if missing := [number for number in first if number not in look.rollout.moved]:
        return look.move(missing)
    if waiting := [number for number in first if not look.serves_as_new(number)]:
        return Decision((), "first_ones_start", f"{look.names(waiting)} of {look.new} gets ready")
    if not look.is_judged() or not look.serving_old():
        return Decision((Enter(Stage.REPLACING),), "first_ones_ready", f"{look.names(first)} of {look.new} is ready")
    return Decision(
        (Enter(Stage.JUDGING),),
        "first_ones_ready",
        f"{look.names(first)} of {look.new} is ready, and is compared with {look.old} "
        f"for {look.policy.canary_time_s:.0f} s",
    )


def _judging(look: _Look) -> Decision[Step]:
    if missing := [number for number in look.first_numbers() if number not in look.rollout.moved]:
        return look.move(missing)  # the service was scaled meanwhile
    judgement = judge(look.seen.comparison, look.policy.canary_requests)
    if judgement.is_worse:
        return Decision((Enter(Stage.UNDOING),), judgement.reason, f"{look.new} is worse: {judgement.message}")
    compared_s = look.now - look.rollout.stage_since_s
    if (left_s := look.policy.canary_time_s - compared_s) > 0:
        return Decision((), "being_compared", judgement.message, left_s)
    left_s = CANARY_TIMES_MAX * look.policy.canary_time_s - compared_s
    if not judgement.is_complete and look.is_asked() and left_s > 0:
        message = f"{judgement.message}; it is compared for {left_s:.0f} s more at most"
        return Decision((), "answers_are_waited_for", message, left_s)
    if waiting := [number for number in look.first_numbers() if not look.serves_as_new(number)]:
        return Decision((), "first_ones_start", f"{look.names(waiting)} of {look.new} gets ready again")
    doubt = "" if judgement.is_complete else judgement.message
    message = f"{look.new} goes on after {compared_s:.0f} s: {judgement.message}"
    return Decision((Enter(Stage.REPLACING, doubt),), judgement.reason, message)


def _replacing(look: _Look) -> Decision[Step]:
    judgement = judge(look.seen.comparison, look.policy.canary_requests)
    if look.is_judged() and judgement.is_worse:
        return Decision((Enter(Stage.UNDOING),), judgement.reason, f"{look.new} is worse: {judgement.message}")
    numbers = look.concerned()
    if left := [number for number in look.all_numbers() if number not in look.rollout.moved]:
        # What is there in addition is of the new version from the beginning, also when the count has changed since.
        concerned = [number for number in left if number > look.count or look.rollout.concerns(number)]
        if concerned:
            return look.move(concerned)
    if waiting := [number for number in numbers if not look.serves_as_new(number)]:
        return Decision((), "replicas_start", f"{look.names(waiting)} of {look.new} gets ready")
    if look.needs_surplus():
        return Decision((), "replicas_start", look.no_room())
    return Decision((Enter(Stage.SHRINKING),), "all_new", f"all {len(numbers)} are replaced and ready")


def _clearing(look: _Look) -> Decision[Step]:
    end = Stage.DONE if look.rollout.stage is Stage.SHRINKING else Stage.UNDONE
    if left := sorted(number for number in look.by_number if number > look.count):
        return Decision((), "surplus_stops", f"{look.names(left)} is no longer needed and ends")
    rollout = look.rollout
    what = f"{rollout.service} runs {look.new if end is Stage.DONE else look.old}"
    if rollout.numbers is not None:
        what = (
            f"{look.names(sorted(rollout.numbers))} {'is replaced' if end is Stage.DONE else 'could not be replaced'}"
        )
    if end is Stage.DONE and rollout.doubt and not judge(look.seen.comparison, look.policy.canary_requests).is_complete:
        return Decision((Enter(end),), "done_in_doubt", f"{what}; {rollout.doubt}")
    return Decision((Enter(end),), end.value, what)


def _undoing(look: _Look) -> Decision[Step]:
    moved = [number for number in range(1, look.count + 1) if number in look.rollout.moved]
    if moved:
        # What serves in addition stays until all others are back: it is what makes room for them.
        extra = [
            number
            for number in look.extra_numbers()
            if number in look.rollout.moved and not look.is_in_rotation(number)
        ]
        return look.give_back([*moved, *extra])
    if look.needs_surplus():
        return Decision((), "old_ones_start", look.no_room())
    return Decision((Enter(Stage.CLEARING),), "all_old", f"all {look.count} are {look.old} again")


class _Look:
    """One look at a service in the middle of a rollout: who serves, and who may go."""

    def __init__(self, rollout: Rollout, seen: ObservedService, policy: RolloutPolicy, now: float) -> None:
        self.rollout, self.seen, self.policy, self.now = rollout, seen, policy, now
        self.count = seen.count
        self.bounds = policy.bounds(seen.count)
        self.by_number = {replica.id.number: replica for replica in seen.replicas}
        self.wanted = wanted_replicas(seen.count, rollout.old, rollout, self.bounds)
        self.old, self.new = f"version {rollout.old}", f"version {rollout.new}"

    def is_judged(self) -> bool:
        return self.rollout.is_judged and not self.rollout.is_same_version and self.policy.canary_time_s > 0

    def is_asked(self) -> bool:
        comparison = self.seen.comparison
        return comparison.old.answers + comparison.new.answers > 0

    def all_numbers(self) -> range:
        return range(1, self.count + self.bounds.surge + 1)

    def extra_numbers(self) -> range:
        return range(self.count + 1, self.count + self.bounds.surge + 1)

    def first_numbers(self) -> list[int]:
        """Those that are started first: in addition, else in the place of old ones."""
        if self.bounds.surge:
            return list(self.extra_numbers())
        concerned = self.concerned()
        # What somebody holds out of rotation is nobody's loss, and makes room for the next.
        concerned.sort(key=lambda number: (number not in self.rollout.moved, not self.is_held(number)))
        return concerned[: self.bounds.unavailable]

    def concerned(self) -> list[int]:
        """Whom this is about, but for those that are new already and held by somebody: they will not serve."""
        own = [number for number in range(1, self.count + 1) if self.rollout.concerns(number)]
        return [number for number in own if not (self.is_new(number) and self.is_held(number))]

    def is_in_rotation(self, number: int) -> bool:
        """And to stay there: what was given up a moment ago is about to leave."""
        replica = self.by_number.get(number)
        want = self.wanted.get(number)
        is_ours = replica is not None and want is not None and want.is_met_by(replica) and not replica.is_held
        return is_ours and replica is not None and is_serving(replica)

    def serves(self, number: int) -> bool:
        """In rotation, with its full share."""
        since_s = self.by_number[number].state_since_s if number in self.by_number else self.now
        return self.is_in_rotation(number) and self.now - since_s >= self.policy.slow_start_s

    def is_new(self, number: int) -> bool:
        replica = self.by_number.get(number)
        return (
            replica is not None
            and replica.version == self.rollout.new
            and (replica.pid is None or replica.pid != self.rollout.replaces.get(number))
        )

    def serves_as_new(self, number: int) -> bool:
        return self.is_new(number) and self.serves(number)

    def serving_old(self) -> list[int]:
        return [number for number in self.all_numbers() if self.serves(number) and not self.is_new(number)]

    def room(self, *, freed: int = 0) -> int:
        """How many that serve may be taken out now."""
        serving = sum(1 for number in self.all_numbers() if self.serves(number))
        return max(0, serving - self.needed(freed=freed))

    def needed(self, *, freed: int = 0) -> int:
        """How many have to serve; `freed` of those that are held are about to be replaced. Going back, one at least,
        and none of those that will not: a version that is known to be bad would go on for as long as they do not
        come."""
        declared = self.count - self.bounds.unavailable
        # Nobody waits for those that are held; but where one at least had to serve, one still has to.
        needed = max(min(1, declared), declared - self.held() + freed)
        if self.rollout.stage is not Stage.UNDOING:
            return needed
        return min(needed, max(1, needed - len(self.lost())))

    def held(self) -> int:
        """How many are out of rotation because somebody asked for it: nobody waits for those."""
        return sum(1 for number in range(1, self.count + 1) if self.is_held(number))

    def is_held(self, number: int) -> bool:
        replica, want = self.by_number.get(number), self.wanted.get(number)
        return replica is not None and replica.is_held and want is not None and want.is_met_by(replica)

    def lost(self) -> list[int]:
        """What is as it is wanted, and will not serve all the same."""
        return [
            number
            for number in range(1, self.count + 1)
            if number in self.by_number
            and self.wanted[number].is_met_by(self.by_number[number])
            and (is_looping(self.by_number[number], self.now) or self.by_number[number].is_unreached)
        ]

    def move(self, numbers: Iterable[int]) -> Decision[Step]:
        chosen = self._without_loss(numbers, fits=self.is_new)
        if not chosen:
            return Decision((), "no_room", self.no_room())
        return Decision((Move(frozenset(chosen)),), "next_ones", f"{self.names(chosen)} {self._becomes()}")

    def _becomes(self) -> str:
        return "starts anew" if self.rollout.is_same_version else f"becomes {self.new}"

    def give_back(self, numbers: Iterable[int]) -> Decision[Step]:
        chosen = self._without_loss(numbers, fits=self.is_old)
        if not chosen:
            return Decision((), "no_room", self.no_room())
        return Decision(
            (Return(frozenset(chosen)),), "next_ones_back", f"{self.names(chosen)} becomes {self.old} again"
        )

    def is_old(self, number: int) -> bool:
        return number in self.by_number and self.by_number[number].version == self.rollout.old

    def _without_loss(self, numbers: Iterable[int], *, fits: Callable[[int], bool]) -> list[int]:
        """Of these: all that are out of rotation or are what is wanted anyhow, and as many others as there is room.
        In the place of one that somebody held comes one that serves: from now on it is waited for."""
        asked = list(numbers)
        chosen: list[int] = []
        room = self.room(freed=sum(1 for number in asked if self.is_held(number) and not fits(number)))
        for number in asked:
            if self.is_in_rotation(number) and not fits(number):
                if room == 0:
                    continue
                room -= 1
            chosen.append(number)
        return chosen

    def needs_surplus(self) -> bool:
        """Without what serves in addition too few would, and that is about to change. One that will not come is not
        waited for: it would hold up everything else for as long as it does not."""
        serving = sum(1 for number in range(1, self.count + 1) if self.serves(number))
        needed = self.count - self.bounds.unavailable - self.held() - len(self.lost())
        return serving < needed and any(map(self.is_in_rotation, self.extra_numbers()))

    def no_room(self) -> str:
        serving = sum(1 for number in self.all_numbers() if self.serves(number))
        return f"{serving} serve, at least {self.needed()} have to: the next one waits"

    def trouble(self) -> Decision[Step] | None:
        """What ends the new version whatever the comparison says."""
        new = [self.by_number[number] for number in sorted(self.by_number) if self.is_new(number)]
        new = [replica for replica in new if replica.id.number in self.rollout.moved]
        for replica in new:
            if is_crash_loop(replica.history):
                failures = replica.history.failures_in_a_row
                message = f"{replica.id} of {self.new} ended {failures} times in a row"
                return Decision((Enter(Stage.UNDOING),), "crash_loop", message)
            waited_s = self.now - replica.started_at_s
            if replica.state is ReplicaState.STARTING and waited_s >= self.policy.start_timeout_s:
                message = (
                    f"{replica.id} of {self.new} was not ready after {waited_s:.0f} s "
                    f"(limit {self.policy.start_timeout_s:.0f} s): {replica.probe_message or 'no answer'}"
                )
                return Decision((Enter(Stage.UNDOING),), "start_timeout", message)
            unhealthy_s = self.now - (self.now if replica.unhealthy_since_s is None else replica.unhealthy_since_s)
            if unhealthy_s >= self.policy.start_timeout_s:
                message = (
                    f"{replica.id} of {self.new} fails the gateway's checks for {unhealthy_s:.0f} s "
                    f"(limit {self.policy.start_timeout_s:.0f} s)"
                )
                return Decision((Enter(Stage.UNDOING),), "not_reached", message)
        deaths = sum(replica.history.total_restarts for replica in new)
        if deaths >= DEATHS_MAX:
            message = f"{deaths} replicas of {self.new} ended (limit {DEATHS_MAX - 1})"
            return Decision((Enter(Stage.UNDOING),), "keeps_dying", message)
        return None

    def names(self, numbers: Iterable[int]) -> str:
        return ", ".join(f"{self.rollout.service}/{number}" for number in numbers)


def is_serving(replica: ObservedReplica) -> bool:
    """In rotation, alive, and not failing its checks."""
    return (
        replica.state is ReplicaState.READY
        and not replica.has_exited
        and not replica.is_being_killed
        and replica.unhealthy_since_s is None
    )
