"""Shows what a drill came to: one page for people, one file for programs, one for CI.

Everything here is made from a record and its judgement, so it can be made again at any time from what is on disk.

Does not belong here: any judgement; that is `verdict`. Read next: `html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.core.files import write_durably
from colonnade.drill.record import Record
from colonnade.drill.report.compare import compare, is_like
from colonnade.drill.report.facts import facts_of
from colonnade.drill.report.html import Others, to_html
from colonnade.drill.report.json import from_json, to_json
from colonnade.drill.report.junit import to_junit
from colonnade.drill.report.repeat import repetition_of
from colonnade.drill.verdict import Judgement


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the reports are."""

    html: Path
    json: Path
    junit: Path


def write_reports(
    record: Record, judgement: Judgement, directory: Path, *, earlier: Sequence[Mapping[str, Any]] = ()
) -> ReportFiles:
    """Write `report.html`, `report.json` and `junit.xml` into an existing directory. Raises HostError when it cannot
    be written to.

    `earlier` are the reports of earlier runs of the same scenario, the oldest first, as `earlier.earlier_reports` finds
    them. The page then has in its point 12 what changed since the last of them, and the distribution over those in
    which nothing but the seed was another.
    """
    files = ReportFiles(directory / "report.html", directory / "report.json", directory / "junit.xml")
    facts = facts_of(record)
    report = to_json(record, judgement, facts)
    this = from_json(report, str(files.json))
    like = [each for each in earlier if is_like(each, this)]
    others = Others(
        before=compare(earlier[-1], this) if earlier else None,
        runs=repetition_of([*like, this]) if like else None,
    )
    write_durably(files.json, report)
    write_durably(files.junit, to_junit(record, judgement, facts))
    write_durably(files.html, to_html(record, judgement, facts, others))
    return files
