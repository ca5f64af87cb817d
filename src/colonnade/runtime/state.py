"""The data that decisions about replicas are made from. Frozen, plain, no behaviour beyond naming."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class ReplicaState(Enum):
    """Where a replica is in its life; `transitions.py` has the edges."""

    STARTING = "starting"
    """Its process runs and is being asked whether it is ready. The gateway does not know it yet."""
    READY = "ready"
    """It answered; it is in rotation until it dies, is seen stuck, or is no longer wanted."""
    DRAINING = "draining"
    """Out of rotation, still answering what it has; ends when nothing is in flight or its time is up."""
    STOPPING = "stopping"
    """Asked to stop with SIGTERM; killed with its group when the grace period is over."""
    WAITING = "waiting"
    """Dead, and to be started again when its back-off is over."""


@dataclass(frozen=True, slots=True, order=True)
class ReplicaId:
    """`backend/3`: the number is also the slot in the gateway, so a replacement inherits its predecessor's place."""

    service: str
    number: int

    def __str__(self) -> str:
        return f"{self.service}/{self.number}"


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """What the back-off needs to know: failures in a row, and when the last one was (monotonic seconds)."""

    failures_in_a_row: int = 0
    last_failure_at_s: float = 0.0
    restart_delay_s: float = 0.0
    total_restarts: int = 0
    in_vain: int = 0
    """Restarts because only the gateway did not reach it, since the gateway last did."""


@dataclass(frozen=True, slots=True)
class ObservedReplica:
    """One replica as last seen. Times are monotonic seconds of the controller that observes.

    Invariant: `pid` is None exactly when the state is WAITING.
    """

    id: ReplicaId
    state: ReplicaState
    state_since_s: float
    pid: int | None = None
    port: int | None = None
    started_at_s: float = 0.0
    has_exited: bool = False
    exit_code: int | None = None
    is_probe_ok: bool = False
    probe_message: str = ""
    in_flight: int | None = None
    """Requests that the gateway has sent it and not got back; None when the gateway has not told."""
    unhealthy_since_s: float | None = None
    """Since when the gateway's checks fail although the process lives."""
    is_sickness_widespread: bool = False
    """Most replicas of its service fail as well."""
    is_spared: bool = False
    """Of those that fail with most of the service another one is ended first."""
    answers: bool | None = None
    """When asked directly, while the gateway's checks fail; None: not known yet."""
    is_unreached: bool = False
    """It was told that it answers and that the gateway's checks fail."""
    is_being_killed: bool = False
    """SIGKILL is under way; its end is seen as an exit."""
    is_held: bool = False
    """Somebody asked to have it out of rotation: it drains and stays, without requests, until it is given back,
    replaced, or dies."""
    has_stopped: bool = False
    """The stop operation is over: nothing of its group runs."""
    history: RestartHistory = field(default_factory=RestartHistory)
    version: int = 1
    """Of code and declaration, that its process was started with."""


@dataclass(frozen=True, slots=True)
class ReplicaPolicy:
    """A service's bounds, in seconds."""

    start_timeout_s: float
    drain_timeout_s: float
    unhealthy_timeout_s: float = 1.0
    """A live process whose checks fail this long is killed, so that what it holds is replayed elsewhere.
    One second on top of the gateway's own two failed checks: a pause of the garbage collector is shorter."""
    widespread_timeout_s: float = 15.0
    """The same when most of the service fails at once: then the cause is probably shared (a dependency, a starved
    machine), and killing would not mend it. Long enough for a dependency's failover to be over."""
    unreached_timeout_s: float = 15.0
    """A replica that answers when asked directly is not dead, whatever the gateway's checks say: it may be slow, or the
    way to it is. It is started anew after this long, in case that helps: it gets another port."""


@dataclass(frozen=True, slots=True)
class StartReplica:
    id: ReplicaId


@dataclass(frozen=True, slots=True)
class MarkReady:
    """Put it into rotation."""

    id: ReplicaId


@dataclass(frozen=True, slots=True)
class DrainReplica:
    """Take it out of rotation; let it finish."""

    id: ReplicaId


@dataclass(frozen=True, slots=True)
class StopReplica:
    """SIGTERM, then SIGKILL to the group."""

    id: ReplicaId


@dataclass(frozen=True, slots=True)
class KillReplica:
    """SIGKILL the group at once, then treat it as failed."""

    id: ReplicaId


@dataclass(frozen=True, slots=True)
class NoteUnreached:
    """Tell, once, that only the gateway does not reach it."""

    id: ReplicaId


@dataclass(frozen=True, slots=True)
class ScheduleRestart:
    """It is dead: clear up after it and wait `delay_s` before the next start."""

    id: ReplicaId
    history: RestartHistory


@dataclass(frozen=True, slots=True)
class ForgetReplica:
    """It is gone and not wanted: drop its record."""

    id: ReplicaId


Action = (
    StartReplica
    | MarkReady
    | DrainReplica
    | StopReplica
    | KillReplica
    | NoteUnreached
    | ScheduleRestart
    | ForgetReplica
)
