"""The machine-readable report: the verdict, every finding, the figures by name, and all facts that the page shows.

Read next: `compare` and `repeat`, which read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from colonnade.core.errors import SpecError
from colonnade.drill.record import Record
from colonnade.drill.report.facts import Facts, figures_of
from colonnade.drill.scenario import Scenario
from colonnade.drill.verdict import Judgement

FORMAT = 1
"""Counts up when a key changes its meaning or goes; new keys may come at any time."""


def to_json(record: Record, judgement: Judgement, facts: Facts) -> str:
    """The text of `report.json`."""
    content = {
        "format": FORMAT,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "sentence": judgement.sentence,
        "findings": [asdict(finding) for finding in judgement.findings],
        "doubts": judgement.doubts,
        "skipped": judgement.skipped,
        "scenario": {
            "name": record.scenario.name,
            "title": record.scenario.title,
            "sha256": _fingerprint(record.scenario),
        },
        "seed": record.seed,
        "run_id": record.run_id,
        "command": record.command,
        "began_at_s": record.began_at_wall_s,
        "is_interrupted": record.is_interrupted,
        "application": record.application,
        "declaration_sha256": record.declaration_sha256,
        "versions": dict(record.versions),
        "machine": asdict(record.machine),
        "cluster": None if record.cluster is None else asdict(record.cluster),
        "topology_before": dict(record.topology_before),
        "topology_after": dict(record.topology_after),
        "untested": record.untested,
        "leftovers": None if record.leftovers is None else asdict(record.leftovers),
        "figures": _rounded(figures_of(facts)),
        "facts": asdict(facts),
    }
    return json.dumps(content, indent=2, default=str) + "\n"


def from_json(text: str, subject: str) -> dict[str, Any]:
    """A report that was written before. Raises SpecError for anything else."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _refusal(f"not JSON: {error}", subject) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format", "none") if isinstance(content, dict) else "none"
        raise _refusal(f"not a report of format {FORMAT} (its format: {found})", subject)
    return content


def numbers_in(report: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a report by its name: what the rules measured, then the figures."""
    measured = {each["rule"].removesuffix("_max"): each["value"] for each in report["findings"]}
    return {name: value for name, value in {**measured, **report["figures"]}.items() if value is not None}


def _fingerprint(scenario: Scenario) -> str:
    """The same for the same load, faults and rules: two scenarios of one name may be different ones."""
    return sha256(json.dumps(asdict(scenario), sort_keys=True).encode()).hexdigest()


def _refusal(message: str, subject: str) -> SpecError:
    return SpecError(message, hint="give the report.json that `colonnade drill run` wrote", subject=subject)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """To the microsecond, which is finer than anything here was measured."""
    return {name: round(value, 6) for name, value in figures.items()}
