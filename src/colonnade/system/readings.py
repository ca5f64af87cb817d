"""What replicas and the machine use, read once for all who go by it: scaling by itself, and the watch for the sick."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from colonnade.core.groups import GroupUsage, usage_of_groups
from colonnade.core.memory import MachineMemory, machine_memory
from colonnade.core.strangers import Strangers
from colonnade.runtime.controller import RuntimeController
from colonnade.runtime.trends import FINE_S

READ_EVERY_S = 0.9 * FINE_S
"""The pace of the finest trend, a little early: looks never come on the dot. The kernel counts processor time in
hundredths of a second, so a rate needs about so long."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`groups` by the pid of a replica, which leads its group; `at_s` is monotonic."""

    at_s: float = -math.inf
    groups: Mapping[int, GroupUsage] = field(default_factory=dict)
    machine: MachineMemory = field(default_factory=machine_memory)


class Readings:
    """The newest reading."""

    def __init__(self, runtime: RuntimeController) -> None:
        self._runtime = runtime
        self._newest = Reading()
        self._strangers = Strangers()

    def at(self, now: float) -> Reading:
        """One that is less than READ_EVERY_S old; the same one for all who ask meanwhile."""
        if now - self._newest.at_s >= READ_EVERY_S:
            groups = {replica.pid for replica in self._runtime.view().replicas if replica.pid is not None}
            self._newest = Reading(now, usage_of_groups(groups, self._strangers), machine_memory())
        return self._newest
