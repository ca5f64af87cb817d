"""What the gateway should be (`Membership`) and what it is seen to be (`ObservedGateway`, `GatewayView`).

All frozen data. A *pool* is a service, or a role of the database. It has numbered *slots*; a replica has the slot of
its number, so that a replacement takes over its predecessor's place in a consistent hash. A pool appears in HAProxy at
one or more *places*: a service as its backend and again as `<service>.streams`, with a server per slot in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache

from colonnade.core.errors import Bug
from colonnade.core.histogram import EMPTY, Histogram

DEAD_ADDRESS = "127.0.0.1:1"
"""Where an empty slot points: a privileged port nobody uses, so that even a mistake is refused at once."""

WEIGHT_MAX = 256
"""HAProxy's own bound."""


class ServerState(Enum):
    """HAProxy's administrative states: takes requests, finishes what it has, is out."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True, slots=True)
class Server:
    """One slot of a pool as it should be. Without an address it is empty, and its state is MAINT."""

    slot: int
    address: str | None = None
    state: ServerState = ServerState.MAINT
    weight: int = 1
    is_unproven: bool = False
    """It comes into rotation only with the gateway's own first good check, not before."""

    def __post_init__(self) -> None:
        if self.address is None and self.state is not ServerState.MAINT:
            raise Bug(f"slot {self.slot} is {self.state.value} without an address")
        if self.slot < 1 or not 0 <= self.weight <= WEIGHT_MAX:
            raise Bug(f"slot {self.slot} with weight {self.weight} is out of bounds")


@lru_cache(maxsize=512)
def _empty(slot: int) -> Server:
    """Remembered: most slots are empty, and all are gone through at each look."""
    return Server(slot)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pool's slots are in HAProxy: server `<prefix><slot>` of `backend`. One that `follows` takes its health
    and its state from the first place (`track`): only address and weight are set there."""

    backend: str
    prefix: str = "r"
    follows: bool = False

    def server(self, slot: int) -> str:
        return f"{self.backend}/{self.prefix}{slot}"


@dataclass(frozen=True, slots=True)
class NamedServers:
    """Servers behind one name of the DNS: as many as it has addresses, `count_max` at most."""

    host: str
    """May hold `${NAME}`: HAProxy fills it in from its environment."""
    port: int
    count_max: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Discovery:
    """Servers that HAProxy finds by itself, in the DNS: those of containers, whose addresses somebody else gives.

    Then nobody speaks to it by the Runtime API, and what needs that is left out of its text.
    """

    names: tuple[NamedServers, ...]
    fallback: str = ""
    """`host:port` that is asked when every server that was found fails its checks: whoever is behind it chooses."""
    agent_port: int | None = None
    """Where each server says `ready`, or `drain` when it is about to leave: nothing new is sent there then."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as it should be. Slots that are not named are empty."""

    name: str
    slots_max: int
    servers: tuple[Server, ...] = ()
    check_expect: str = "200-399"
    """Statuses of the health path that count as healthy; "200-499" where the application has no such page. A change
    needs new text, that is a reload; everything else here does not."""
    check_path: str = "/readyz"
    """What the controller asks while HAProxy's own checks are switched off."""
    check_timeout_s: float = 0.3
    """How late an answer to HAProxy's own check may be."""
    exclusive: bool = False
    """True for a role of the database: who leaves is cut off, with its sessions, before who comes is let in."""
    has_cookies: bool = False
    """Visitors stay with a slot by a cookie that holds the slot's name."""
    places: tuple[Place, ...] = ()
    """Empty: a service, with its backend and its streams backend."""
    discovery: Discovery | None = None
    """Its servers are found in the DNS; then it has no slots of ours."""

    def __post_init__(self) -> None:
        slots = [server.slot for server in self.servers]
        if len(set(slots)) != len(slots):
            raise Bug(f"a slot is named twice: {sorted(slots)}", subject=self.name)
        if slots and max(slots) > self.slots_max:
            raise Bug(f"slot {max(slots)} is beyond the {self.slots_max} of this pool", subject=self.name)

    def where(self) -> tuple[Place, ...]:
        """The places of this pool, the leading one first."""
        return self.places or (Place(self.name), Place(streams_backend(self.name), follows=True))

    @property
    def counts_latency(self) -> bool:
        """A service: its answers are counted by latency, in a table of the leading backend's name."""
        return not self.places and self.discovery is None

    def slots(self) -> Iterator[Server]:
        """Every slot from 1 to `slots_max`, empty ones included."""
        named = {server.slot: server for server in self.servers}
        return (named.get(slot) or _empty(slot) for slot in range(1, self.slots_max + 1))


@dataclass(frozen=True, slots=True)
class Membership:
    """Everything HAProxy may send to. Two that differ in servers only are one text apart from the server lines."""

    pools: tuple[Pool, ...] = ()

    def pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)

    def without_servers(self) -> Membership:
        """The same pools, all slots empty: what the Runtime API cannot change."""
        return Membership(tuple(replace(pool, servers=()) for pool in self.pools))


def streams_backend(service: str) -> str:
    """The name has a dot because no service's name can: it never collides."""
    return f"{service}.streams"


