"""THE declaration of all alerts: when, how serious, the sentence, and what to do. Pure.

Each rule is said twice, side by side: as a predicate on what the dashboard sees, and in PromQL for those who have a
Prometheus. Both go by the metrics of `metrics.py`, and one sentence serves both. `alerts.py` gives them a life
(pending, firing, resolved). The texts for people on call are in docs/alerts.md, under the anchor of the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum

from colonnade.observe.burn_rate import ALARMS, BAD_MIN, DAY_S, Alarm, is_burning
from colonnade.observe.objectives import BAD, BUDGET_AGE, BUDGET_LEFT, REQUESTS, TARGET, Kept
from colonnade.observe.sample import Sample


class Severity(Enum):
    PAGE = "page"
    """Somebody should look now, whatever the hour."""
    TICKET = "ticket"
    """Somebody should look in working hours."""


class Unit(Enum):
    """How numbers of a sentence are written."""

    COUNT = "count"
    RATIO = "ratio"
    BYTES = "bytes"
    SECONDS = "seconds"
    FACTOR = "factor"

    def text(self, value: float) -> str:
        match self:
            case Unit.COUNT:
                return f"{value:.0f}"
            case Unit.RATIO:
                return f"{value * 100:.3g} %"
            case Unit.BYTES:
                return f"{value / 2**20:.4g} MiB"
            case Unit.SECONDS:
                return f"{value / 3600:.3g} h" if value >= 3600 else f"{value:.3g} s"
            case Unit.FACTOR:
                return f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rules are asked about: one sight, and how the objectives stand."""

    at_s: float
    by_name: Mapping[str, Sequence[Sample]]
    kept: Sequence[Kept] = ()

    def of(self, name: str) -> Sequence[Sample]:
        return self.by_name.get(name, ())

    def value(self, name: str) -> float | None:
        """Of a metric that has no labels."""
        return next((sample.value for sample in self.of(name)), None)


def seen(at_s: float, samples: Iterable[Sample], kept: Sequence[Kept] = ()) -> Seen:
    """One sight, sorted by what the rules ask for: thousands of samples are passed over once, not by every rule."""
    found: dict[str, list[Sample]] = {name: [] for name in WATCHED}
    for sample in samples:
        if sample.name in found:
            found[sample.name].append(sample)
    return Seen(at_s, found, kept)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule holds for this subject, with these numbers."""

    subject: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alert. `expr` has {value} of the sentence as its value, and the subject in its labels."""

    name: str
    """Stable, snake_case."""
    severity: Severity
    for_s: float
    """It has to hold for so long before anybody is told."""
    summary: str
    sentence: str
    """With {subject}, {value} and {limit}."""
    labels: tuple[str, ...]
    """Labels of `expr` that are the subject, joined by a blank; empty: the subject is `whole`."""
    whole: str
    unit: Unit
    expr: str
    limit: float | None
    """None: `limit_expr` has it."""
    limit_expr: str
    find: Callable[[Seen], Iterator[Finding]]

    @property
    def anchor(self) -> str:
        """In docs/alerts.md."""
        return self.name.replace("_", "-")

    @property
    def prometheus_name(self) -> str:
        return "Colonnade" + "".join(word.capitalize() for word in self.name.split("_"))

    def say(self, finding: Finding) -> str:
        return self.sentence.format(
            subject=finding.subject, value=self.unit.text(finding.value), limit=self.unit.text(finding.limit)
        )


LAG_BYTES_MAX = 64 * 2**20
"""Four segments of WAL: a standby that lags by so much for a minute does not keep up."""

DISK_FREE_MIN = 0.1

ARCHIVE_WAIT_MAX_S = 900.0

BACKUP_INTERVALS_MAX = 2
BACKUP_SLACK_S = 600.0
"""One backup may be missed or still under way; the second one not."""

BUDGET_LEFT_MIN = 0.1
BUDGET_AGE_MIN_S = DAY_S
"""A budget of the first hours is a handful of requests."""


def _simple(
    name: str,
    severity: Severity,
    for_s: float,
    summary: str,
    sentence: str,
    *,
    metric: str,
    is_bad: Callable[[float], bool],
    comparison: str,
    labels: tuple[str, ...] = (),
    whole: str = "",
    unit: Unit = Unit.COUNT,
    limit: float = 0.0,
) -> AlertRule:
    """A rule about one metric by itself."""

    def find(seen: Seen) -> Iterator[Finding]:
        for sample in seen.of(metric):
            if is_bad(sample.value):
                yield Finding(_subject(sample, labels) or whole, sample.value, limit)

    expr = f"{metric} {comparison}"
    return AlertRule(name, severity, for_s, summary, sentence, labels, whole, unit, expr, limit, "", find)


