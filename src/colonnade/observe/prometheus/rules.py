"""Alert rules for Prometheus, from the declaration that the dashboard's own alerts are from. Pure.

One is added that only somebody outside can have: that nothing is seen of the system at all.
"""

from __future__ import annotations

import re
from typing import Any

from colonnade.core.yaml_text import yaml_text
from colonnade.observe.alert_rules import RULES, AlertRule, Severity, Unit
from colonnade.observe.prometheus.config import SYSTEM_JOB
from colonnade.spec.units import duration_text

GROUP = "colonnade"

TESTS_FILE = "colonnade.rules.test.yml"

RUNBOOKS = "docs/alerts.md"
"""In Colonnade's documentation; an address of your own copy may take its place."""

NOT_SEEN = "ColonnadeNotSeen"
NOT_SEEN_FOR_S = 60.0

TEMPLATES = {
    Unit.COUNT: 'printf "%.0f"',
    Unit.RATIO: "humanizePercentage",
    Unit.BYTES: "humanize1024",
    Unit.SECONDS: "humanizeDuration",
    Unit.FACTOR: 'printf "%.3g"',
}

_METRIC = re.compile(r"\w+")


def rules_text(runbooks: str = RUNBOOKS) -> str:
    return yaml_text(rule_groups(runbooks), f"Alerts of Colonnade. Tested by `promtool test rules {TESTS_FILE}`.")


def rule_groups(runbooks: str = RUNBOOKS) -> dict[str, Any]:
    return {"groups": [{"name": GROUP, "rules": [*(_rule(rule, runbooks) for rule in RULES), _not_seen()]}]}


def _rule(rule: AlertRule, runbooks: str) -> dict[str, Any]:
    text = rule.sentence.format(subject=subject_template(rule), value=value_template(rule), limit=limit_template(rule))
    return {
        "alert": rule.prometheus_name,
        "expr": rule.expr,
        **({"for": duration_text(rule.for_s)} if rule.for_s else {}),
        "labels": {"severity": rule.severity.value},
        "annotations": {"summary": rule.summary, "description": text, **runbook(f"{runbooks}#{rule.anchor}")},
    }


def runbook(place: str) -> dict[str, str]:
    """By the name that tools of the field make a link of, if it is one."""
    return {"runbook_url" if "://" in place else "runbook": place}


def _not_seen() -> dict[str, Any]:
    return {
        "alert": NOT_SEEN,
        "expr": f'up{{job="{SYSTEM_JOB}"}} == 0 or absent(up{{job="{SYSTEM_JOB}"}})',
        "for": duration_text(NOT_SEEN_FOR_S),
        "labels": {"severity": Severity.PAGE.value},
        "annotations": {
            "summary": "Nothing is seen of the system",
            "description": "The dashboard answers no scrape: the system is down, or its controller or dashboard is."
            " No other alert can fire meanwhile.",
            "runbook": "docs/prometheus.md#nothing-is-seen",
        },
    }


def subject_template(rule: AlertRule) -> str:
    return " ".join(f"{{{{ $labels.{label} }}}}" for label in rule.labels) or rule.whole


def value_template(rule: AlertRule) -> str:
    return f"{{{{ $value | {TEMPLATES[rule.unit]} }}}}{_suffix(rule.unit)}"


def limit_template(rule: AlertRule) -> str:
    """The limit itself, or what looks it up as the alert fires: of the same subject, and of the same system."""
    if rule.limit is not None:
        return rule.unit.text(rule.limit)
    query = f'"{rule.limit_expr}"'
    if rule.labels:
        if not _METRIC.fullmatch(rule.limit_expr):
            raise ValueError(f"{rule.name}: the limit of a subject must be one metric, not {rule.limit_expr}")
        labels = (*rule.labels, "system")
        matchers = ",".join(f"{label}='%s'" for label in labels)
        values = " ".join(f"$labels.{label}" for label in labels)
        query = f'printf "{rule.limit_expr}{{{matchers}}}" {values}'
    # Of a system that is gone meanwhile there is none.
    return f"{{{{ with {query} | query }}}}{{{{ . | first | value | {TEMPLATES[rule.unit]} }}}}{{{{ end }}}}" + _suffix(
        rule.unit
    )


def _suffix(unit: Unit) -> str:
    return "B" if unit is Unit.BYTES else ""