@dataclass(frozen=True, slots=True)
class ObservedServer:
    """One server line of HAProxy as the Runtime API reports it. Sessions count requests being served."""

    address: str
    state: ServerState
    weight: int
    is_up: bool
    has_checks: bool = False
    """The text has checks for it (a server that follows another, or a database node, has none)."""
    ignores_health: bool = False
    """Its checks are switched off: the pool is failed open."""
    status: str = ""
    check_status: str = ""
    """HAProxy's word for the last check: L7OK, L7STS, L7TOUT, L4CON, …; empty without checks."""
    sessions: int = 0
    queued: int = 0
    requests_total: int = 0
    errors_total: int = 0
    """Failed connections and broken replies."""
    server_errors_total: int = 0
    """Replies with a status from 500."""
    response_ms_mean: float = 0.0
    """From the request's sending to the reply's beginning: HAProxy's mean of its last 1,024."""


@dataclass(frozen=True, slots=True)
class ObservedBackend:
    """One backend's own figures. The two averages are HAProxy's, over its last 1,024 requests."""

    queued: int = 0
    sessions: int = 0
    requests_total: int = 0
    server_errors_total: int = 0
    """Replies with a status from 500."""
    rejected_total: int = 0
    """Answered 503 by the gateway itself: the queue was full, the wait in it too long, or nobody there to be asked."""
    retries_total: int = 0
    redispatches_total: int = 0
    response_ms_mean: float = 0.0
    queue_ms_mean: float = 0.0
    responses: tuple[int, ...] = ()
    """How many answers had a status of 1xx, 2xx, … 5xx, those that the gateway gave itself included."""


@dataclass(frozen=True, slots=True)
class ObservedFrontend:
    """One listener's own figures: `public`, or `<service>.internal`."""

    sessions: int = 0
    """Connections that are open now."""
    requests_total: int = 0
    denied_total: int = 0
    """Refused by a rule: too many from one client, or too large."""
    bad_requests_total: int = 0
    """What was no request: broken off, too slow, not HTTP."""
    responses: tuple[int, ...] = ()
    """How many answers had a status of 1xx, 2xx, … 5xx."""


@dataclass(frozen=True, slots=True)
class ObservedGateway:
    """One look at a live HAProxy; servers are named `backend/server`."""

    pid: int
    uptime_s: int
    servers: Mapping[str, ObservedServer] = field(default_factory=dict)
    backends: Mapping[str, ObservedBackend] = field(default_factory=dict)
    latencies: Mapping[str, Mapping[int, Histogram]] = field(default_factory=dict)
    """By backend and slot, since this process began; slots that never answered are missing."""
    frontends: Mapping[str, ObservedFrontend] = field(default_factory=dict)
    connections: int = 0
    """Of clients and of replicas to their likes, now."""
    connections_max: int = 0


@dataclass(frozen=True, slots=True)
class ServerView:
    """A slot that has an address, for the rest of the system. `sessions` and `streams` are in flight now."""

    slot: int
    address: str
    status: str
    """UP, DOWN, DRAIN, MAINT or "no check"; a server on its way is UP or DOWN as HAProxy treats it."""
    check_status: str
    sessions: int
    streams: int
    queued: int
    requests_total: int
    errors_total: int
    failing_since_s: float | None = None
    """Monotonic time since when no check has passed, also while failed open, when `status` says UP all the same."""
    server_errors_total: int = 0
    """Replies with a status from 500."""
    response_ms_mean: float = 0.0
    """The replica's own time to answer, waiting in the gateway apart: HAProxy's mean of the last 1,024 answers."""
    latency: Histogram = EMPTY
    """Its answers by latency, waiting in the gateway included, since HAProxy began; streams are not counted. Also what
    earlier replicas in this slot answered."""

    @property
    def is_down(self) -> bool:
        """In rotation, yet found unhealthy: if its process lives, it hangs."""
        return self.status == "DOWN"

    @property
    def in_flight(self) -> int:
        return self.sessions + self.streams + self.queued


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool for the rest of the system; `traffic` is of plain requests, `streams` counts the long-lived ones."""

    servers: Mapping[int, ServerView]
    traffic: ObservedBackend
    streams: int = 0
    is_failed_open: bool = False
    latency: Histogram = EMPTY
    """Answers of all replicas, those that have left included, by latency, since HAProxy began. What was answered by the
    gateway itself is not in it."""

    @property
    def rejected_total(self) -> int:
        return self.traffic.rejected_total

    @property
    def in_flight(self) -> int:
        return self.traffic.queued + sum(server.sessions for server in self.servers.values())


@dataclass(frozen=True, slots=True)
class GatewayView:
    """The last look; `pid` is None while HAProxy is not running."""

    pid: int | None = None
    uptime_s: int = 0
    observed_at_s: float = 0.0
    """Monotonic time of the look."""
    restarts_count: int = 0
    reloads_count: int = 0
    pools: Mapping[str, PoolView] = field(default_factory=dict)
    frontends: Mapping[str, ObservedFrontend] = field(default_factory=dict)
    connections: int = 0
    connections_max: int = 0
