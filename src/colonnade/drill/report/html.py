"""The page for people: one file that opens offline, without a script, in a light and a dark room.

What is written on it comes from applications and servers too, so everything is escaped by the template engine and
control characters are taken out. The templates are in `templates/`; they are valid XML as well, and tests parse them.
Read next: `facts` for the numbers, `timeline` for the picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from colonnade.database.failover import PHASES
from colonnade.drill.checkers.availability import GOOD_IN_A_ROW
from colonnade.drill.checkers.finding import Finding, Verdict
from colonnade.drill.checkers.generator import LAG_MS_P99_MAX
from colonnade.drill.record import Record
from colonnade.drill.report import words
from colonnade.drill.report.facts import Facts
from colonnade.drill.report.timeline import timeline_of
from colonnade.drill.scenario import RuleName
from colonnade.drill.verdict import Judgement

if TYPE_CHECKING:
    from colonnade.drill.report.compare import Comparison
    from colonnade.drill.report.repeat import Repetition

POINTS = (
    "What was to be shown, and the rules",
    "Versions, machine, how to repeat it",
    "What stood before and after, and what was not tested",
    "Faults and decisions",
    "The load",
    "Every operation",
    "Data: lost, doubled, stale",
    "Availability",
    "Latency by phase",
    "Recovery, phase by phase",
    "Back to where it was",
    "One run, or many",
    "What this does not prove",
    "Raw data",
)

SECTIONS: Mapping[int, frozenset[RuleName]] = {
    7: frozenset(
        {
            RuleName.LOST_WRITES_MAX,
            RuleName.DOUBLED_WRITES_MAX,
            RuleName.PHANTOM_WRITES_MAX,
            RuleName.STALE_SESSION_READS_MAX,
            RuleName.TWO_PRIMARIES_S_MAX,
        }
    ),
    8: frozenset(
        {
            RuleName.FAILED_READS_SHARE_MAX,
            RuleName.FAILED_WRITES_SHARE_MAX,
            RuleName.READ_GAP_S_MAX,
            RuleName.WRITE_GAP_S_MAX,
        }
    ),
    9: frozenset({RuleName.P99_MS_MAX}),
    10: frozenset({RuleName.RECOVERY_S_MAX}),
    11: frozenset({RuleName.MISSING_AT_END_MAX, RuleName.LEFTOVERS_MAX}),
}
"""Which point of the report tells more about which rules."""

LIMITS = (
    "One machine: all parts share one kernel, one disk and one power supply. That these fail is not covered.",
    "One disk: what is on two nodes is on the same device, and an fsync that the device only pretends to do would not "
    "show, because nobody pulled the plug.",
    "Links are broken by proxies in user space. Lost or reordered packets below TCP, and routers that fail, are not.",
    "What did not happen in this run may happen in another: see point 12.",
)

CLUSTER_LIMITS = (
    "The way to the gateways is as this machine has it: what an Ingress controller or a load balancer loses on other "
    "ways was not looked at.",
    "A node was drained, not lost: nobody cut its power or its network, which the API cannot do. The database outside "
    "of the cluster was not touched.",
    "Moments of the cluster's events come from its own clocks, to the second.",
    "What did not happen in this run may happen in another: see point 12.",
)

_SIGNS = {Verdict.VALID: "✓", Verdict.INVALID: "✕", Verdict.UNKNOWN: "?"}


@dataclass(frozen=True, slots=True)
class Others:
    """What other runs of the scenario say, for point 12."""

    before: Comparison | None = None
    """With the last one before."""
    runs: Repetition | None = None
    """This one and those that are like it."""


def to_html(record: Record, judgement: Judgement, facts: Facts, others: Others | None = None) -> str:
    """The text of `report.html`."""
    began_s = record.history.started_at + record.wall_offset_s
    ended_s = record.history.ended_at + record.wall_offset_s
    failing = (*facts.reads.windows, *facts.writes.windows)
    windows = [(each.start_at - record.history.started_at, each) for each in failing]
    return (
        _environment()
        .get_template("report.html")
        .render(
            record=record,
            judgement=judgement,
            facts=facts,
            others=others or Others(),
            t=timeline_of(record),
            points=POINTS,
            phases=PHASES,
            topology=list(_topology(record.topology_before, record.topology_after)),
            events=[(each.at_s - began_s, each) for each in record.events if began_s <= each.at_s <= ended_s],
            windows=sorted(windows, key=lambda window: window[0]),
            limits=[*(LIMITS if record.cluster is None else CLUSTER_LIMITS), *_rule_of_three(facts)],
            all_rules=frozenset(RuleName),
            data_rules=SECTIONS[7],
            availability_rules=SECTIONS[8],
            latency_rules=SECTIONS[9],
            recovery_rules=SECTIONS[10],
            end_rules=SECTIONS[11],
            good_in_a_row=GOOD_IN_A_ROW,
            lag_ms_p99_max=LAG_MS_P99_MAX,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("colonnade.drill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_control_characters,
    )
    environment.filters |= {
        "s": words.seconds,
        "at": words.second,
        "ms": words.milliseconds,
        "share": words.share,
        "moment": words.moment,
        "figure": words.plain,
        "title_of": words.title_of,
        "measured": _measured,
        "bound": _bound,
        "sign": _SIGNS.__getitem__,
        "point": _point,
        "json": lambda value: json.dumps(value, indent=1, default=str),
    }
    return environment


def _without_control_characters(value: Any) -> Any:
    """What is about to be written out; what is markup already passes."""
    return words.printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _measured(finding: Finding) -> str:
    return words.figure(finding.rule, finding.value)


def _bound(finding: Finding) -> str:
    return words.figure(finding.rule, finding.bound)


def _point(rule: RuleName) -> int:
    return next((number for number, rules in SECTIONS.items() if rule in rules), 1)


def _topology(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """One row a part: what `status --json` says of it, in a few words."""
    told_before, told_after = _parts(before), _parts(after)
    for name in dict.fromkeys([*told_before, *told_after]):
        yield name, told_before.get(name, "—"), told_after.get(name, "—")


def _parts(status: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for service in status.get("services") or ():
        replicas = service.get("replicas") or ()
        ready = sum(each.get("state") == "ready" for each in replicas)
        told = f"{ready} of {service.get('desired')} replicas ready" if replicas else f"{service.get('desired')} wanted"
        found[f"service {service.get('name')}"] = told
    database = status.get("database") or {}
    for node in database.get("nodes") or ():
        found[f"node {node.get('name')}"] = f"{node.get('role')}, timeline {node.get('timeline')}"
    if database and not database.get("nodes"):
        found["database"] = f"primary {database.get('primary')}"
    for name in ("gateway", "dbgate"):
        if (pid := (status.get(name) or {}).get("pid")) is not None:
            found[name] = f"process {pid}"
    return found


def _rule_of_three(facts: Facts) -> Iterable[str]:
    """What no loss in n writes says about the next one (Hanley and Lippman-Hand, 1983)."""
    if facts.kept is not None and facts.kept.acknowledged and not facts.kept.lost:
        n = facts.kept.acknowledged
        yield (
            f"No loss among {n:,} acknowledged writes: were each a fair draw, at most {3 / n:.2%} of all would be "
            "lost, with 95% confidence (the rule of three). More writes, or more runs, say more."
        )
