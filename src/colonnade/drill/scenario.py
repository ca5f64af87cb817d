"""What a drill is going to do, decided before it starts: load, faults on a timeline, and the rules of its verdict.

Plain data: it can be read from a file (`scenario_file`), printed, stored in a record and carried out again. Times are
seconds from the start of the load. Nothing here knows how a fault is made or how a rule is checked.
Read next: `record`, which is what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from colonnade.drill.load.arrivals import Arrivals


class Role(StrEnum):
    """Whom a fault can strike, by what it does in the system; which one it is by then is found out at that moment."""

    PRIMARY = "primary"
    STANDBY = "standby"
    NODE = "node"
    """Of the database, primary or standby."""
    REPLICA = "replica"
    """Of a service: of `Aim.service`, or of any that visitors reach when that is empty."""
    GATEWAY = "gateway"
    DBGATE = "dbgate"
    CONTROLLER = "controller"
    KEEPER = "keeper"
    SERVICE = "service"
    """As a whole: for a rollout, or links that all its replicas share."""
    SYSTEM = "system"
    """Everything: a disk, a clock, the load itself."""


class Extent(StrEnum):
    """How many of those that have the role."""

    ONE = "one"
    SOME = "some"
    """About half, at least one, never all unless there is one."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom a fault strikes. Which of several is drawn from the drill's seed."""

    role: Role
    extent: Extent = Extent.ONE
    service: str = ""
    towards: Role | None = None
    """For faults of a link: the other end. `role` is the end that connects (a standby connects to its primary)."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault on the timeline."""

    kind: str
    """The name of a file in `drill/faults`."""
    aim: Aim
    at_s: float
    lasts_s: float = 0.0
    """Until it is healed. 0 for what heals by itself or cannot be taken back (a kill)."""
    settings: Mapping[str, float | str] = field(default_factory=dict)
    """What the kind of fault knows, by name, units last: `delay_s`, `bytes_per_s`, `share`."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """The load beside which everything happens. Its duration follows from the faults: see `Scenario.duration_s`."""

    rate_per_s: float = 100.0
    write_share: float = 0.2
    session_share: float = 0.2
    """Of the requests, those sent by visitors who write, wait a moment and look for what they wrote."""
    arrivals: Arrivals = Arrivals.POISSON
    trace: str = ""
    """Path of an access log whose shape over time the load follows; its mean becomes `rate_per_s`."""
    timeout_s: float = 10.0
    shape: str = ""
    """Name of a load shape (`planning/shapes`) that the load follows instead, its whole period in one run."""


class RuleName(StrEnum):
    """What can be asked of a run; `checkers` has one file for each group."""

    LOST_WRITES_MAX = "lost_writes_max"
    DOUBLED_WRITES_MAX = "doubled_writes_max"
    PHANTOM_WRITES_MAX = "phantom_writes_max"
    STALE_SESSION_READS_MAX = "stale_session_reads_max"
    """Read-your-writes and monotonic reads together."""
    TWO_PRIMARIES_S_MAX = "two_primaries_s_max"
    FAILED_READS_SHARE_MAX = "failed_reads_share_max"
    FAILED_WRITES_SHARE_MAX = "failed_writes_share_max"
    """Of all writes intended; unknown ones count as failed here."""
    READ_GAP_S_MAX = "read_gap_s_max"
    """Longest time without one successful read, although some were intended."""
    WRITE_GAP_S_MAX = "write_gap_s_max"
    P99_MS_MAX = "p99_ms_max"
    """Of what was answered as expected, outside the faults' times."""
    RECOVERY_S_MAX = "recovery_s_max"
    """From each fault's end, or from itself when it has none, until the system says that nothing is missing."""
    MISSING_AT_END_MAX = "missing_at_end_max"
    """What the system says is missing at the very end, in its problems. Asked of every run; 0 where no scenario says
    otherwise."""
    LEFTOVERS_MAX = "leftovers_max"
    """Processes, sockets, replication slots and files that are there after the end and were not before."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole drill."""

    name: str
    title: str
    """What it is to show, in a sentence: the hypothesis."""
    load: LoadPlan
    faults: tuple[PlannedFault, ...]
    """Ascending by `at_s`."""
    rules: Mapping[RuleName, float]
    """Fixed before the run; the verdict is valid only when all hold."""
    steady_s: float = 5.0
    """Load without any fault first: what is normal here is measured in it."""
    recovery_s: float = 10.0
    """Load after the last fault is over."""

    @property
    def duration_s(self) -> float:
        """Of the load."""
        return max([self.steady_s, *(fault.at_s + fault.lasts_s for fault in self.faults)]) + self.recovery_s
