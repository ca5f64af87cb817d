"""The vocabulary of colonnade.toml: one frozen model per table, each field with its meaning, unit and default.

`reference.toml` beside this file shows every key with its default; a test holds the two together.
Cross-checks between tables (dangling `uses`, cycles, routes) are in `check.py`; reading files is in `load.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from colonnade.spec.syntax import (
    AppString,
    CommandLine,
    DatabaseName,
    DayRange,
    Flag,
    HashBy,
    InsidePath,
    Listen,
    Name,
    OtlpEndpoint,
    Route,
    Scalar,
    TimeOfDay,
    UrlPath,
    Whole,
)
from colonnade.spec.units import Bytes, Fraction, Seconds

Balance = Literal["round-robin", "least-connections", "weighted", "consistent-hash", "adaptive"]
ServiceKind = Literal["auto", "wsgi", "asgi"]

REPLICAS_MAX = 200
"""Per service. Chosen by feel: one machine runs fewer, and each is a line in what the gateway is asked for twice a
second."""


class Model(BaseModel):
    """Frozen, and strict about keys: a misspelt key is an error, never a default.

    The file uses the aliases (`client_timeout = "30s"`), Python the names with their unit (`client_timeout_s`).
    Pydantic's own errors would quote the input, which may hold a password: hidden.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, populate_by_name=True, hide_input_in_errors=True
    )


class SystemSpec(Model):
    name: Name = "app"
    """Shown everywhere; default: the directory's name, made fit."""
    user: str = ""
    """When started as root: the user that gateway, replicas and database run as. Empty: the owner of the directory
    unless that is root, else `nobody`. Ignored for an ordinary user."""
    versions_kept: Whole = Field(default=5, ge=2, le=100)
    """How many versions of code and declaration are kept for `rollback`, the running one among them."""
    shared: list[InsidePath] = Field(default_factory=list)
    """Files and directories, relative to colonnade.toml, that are data and not code: no version has a copy of its own,
    all of them use the one beside colonnade.toml, and may write to it."""


class RateLimit(Model):
    """`rate_limit = { requests = 100, per = "10s" }`: what one client address may ask for; more is answered 429."""

    requests: Whole = Field(ge=1, le=1_000_000)
    per_s: Seconds = Field(alias="per", ge=1, le=3600)


class GatewaySpec(Model):
    listen: Listen = "127.0.0.1:8080"
    """Address and port of the public side, or `[::1]:8080`. Loopback by default: nobody else reaches it."""
    request_body_bytes_max: Bytes = 10_000_000
    """Larger requests are answered 413."""
    request_headers_bytes_max: Bytes = 16 * 1024
    """Request line and headers together; larger ones are answered 400."""
    client_timeout_s: Seconds = Field(default=30.0, alias="client_timeout", gt=0)
    """A client that sends nothing for this long in the middle of a request or a reply is cut off."""
    header_timeout_s: Seconds = Field(default=10.0, alias="header_timeout", gt=0)
    """The whole request head must arrive within this time (slow-loris)."""
    keep_alive_timeout_s: Seconds = Field(default=60.0, alias="keep_alive_timeout", gt=0)
    """How long an idle keep-alive connection of a client is kept."""
    connections_max: Whole = Field(default=4000, ge=10, le=100_000)
    """Client connections at once; more wait in the kernel."""
    trust_trace_context: Flag = True
    """Whether a visitor's `traceparent` and `tracestate` are passed on. false: they are removed, and no visitor decides
    what is recorded."""


class ReplicasSpec(Model):
    """`replicas = 3`, or `{ min = 2, max = 8 }`: bounds for `colonnade scale`, starting at `min`."""

    min: Whole = Field(default=2, ge=0, le=REPLICAS_MAX)
    max: Whole = Field(default=2, ge=1, le=REPLICAS_MAX)
    fixed: Flag = Field(default=True, exclude=True)
    """True when a plain number was given: then `scale` may go up to twice as many, and to 16 at least."""


