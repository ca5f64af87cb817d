"""What happened in one drill, complete: everything that a checker or a report needs, and nothing that was concluded.

Plain data, written to disk as it is (`record_file`), so that a report can be made again and a verdict be contested.
All moments (`…_at`) are seconds of the machine's monotonic clock, like those of the load's operations; events and
PostgreSQL's logs speak of wall time, and `wall_offset_s` leads from one to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from colonnade.core.events import Event
from colonnade.drill.checkers.writes import Held
from colonnade.drill.load.history import History
from colonnade.drill.scenario import PlannedFault, Scenario


class FaultEnd(StrEnum):
    """What became of a planned fault."""

    DONE = "done"
    """Injected, and healed where it had to be."""
    SKIPPED = "skipped"
    """Not possible on this machine or with this application; the reason says why."""
    FAILED = "failed"
    """It was to be injected or healed, and that failed: the run proves nothing about it."""
    NOT_REACHED = "not_reached"
    """The drill was interrupted before."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One fault as it was. Moments are None for what did not come to pass."""

    planned: PlannedFault
    end: FaultEnd
    reason: str
    message: str
    """A sentence with whom it struck: "killed node a, the primary (pid 4711)"."""
    subjects: tuple[str, ...] = ()
    """Names as in `status` and in events: backend-2, a, gateway."""
    injected_at: float | None = None
    healed_at: float | None = None
    whole_at: float | None = None
    """The first moment after it at which the system said that nothing is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at `colonnade status`, reduced; taken every half a second, and before the first and after the last."""

    at: float
    is_answered: bool
    problems: tuple[str, ...] = ()
    ready: Mapping[str, int] = field(default_factory=dict)
    """Ready replicas by service."""
    desired: Mapping[str, int] = field(default_factory=dict)
    primary: str | None = None
    is_writable: bool | None = None
    """None without a database of ours."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Role and state of each database node: "standby following"."""

    @property
    def is_whole(self) -> bool:
        """Everything that was declared is there and in its place."""
        return self.is_answered and not self.problems and self.is_writable is not False


@dataclass(frozen=True, slots=True)
class Machine:
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    processor: str
    disk: str
    """File system and device of the instance's directory."""
    load_before: float
    """Load average over a minute, before the drill began."""
    is_root: bool


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The cluster that a drill was run in. `Record.machine` is then only where the load came from."""

    context: str
    server: str
    version: str
    namespace: str
    nodes: tuple[str, ...]
    """A sentence each: name, version, how many pods of the system."""
    images: Mapping[str, str]
    """By Deployment."""
    url: str
    """Where the load went."""
    is_forwarded: bool
    """Through a port-forward of the drill's own."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is there after the instance went down and was not before it came up. Sentences."""

    processes: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    """Replication slots beyond one per member, looked at before it went down."""
    changes: tuple[str, ...] = ()
    """Of a cluster: what the drill changed and did not put back."""

    def __len__(self) -> int:
        return len(self.processes) + len(self.sockets) + len(self.files) + len(self.slots) + len(self.changes)


@dataclass(frozen=True, slots=True)
class ServerLine:
    """One line of a database node's own log, for what the servers say themselves."""

    node: str
    at_wall_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a database server as the kernel told it to the drill, which held a pidfd of its own. A server that
    is killed writes no last line, so its log alone cannot say when it stopped taking writes."""

    node: str
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Promotion:
    """A timeline's beginning: this node took the number, by its own log, and left its predecessor at `lsn`, by
    PostgreSQL's own history files."""

    node: str
    timeline: int
    lsn: str


@dataclass(frozen=True, slots=True)
class Record:
    """One drill."""

    scenario: Scenario
    seed: int
    run_id: str
    command: str
    """What was typed, and repeats it."""
    versions: Mapping[str, str]
    """Of Colonnade, PostgreSQL, HAProxy, the application server."""
    declaration_sha256: str
    machine: Machine
    application: str
    """Name and directory."""
    began_at_wall_s: float
    wall_offset_s: float
    """wall = monotonic + this."""
    is_interrupted: bool
    topology_before: Mapping[str, Any]
    """`colonnade status --json` before the load and after it; empty where it could not be had."""
    topology_after: Mapping[str, Any]
    history: History
    """The load: every operation."""
    faults: tuple[FaultRecord, ...]
    events: tuple[Event, ...]
    samples: tuple[Sample, ...]
    held: tuple[Held, ...] | None
    """What the application holds afterwards with this run's mark; None where it cannot be asked."""
    held_problem: str
    """Why it could not be asked; empty where it could."""
    server_lines: tuple[ServerLine, ...]
    promotions: tuple[Promotion, ...]
    leftovers: Leftovers | None
    """None when the drill could not look: then nothing is known."""
    deaths: tuple[Death, ...] = ()
    untested: tuple[str, ...] = ()
    """Sentences on parts and faults that this run says nothing about."""
    cluster: ClusterFacts | None = None
    """None for a drill on one machine."""
    doubts: tuple[str, ...] = ()
    """Why this run must not be believed for good, as whoever led it saw: sentences."""
