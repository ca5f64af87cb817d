"""What a service should be, number by number: of which version, and not which process. Pure.

Numbers 1 to N are the service; above them are those that only a rollout needs (surge). What a rollout has *moved* is
wanted as its target, all else as before. `rollout.py` decides what is moved when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from colonnade.runtime.state import ObservedReplica


class Stage(Enum):
    STARTING = "starting"
    """The first of the new version are started, beside the old ones where there is room."""
    JUDGING = "judging"
    """They serve, and are compared with the old ones."""
    REPLACING = "replacing"
    """Number by number becomes the new version."""
    SHRINKING = "shrinking"
    """All are new; what was there in addition goes."""
    DONE = "done"
    UNDOING = "undoing"
    """Number by number becomes the old version again."""
    CLEARING = "clearing"
    """All are old again; what was there in addition goes."""
    UNDONE = "undone"


FORWARD = frozenset({Stage.STARTING, Stage.JUDGING, Stage.REPLACING})
"""Where the new version can still be given up."""

CLEARED = frozenset({Stage.SHRINKING, Stage.DONE, Stage.CLEARING, Stage.UNDONE})
"""Where nothing is wanted in addition."""

ENDED = frozenset({Stage.DONE, Stage.UNDONE})


@dataclass(frozen=True, slots=True)
class Rollout:
    """One service on its way. Survives the controller: what is here is on disk before it is acted on, but for
    `stage_since_s`, which is monotonic time of this controller.

    Invariant: a number in `moved` is wanted as `new`, any other as `old`; but all as `new` from SHRINKING on, and all
    as `old` from CLEARING on.
    """

    service: str
    old: int
    new: int
    stage: Stage = Stage.STARTING
    stage_since_s: float = 0.0
    moved: frozenset[int] = frozenset()
    numbers: frozenset[int] | None = None
    """Which numbers this is about; None: all of them, also those that are added meanwhile."""
    replaces: Mapping[int, int] = field(default_factory=dict)
    """By number, the process that has to go although its version stays."""
    is_judged: bool = True
    """The new version is compared with the old one; not on the way back to one that is known."""
    reason: str = "asked"
    message: str = ""
    """Why it began; once it is being undone, why that."""
    doubt: str = ""
    """Why the comparison said little, when the others followed all the same."""

    @property
    def is_same_version(self) -> bool:
        return self.old == self.new

    def concerns(self, number: int) -> bool:
        return self.numbers is None or number in self.numbers


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many more, and how many fewer there may be than the service has."""

    surge: int
    unavailable: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted under one number. Any process of `version` will do, but for the one that is to be replaced."""

    version: int
    not_pid: int | None = None
    may_be_held: bool = True
    """One that somebody drained is left as it is. But one in addition has to serve: it is what makes room."""

    def is_met_by(self, replica: ObservedReplica) -> bool:
        is_it = replica.version == self.version and (self.not_pid is None or replica.pid != self.not_pid)
        return is_it and (self.may_be_held or not replica.is_held)


def wanted_replicas(count: int, version: int, rollout: Rollout | None, bounds: Bounds) -> Mapping[int, Wanted]:
    """By number, from 1. Without a rollout simply `count` replicas of `version`."""
    if rollout is None:
        return dict.fromkeys(range(1, count + 1), Wanted(version))
    wanted = {number: _wanted(rollout, number) for number in range(1, count + 1)}
    if rollout.stage not in CLEARED:
        # In addition only what the rollout asked for; on the way back such a one may be of either version.
        extra = range(count + 1, count + bounds.surge + 1)
        is_undoing = rollout.stage is Stage.UNDOING
        needed = [number for number in extra if is_undoing or number in rollout.moved]
        wanted |= {number: replace(_wanted(rollout, number), may_be_held=False) for number in needed}
    return wanted


def _wanted(rollout: Rollout, number: int) -> Wanted:
    is_new = number in rollout.moved and rollout.stage is not Stage.CLEARING
    if is_new or rollout.stage is Stage.SHRINKING:
        return Wanted(rollout.new, rollout.replaces.get(number))
    return Wanted(rollout.old)