def parse_replicas(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number such as 3, or { min = 2, max = 8 }")
    if isinstance(value, int):
        if not 0 <= value <= REPLICAS_MAX:
            raise ValueError(f"expected between 0 and {REPLICAS_MAX} replicas")
        return {"min": value, "max": max(value, 1), "fixed": True}
    if isinstance(value, dict):
        if "fixed" in value:
            raise ValueError("expected a number such as 3, or { min = 2, max = 8 }")
        if "min" in value and isinstance(value["min"], int) and "max" not in value:
            value = {**value, "max": value["min"]}
        return {**value, "fixed": False}
    if isinstance(value, ReplicasSpec):
        return value
    raise ValueError("expected a number such as 3, or { min = 2, max = 8 }")


class WeightGroup(Model):
    """Replicas of one size. `weights = [{ replicas = 1, weight = 3 }, { replicas = 1, weight = 1 }]` sends the first
    three times as much as the second. A replica's `env` may carry what makes it larger (threads, cache)."""

    replicas: Whole = Field(default=1, ge=1, le=REPLICAS_MAX)
    weight: Whole = Field(default=1, ge=1, le=100)
    env: dict[str, str] = Field(default_factory=dict, repr=False)


def check_groups(groups: list[WeightGroup]) -> list[WeightGroup]:
    count = sum(group.replicas for group in groups)
    if count > REPLICAS_MAX:
        raise ValueError(f"expected at most {REPLICAS_MAX} replicas in all groups together, got {count}")
    return groups


class HealthSpec(Model):
    path: UrlPath = "/readyz"
    """Asked on each replica, at its start and by the gateway. Without such a page in the application (404 on it) any
    answer from 200 to 499 counts as ready."""
    interval_s: Seconds = Field(default=0.2, alias="interval", ge=0.05, le=60)
    """Between two checks of the gateway."""
    timeout_s: Seconds = Field(default=0.3, alias="timeout", ge=0.02, le=60)
    """A check that takes longer has failed. With two of them a frozen replica is out in less than a second, and one
    that answers a quarter of a second late is not."""
    fall: Whole = Field(default=2, ge=1, le=20)
    """Failed checks in a row that take a replica out. One is too few: after a pause of the gateway itself every check
    that was under way has failed."""
    rise: Whole = Field(default=1, ge=1, le=20)
    """Good checks in a row that bring it back."""
    start_timeout_s: Seconds = Field(default=60.0, alias="start_timeout", gt=0)
    """A replica that is not ready by then is killed and tried again."""
    outliers: Flag = True
    """Replace a replica that is much slower than its peers, errs much more, or is about to run out of memory."""


class SloSpec(Model):
    """`slo = { p99 = "250ms", availability = "99.95%" }`: what users may expect of a service. Autoscaling, the bound on
    waiting and the judgement of a new version go by it."""

    p99_s: Seconds | None = Field(default=None, alias="p99", gt=0, le=60)
    """99 of 100 answers begin within this time, waiting included."""
    availability: Fraction | None = Field(default=None, ge=0.5, lt=1.0)
    """Share of requests that are answered, and not with a status from 500."""


class ScheduleEntry(Model):
    """`{ days = "mon-fri", from = "08:00", to = "18:00", min = 4 }`: at least so many replicas in these hours."""

    days: DayRange = "mon-sun"
    from_time: TimeOfDay = Field(alias="from")
    to_time: TimeOfDay = Field(alias="to")
    """Later than `from`, or earlier: then it is of the next day."""
    min: Whole = Field(ge=1, le=REPLICAS_MAX)


class ScalingSpec(Model):
    """How a service with `replicas = { min, max }` is scaled."""

    target_utilization: float = Field(default=0.75, gt=0.1, lt=1.0)
    """Share of a replica's `threads` that may be busy on average; the rest is for bursts and a replica that dies."""
    down_after_s: Seconds = Field(default=60.0, alias="down_after", ge=5, le=86_400)
    """Fewer replicas only when fewer would have done for all of this time."""
    predict: Flag = True
    """Go by the pattern of the same hour of earlier days too, where there is one."""
    schedule: list[ScheduleEntry] = Field(default_factory=list)
    """Hours in which there are more than `min`. The time zone is the machine's."""


class RolloutSpec(Model):
    """How a new version replaces an old one."""

    surge: Whole = Field(default=1, ge=0, le=20)
    """Replicas of the new version that run beside all old ones; also the first to be judged (canary)."""
    unavailable: Whole = Field(default=0, ge=0, le=20)
    """Replicas that may be missing meanwhile. Not 0 together with `surge`."""
    canary_time_s: Seconds = Field(default=10.0, alias="canary_time", ge=0, le=86_400)
    """How long the first ones are compared with the old version before the others follow, and up to three times as long
    while their answers are too few; 0: not at all."""
    canary_requests: Whole = Field(default=50, ge=1, le=1_000_000)
    """Answers of each version below which latency says nothing. Errors that cannot be chance count at once."""

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        if self.surge == 0 and self.unavailable == 0:
            raise ValueError("expected surge or unavailable above 0: with neither nothing can be replaced")
        return self


class ServiceSpec(Model):
    app: AppString = ""
    """Import string of a WSGI or ASGI application: `module:name` or `module:factory()`. Either this or `command`."""
    kind: ServiceKind = "auto"
    """`wsgi`, `asgi`, or found out from the application itself."""
    command: CommandLine = ""
    """Any server: a command (split as a shell would, but run without one) that listens on $HOST:$PORT.
    $HOST is 127.0.0.1, and in a container 0.0.0.0. Both and other variables of its environment are filled in."""
    path: str = "."
    """Working directory, relative to colonnade.toml."""
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    env_file: str = ""
    """KEY=value lines, for secrets that do not belong into a repository; must not be readable by others."""
    route: Route = ""
    """Path prefix on the gateway; empty: not public. The longest prefix wins; the path is passed on unchanged."""
    replicas: Annotated[ReplicasSpec, BeforeValidator(parse_replicas)] = ReplicasSpec()
    weights: Annotated[list[WeightGroup], AfterValidator(check_groups)] = Field(default_factory=list)
    """Groups of replicas of different size; instead of `replicas`, with any `balance`."""
    balance: Balance = "round-robin"
    hash_by: HashBy = "path"
    """For consistent-hash: `path`, `header:NAME` or `cookie:NAME`."""
    affinity: Literal["none", "cookie"] = "none"
    """`cookie`: a visitor stays with the replica that answered first, as long as it is there."""
    static: dict[Route, str] = Field(default_factory=dict)
    """Files served without asking the application: `{ "/static" = "static" }`, directories relative to `path`."""
    static_max_age_s: Seconds = Field(default=3600.0, alias="static_max_age", ge=0)
    """How long browsers may keep such a file."""
    rate_limit: RateLimit | None = None
    """What one client address may ask of this service; unset: no limit."""
    slo: SloSpec | None = None
    uses: list[str] = Field(default_factory=list)
    """Services and `database` that this one calls: gives it <SERVICE>_URL, DATABASE_URL, DATABASE_READ_URL."""
    health: HealthSpec = HealthSpec()
    scaling: ScalingSpec = ScalingSpec()
    rollout: RolloutSpec = RolloutSpec()
    release: CommandLine = ""
    """A command run once before the first replica starts, such as a migration; its failure stops the start."""
    release_timeout_s: Seconds = Field(default=300.0, alias="release_timeout", gt=0)
    threads: Whole = Field(default=8, ge=1, le=500)
    """Requests that one replica serves at once; the gateway sends no more (HAProxy's maxconn)."""
    queue_max: Whole = Field(default=200, ge=1, le=100_000)
    """Requests that may wait in the gateway for a free replica; more are answered 503 with Retry-After."""
    queue_timeout_s: Seconds = Field(default=10.0, alias="queue_timeout", gt=0)
    """Longer waits in the gateway end with 503. With `slo.p99`, unless this is given: half of that
    (`derive.queue_timeout_s`)."""
    request_timeout_s: Seconds = Field(default=30.0, alias="request_timeout", gt=0)
    """A reply that does not begin within this time is given up (504)."""
    streams_max: Whole = Field(default=100, ge=1, le=10_000)
    """WebSockets and event streams at once per replica; apart from `threads`."""
    stream_timeout_s: Seconds = Field(default=3600.0, alias="stream_timeout", gt=0)
    """A stream on which nothing moves for this long is closed."""
    retries: Whole = Field(default=2, ge=0, le=3)
    """How often the gateway tries another replica: connection failures for any method, broken replies only where
    repeating is safe."""
    idempotency_key: Flag = False
    """True when the application honours Idempotency-Key: then such writes are repeated as well."""
    stop_timeout_s: Seconds = Field(default=10.0, alias="stop_timeout", ge=0)
    """Between SIGTERM and SIGKILL; draining has the same bound before it."""
    slow_start_s: Seconds = Field(default=0.0, alias="slow_start", ge=0)
    """A new replica's share grows to its full one over this time; 0: at once."""
    memory_bytes_max: Bytes | None = Field(default=None, alias="memory_max")
    """Address-space limit of a replica's processes (RLIMIT_AS); unset: none."""

    @model_validator(mode="after")
    def _count_replicas_of_groups(self) -> Self:
        """With `weights`, `replicas` is their sum, so that whoever reads `replicas` is right in both cases."""
        if self.weights and "replicas" not in self.model_fields_set:
            count = sum(group.replicas for group in self.weights)
            # Into __dict__, because the model is frozen and because `replicas` must not count as given by the user.
            self.__dict__["replicas"] = ReplicasSpec(min=count, max=count)
        return self


class BackupSpec(Model):
    """[database.backup]: its presence turns continuous archiving and the schedule on."""

    directory: str = "backups"
    """Where backups and archived WAL go, relative to colonnade.toml; better a disk of its own. Absolute once loaded."""
    full_every_s: Seconds = Field(default=86400.0, alias="full_every", ge=60)
    """Between two full backups. A day bounds how long a chain of incrementals gets."""
    incremental_every_s: Seconds = Field(default=3600.0, alias="incremental_every")
    """Between two incremental ones; 0: none. They shorten a restore, not what can be lost."""
    keep_full: Whole = Field(default=7, ge=1, le=1000)
    """Full backups that are kept, each with its incrementals and the WAL that it needs: a week, by the defaults."""
    archive_timeout_s: Seconds = Field(default=60.0, alias="archive_timeout", ge=1, le=3600)
    """A WAL segment that is not full goes to the archive after this, so no more is lost with all nodes at once."""
    verify_every_s: Seconds = Field(default=7 * 86400.0, alias="verify_every")
    """Between two trial restores, each compared with the primary; 0: never."""


class DatabaseSpec(Model):
    url: str = Field(default="", repr=False)
    """A database that exists already (`postgresql://…`): then we run none. `$NAME` is taken from the environment."""
    read_url: str = Field(default="", repr=False)
    """Its read endpoint, if it has one."""
    standbys: Whole = Field(default=2, ge=0, le=8)
    durability: Literal["quorum", "async"] = "quorum"
    """`quorum`: a COMMIT is acknowledged when `quorum_size` standbys have it on disk."""
    quorum_size: Whole = Field(default=1, ge=1, le=8)
    name: DatabaseName = "app"
    """Database and owning role."""
    connections_max: Whole = Field(default=100, ge=20, le=1000)
    """PostgreSQL's max_connections; the gateway admits a few less, which the controller keeps for itself."""
    shared_buffers_bytes: Bytes = Field(default=32 * 1024 * 1024, alias="shared_buffers")
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    """Further PostgreSQL parameters, such as work_mem. Those that durability rests on cannot be set here."""
    backup: BackupSpec | None = None
    """Backups and continuous archiving; unset: none."""


class DrillRead(Model):
    """A page that drills ask for: `{ path = "/post/{id}", weight = 3 }`."""

    path: UrlPath
    """With `{id}` for an item that is known to exist."""
    weight: float = Field(default=1.0, gt=0)
    """How often, relative to the other reads."""
    status: Whole | None = Field(default=None, ge=100, le=599)
    """What it answers when all is well; unset: anything from 200 to 399."""


class DrillWrite(Model):
    """A request by which drills change something that they can find again by `{token}`, a mark that is unique."""

    path: UrlPath
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """In addition to those of every request. `{key}` is a fresh idempotency key."""
    body: str = ""
    weight: float = Field(default=1.0, gt=0)
    status: Whole | None = Field(default=None, ge=100, le=599)
    """The acknowledgement; unset: anything from 200 to 399."""


class DrillOwn(Model):
    """A page by which a visitor looks for what they wrote: `{ path = "/notes?page=1", newest = 20 }`."""

    path: UrlPath
    """With the `{id}` of their item or its `{token}`, or with neither for a list. Its answer holds the token."""
    newest: Whole = Field(default=0, ge=0)
    """Of a list: how many of the newest items it shows; 0: all."""


class DrillSpec(Model):
    """What `colonnade drill` sends to this application, and how it finds again what it wrote."""

    rate_per_s: float | None = Field(default=None, alias="rate", gt=0)
    """Requests per second in the scenarios that come with Colonnade; unset: what each says, mostly 100. For an
    application that needs so long for a request that this machine has no room for a hundred beside all else."""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Sent with every request, such as an Authorization."""
    reads: list[DrillRead] = Field(default_factory=list)
    """Empty: the routes of the public services, and their health pages."""
    writes: list[DrillWrite] = Field(default_factory=list)
    """Empty: drills only read, and say nothing about lost writes."""
    list_path: str = Field(default="", alias="list")
    """Path of a JSON list of all items, by `{page}` and `{per_page}`; each item has an `id`."""
    text_field: str = "title"
    """The field of a listed item that holds the token."""
    item_path: str = Field(default="", alias="item")
    """Path of one item, by the `{id}` that the answer to a write named, or by the `{token}`; it answers with the token.
    The check of all writes asks for it where there is neither `list` nor `sql`."""
    sql: str = ""
    """A query for (id, text) of what was written; its one parameter `%s` is a LIKE pattern for the text."""
    own: list[DrillOwn] = Field(default_factory=list)
    """Where visitors look for what they have just written, with the cookies they were given. Empty: they do not."""


class PlanWork(Model):
    """What a visit takes where nobody else is: `{ service_time = "20ms", calls = { database = 3 } }`."""

    service_time_s: Seconds = Field(alias="service_time", gt=0, le=600)
    """Seconds of its own work, without what it calls: the service time, not the response time of a busy system."""
    variability: float = Field(default=1.0, ge=0, le=1000)
    """Squared coefficient of variation of that: 0 always alike, 1 exponential. Unknown is taken for 1."""
    cpu: Fraction = 1.0
    """Share of it in which a processor works; the rest waits for something that is not planned here, a disk say."""
    calls: dict[str, float] = Field(default_factory=dict)
    """How often, for each visit, it calls what it `uses`; once where nothing is said."""
    memory_bytes: Bytes | None = Field(default=None, alias="memory")
    """Of one replica."""


class PlanSpec(Model):
    """What `colonnade plan` reckons with where it has not measured: nothing else reads this table."""

    rate_per_s: float | None = Field(default=None, alias="rate", gt=0, le=10_000_000)
    """Requests a second to plan for, where the command names none."""
    spares: Whole = Field(default=1, ge=0, le=50)
    """Replicas of each service that may be gone while the objective still holds."""
    work: dict[str, PlanWork] = Field(default_factory=dict)
    """By service, or `database`, or `gateway`."""
    price_core_hour: float | None = Field(default=None, ge=0)
    """Of one core for an hour, in any currency."""
    price_memory_gb_hour: float | None = Field(default=None, ge=0)
    """Of 10⁹ bytes of memory for an hour, in the same currency."""


class TracingSpec(Model):
    """Where replicas send their spans: each service gets these as OpenTelemetry's own variables."""

    endpoint: OtlpEndpoint = ""
    """A collector that takes OTLP over HTTP, such as "http://127.0.0.1:4318"; empty: replicas are told nothing. Keys
    that it asks for belong into an `env_file`, as OTEL_EXPORTER_OTLP_HEADERS."""
    ratio: Fraction = 1.0
    """Share of the traces that begin in a service here which is recorded. One that a visitor began is recorded when
    that visitor does."""


class DashboardSpec(Model):
    """The process that shows the system: metrics for Prometheus, and pages for people."""

    enabled: Flag = True
    """false: no such process runs."""
    listen: Listen | None = None
    """Address and port; unset: on loopback, beside the gateway's port, chosen at the first start and kept."""


class PrometheusSpec(Model):
    """A Prometheus of this machine, run as one more part. `up --with prometheus` sets `enabled` for one run."""

    enabled: Flag = False
    binary: str = ""
    """The program; empty: `prometheus` on the PATH."""
    listen: Listen | None = None
    """Address and port; unset: on loopback, chosen at the first start and kept."""
    interval_s: Seconds = Field(default=5.0, alias="interval", ge=1, le=300)
    """Between two looks."""
    keep_s: Seconds = Field(default=15 * 86_400.0, alias="keep", ge=3600)
    """What is older is deleted."""
    size_bytes_max: Bytes = Field(default=512 * 1024 * 1024, alias="size_max", ge=16 * 1024 * 1024)
    """Of its store; before there is more, the oldest goes. A small system stores about 10 MB a day."""


class WebhookSpec(Model):
    """`{ url = "$SLACK_URL", format = "slack" }`: an address that is told of alerts, by a POST with JSON."""

    url: str = Field(repr=False)
    """Whoever has it may write there, so it is better not here: `$NAME` is taken from the environment or `env_file`."""
    format: Literal["generic", "slack"] = "generic"
    """`slack`: a text, as Slack, Mattermost and others take it."""
    about: list[Literal["alerts", "decisions"]] = Field(default=["alerts"], min_length=1)
    """`decisions`: what the system did and why, such as a failover, a scaling, a rollout and its end."""


class AlertsSpec(Model):
    """Who is told when something is wrong. The dashboard's process tells; without it nobody does."""

    webhooks: list[WebhookSpec] = Field(default_factory=list, max_length=10)
    env_file: str = ""
    """KEY=value lines with what `$NAME` in the addresses stands for; must not be readable by others."""


class Spec(Model):
    """The whole file, checked."""

    system: SystemSpec = SystemSpec()
    gateway: GatewaySpec = GatewaySpec()
    services: dict[Name, ServiceSpec] = Field(default_factory=dict)
    database: DatabaseSpec | None = None
    prometheus: PrometheusSpec = PrometheusSpec()
    tracing: TracingSpec = TracingSpec()
    dashboard: DashboardSpec = DashboardSpec()
    alerts: AlertsSpec = AlertsSpec()
    drill: DrillSpec = DrillSpec()
    plan: PlanSpec = PlanSpec()