def _subject(sample: Sample, labels: tuple[str, ...]) -> str:
    return " ".join(sample.label(label) for label in labels)


def _not_at_full_strength(seen: Seen) -> Iterator[Finding]:
    ready = {
        sample.label("service"): sample.value
        for sample in seen.of("colonnade_service_replicas")
        if sample.label("state") == "ready"
    }
    for desired in seen.of("colonnade_service_replicas_desired"):
        service = desired.label("service")
        if service in ready and desired.value - ready[service] > 0:
            yield Finding(service, desired.value - ready[service], desired.value)


def _disk_space(seen: Seen) -> Iterator[Finding]:
    size, free = seen.value("colonnade_disk_size_bytes"), seen.value("colonnade_disk_available_bytes")
    if size and free is not None and free / size < DISK_FREE_MIN:
        yield Finding("disk", free / size, DISK_FREE_MIN)


def _backup_too_old(seen: Seen) -> Iterator[Finding]:
    latest_s = seen.value("colonnade_backup_latest_timestamp_seconds")
    interval_s = seen.value("colonnade_backup_interval_seconds")
    if latest_s is None or interval_s is None:
        return
    limit_s = BACKUP_INTERVALS_MAX * interval_s + BACKUP_SLACK_S
    if seen.at_s - latest_s > limit_s:
        yield Finding("backup", seen.at_s - latest_s, limit_s)


def _objective_in_danger(seen: Seen) -> Iterator[Finding]:
    for kept in seen.kept:
        left = kept.budget_left
        if left is not None and left < BUDGET_LEFT_MIN and kept.covered_s >= BUDGET_AGE_MIN_S:
            yield Finding(f"{kept.objective.service} {kept.objective.name}", left, BUDGET_LEFT_MIN)


def _burning(alarm: Alarm, severity: Severity) -> AlertRule:
    def find(seen: Seen) -> Iterator[Finding]:
        for kept in seen.kept:
            objective, spent = kept.objective, kept.burn_rates[alarm.name]
            rate = kept.rate(spent["long"])
            if rate is not None and is_burning(alarm, objective.target, spent["long"], spent["short"]):
                yield Finding(f"{objective.service} {objective.name}", rate, alarm.factor)

    def rate_over(window: str) -> str:
        return f"(increase({BAD}[{window}]) / increase({REQUESTS}[{window}]) / (1 - {TARGET}))"

    long, short = alarm.long_text, alarm.short_text
    return AlertRule(
        name=f"slo_burn_{alarm.name}",
        severity=severity,
        # The short window is what keeps a moment from being an alert.
        for_s=0.0,
        summary=f"An error budget is spent {alarm.factor:g} times as fast as allowed, or faster, over {long}",
        sentence="{subject}: the error budget goes {value} times as fast as allowed (alarm above {limit})"
        f" over {long}, and over {short} as well; in {long} this takes {alarm.spends} of a month's budget",
        labels=("service", "objective"),
        whole="",
        unit=Unit.FACTOR,
        expr=f"{rate_over(long)} > {alarm.factor:g} and {rate_over(short)} > {alarm.factor:g}"
        f" and increase({BAD}[{long}]) >= {BAD_MIN}",
        limit=alarm.factor,
        limit_expr="",
        find=find,
    )


