"""What the alert rules must say, as `promtool test rules` reads it: for each a story in which it fires, with the
sentence that is sent, and moments of the same story at which it does not. Pure.

Times count from the story's beginning; values are in promtool's notation (`0+60x10`: ten steps of 60).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colonnade.core.yaml_text import yaml_text
from colonnade.observe.alert_rules import BY_NAME
from colonnade.observe.objectives import BAD, BUDGET_AGE, BUDGET_LEFT, REQUESTS, TARGET
from colonnade.observe.prometheus.config import RULES_FILE, SYSTEM_JOB
from colonnade.observe.prometheus.rules import NOT_SEEN, TESTS_FILE, rule_groups

EVALUATED_EVERY = "1m"


@dataclass(frozen=True, slots=True)
class Story:
    alert: str
    """Name of a rule, or of the alert that has none."""
    series: Mapping[str, str]
    """By `metric{labels}`; `system="blog"` comes to each."""
    fires_at: str
    says: str
    labels: Mapping[str, str]
    """Of the alert, besides `system` and `severity`."""
    calm_at: tuple[str, ...]
    step: str = "1m"

    @property
    def prometheus_name(self) -> str:
        return BY_NAME[self.alert].prometheus_name if self.alert in BY_NAME else self.alert


def _objective(share: int, minutes: int, step: int) -> dict[str, str]:
    """Every minute 600 requests, of which `share` in a hundred are bad; and then, once more as long, none."""
    labels = '{service="backend",objective="availability"}'
    count, bad = minutes // step, 6 * share * step
    return {
        f"{REQUESTS}{labels}": f"0+{600 * step}x{2 * count}",
        f"{BAD}{labels}": f"0+{bad}x{count} {bad * count}+0x{count}",
        f"{TARGET}{labels}": f"0.99+0x{2 * count}",
    }


OBJECTIVE = {"service": "backend", "objective": "availability"}

STORIES: tuple[Story, ...] = (
    Story(
        "gateway_down",
        {'colonnade_gateway_up{gateway="gateway"}': "1+0x4 0+0x10"},
        "7m",
        "gateway does not run: nobody is answered",
        {"gateway": "gateway"},
        ("4m",),
    ),
    Story(
        "no_primary",
        {"colonnade_database_writable": "1+0x4 0+0x10 1+0x10"},
        "7m",
        "database: no primary that takes writes",
        {},
        ("4m", "17m"),
    ),
    Story(
        "database_node_missing",
        {'colonnade_database_node_up{node="b"}': "1+0x4 0+0x10"},
        "8m",
        "database node b is not in service: one failure more is survived less",
        {"node": "b"},
        ("4m", "6m"),
    ),
    Story(
        "replication_lag",
        {'colonnade_database_replication_lag_bytes{node="b"}': "0+0x4 134217728+0x10"},
        "8m",
        "database node b is 128MiB of WAL behind the primary (limit 64 MiB)",
        {"node": "b"},
        ("4m",),
    ),
    Story(
        "not_at_full_strength",
        {
            'colonnade_service_replicas_desired{service="backend"}': "3+0x20",
            'colonnade_service_replicas{service="backend",state="ready"}': "3+0x4 2+0x10 3+0x5",
            'colonnade_service_replicas{service="backend",state="starting"}': "0+0x4 1+0x10 0+0x5",
        },
        "9m",
        "backend: 1 of 3 replicas are not ready",
        {"service": "backend"},
        ("4m", "6m", "17m"),
    ),
    Story(
        "crash_loop",
        {'colonnade_replica_crash_looping{service="backend",replica="backend/2"}': "0+0x4 1+0x10"},
        "5m",
        "backend/2: it ends again and again",
        {"service": "backend", "replica": "backend/2"},
        ("4m",),
    ),
    Story(
        "disk_space",
        {
            "colonnade_disk_size_bytes": "100e9+0x20",
            "colonnade_disk_available_bytes": "50e9+0x4 5e9+0x15",
        },
        "8m",
        "disk: only 5% is free where the state directory is (limit 10 %)",
        {},
        ("4m",),
    ),
    Story(
        "backup_too_old",
        {
            "colonnade_backup_latest_timestamp_seconds": "0+0x40",
            "colonnade_backup_interval_seconds": "3600+0x40",
        },
        "150m",
        "backup: the latest one is 2h 30m 0s old (limit 2h 10m 0s)",
        {},
        ("130m",),
        step="5m",
    ),
    Story(
        "archive_waits",
        {"colonnade_backup_archive_pending_seconds": "0+0x4 1200+0x10"},
        "8m",
        "archive: the oldest WAL that is not archived has waited for 20m 0s (limit 900 s)",
        {},
        ("4m",),
    ),
    Story(
        "canary_undone",
        {"colonnade_deployment_undone": "0+0x4 1+0x10"},
        "5m",
        "the last deployment: the new version was worse or did not start, and the old one runs",
        {},
        ("4m",),
    ),
    Story(
        "slo_burn_fast",
        _objective(20, minutes=60, step=1),
        "1h",
        "backend availability: the error budget goes 20 times as fast as allowed (alarm above 14.4) over 1h,"
        " and over 5m as well; in 1h this takes 2 % of a month's budget",
        OBJECTIVE,
        ("1h10m",),
    ),
    Story(
        "slo_burn_medium",
        _objective(8, minutes=60, step=5),
        "1h",
        "backend availability: the error budget goes 8 times as fast as allowed (alarm above 6) over 6h,"
        " and over 30m as well; in 6h this takes 5 % of a month's budget",
        OBJECTIVE,
        ("1h40m",),
        step="5m",
    ),
    Story(
        "slo_burn_slow",
        _objective(2, minutes=60, step=5),
        "1h",
        "backend availability: the error budget goes 2 times as fast as allowed (alarm above 1) over 3d,"
        " and over 6h as well; in 3d this takes 10 % of a month's budget",
        OBJECTIVE,
        ("0m",),
        step="5m",
    ),
    Story(
        "objective_in_danger",
        {
            f'{BUDGET_LEFT}{{service="backend",objective="availability"}}': "0.5+0x4 0.05+0x15",
            f'{BUDGET_AGE}{{service="backend",objective="availability"}}': "90000+0x20",
        },
        "12m",
        "backend availability: 5% of the error budget is left (limit 10 %)",
        OBJECTIVE,
        ("4m", "9m"),
    ),
    Story(
        NOT_SEEN,
        {f'up{{job="{SYSTEM_JOB}"}}': "1+0x4 0+0x10"},
        "7m",
        "The dashboard answers no scrape: the system is down, or its controller or dashboard is."
        " No other alert can fire meanwhile.",
        {"job": SYSTEM_JOB},
        ("4m",),
    ),
)


def tests_text(runbooks: str) -> str:
    return yaml_text(rule_tests(runbooks), f"What {RULES_FILE} must say: `promtool test rules {TESTS_FILE}`.")


def rule_tests(runbooks: str) -> dict[str, Any]:
    rules = {rule["alert"]: rule for rule in rule_groups(runbooks)["groups"][0]["rules"]}
    return {
        "rule_files": [RULES_FILE],
        "evaluation_interval": EVALUATED_EVERY,
        "tests": [_test(story, rules[story.prometheus_name]) for story in STORIES],
    }


def _test(story: Story, rule: Mapping[str, Any]) -> dict[str, Any]:
    fired = {
        "exp_labels": {"system": "blog", **story.labels, **rule["labels"]},
        "exp_annotations": {**rule["annotations"], "description": story.says},
    }
    moments = {story.fires_at: [fired], **{moment: [] for moment in story.calm_at}}
    return {
        "name": story.prometheus_name,
        "interval": story.step,
        "input_series": [{"series": _of_system(name), "values": values} for name, values in story.series.items()],
        "alert_rule_test": [
            {"eval_time": moment, "alertname": story.prometheus_name, "exp_alerts": expected}
            for moment, expected in moments.items()
        ],
    }


def _of_system(series: str) -> str:
    name, _, labels = series.partition("{")
    return f'{name}{{system="blog"' + (f",{labels}" if labels else "}")