RULES: tuple[AlertRule, ...] = (
    _simple(
        "gateway_down",
        Severity.PAGE,
        5.0,
        "HAProxy does not run",
        "{subject} does not run: nobody is answered",
        metric="colonnade_gateway_up",
        is_bad=lambda value: value == 0,
        comparison="== 0",
        labels=("gateway",),
    ),
    _simple(
        "no_primary",
        Severity.PAGE,
        15.0,
        "The database takes no writes",
        "{subject}: no primary that takes writes",
        metric="colonnade_database_writable",
        is_bad=lambda value: value == 0,
        comparison="== 0",
        whole="database",
    ),
    _simple(
        "database_node_missing",
        Severity.TICKET,
        120.0,
        "A database node is neither primary nor standby",
        "database node {subject} is not in service: one failure more is survived less",
        metric="colonnade_database_node_up",
        is_bad=lambda value: value == 0,
        comparison="== 0",
        labels=("node",),
    ),
    _simple(
        "replication_lag",
        Severity.TICKET,
        60.0,
        "A standby does not keep up",
        "database node {subject} is {value} of WAL behind the primary (limit {limit})",
        metric="colonnade_database_replication_lag_bytes",
        is_bad=lambda value: value > LAG_BYTES_MAX,
        comparison=f"> {LAG_BYTES_MAX}",
        labels=("node",),
        unit=Unit.BYTES,
        limit=LAG_BYTES_MAX,
    ),
    AlertRule(
        name="not_at_full_strength",
        severity=Severity.TICKET,
        for_s=120.0,
        summary="A service has fewer ready replicas than it should",
        sentence="{subject}: {value} of {limit} replicas are not ready",
        labels=("service",),
        whole="",
        unit=Unit.COUNT,
        expr='colonnade_service_replicas_desired - ignoring (state) colonnade_service_replicas{state="ready"} > 0',
        limit=None,
        limit_expr="colonnade_service_replicas_desired",
        find=_not_at_full_strength,
    ),
    _simple(
        "crash_loop",
        Severity.PAGE,
        0.0,
        "A replica ends again and again",
        "{subject}: it ends again and again",
        metric="colonnade_replica_crash_looping",
        is_bad=lambda value: value == 1,
        comparison="== 1",
        labels=("replica",),
    ),
    AlertRule(
        name="disk_space",
        severity=Severity.TICKET,
        for_s=60.0,
        summary="The disk is nearly full",
        sentence="{subject}: only {value} is free where the state directory is (limit {limit})",
        labels=(),
        whole="disk",
        unit=Unit.RATIO,
        expr=f"colonnade_disk_available_bytes / colonnade_disk_size_bytes < {DISK_FREE_MIN:g}",
        limit=DISK_FREE_MIN,
        limit_expr="",
        find=_disk_space,
    ),
    AlertRule(
        name="backup_too_old",
        severity=Severity.TICKET,
        # So that a system that has just begun is given the time for its first one.
        for_s=600.0,
        summary="There is no recent backup",
        sentence="{subject}: the latest one is {value} old (limit {limit})",
        labels=(),
        whole="backup",
        unit=Unit.SECONDS,
        expr="time() - colonnade_backup_latest_timestamp_seconds"
        f" > {BACKUP_INTERVALS_MAX} * colonnade_backup_interval_seconds + {BACKUP_SLACK_S:g}",
        limit=None,
        limit_expr=f"{BACKUP_INTERVALS_MAX} * colonnade_backup_interval_seconds + {BACKUP_SLACK_S:g}",
        find=_backup_too_old,
    ),
    _simple(
        "archive_waits",
        Severity.TICKET,
        60.0,
        "WAL is not archived",
        "{subject}: the oldest WAL that is not archived has waited for {value} (limit {limit})",
        metric="colonnade_backup_archive_pending_seconds",
        is_bad=lambda value: value > ARCHIVE_WAIT_MAX_S,
        comparison=f"> {ARCHIVE_WAIT_MAX_S:g}",
        whole="archive",
        unit=Unit.SECONDS,
        limit=ARCHIVE_WAIT_MAX_S,
    ),
    _simple(
        "canary_undone",
        Severity.TICKET,
        0.0,
        "The last deployment was undone",
        "{subject}: the new version was worse or did not start, and the old one runs",
        metric="colonnade_deployment_undone",
        is_bad=lambda value: value == 1,
        comparison="== 1",
        whole="the last deployment",
    ),
    _burning(ALARMS[0], Severity.PAGE),
    _burning(ALARMS[1], Severity.PAGE),
    _burning(ALARMS[2], Severity.TICKET),
    AlertRule(
        name="objective_in_danger",
        severity=Severity.TICKET,
        for_s=300.0,
        summary="An objective is about to be missed",
        sentence="{subject}: {value} of the error budget is left (limit {limit})",
        labels=("service", "objective"),
        whole="",
        unit=Unit.RATIO,
        expr=f"{BUDGET_LEFT} < {BUDGET_LEFT_MIN:g} and {BUDGET_AGE} >= {BUDGET_AGE_MIN_S:g}",
        limit=BUDGET_LEFT_MIN,
        limit_expr="",
        find=_objective_in_danger,
    ),
)

BY_NAME: Mapping[str, AlertRule] = {rule.name: rule for rule in RULES}

WATCHED: Set[str] = frozenset(name for rule in RULES for name in re.findall(r"\bcolonnade_\w+", rule.expr))
"""Metrics that any rule goes by: those of its expression."""
