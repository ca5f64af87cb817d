"""The page of a drill, reviewed as a file: one failover, one write lost, one fault that was not possible.

`UPDATE_GOLDEN=1 pytest tests/golden/test_drill_report.py` rewrites it; open it in a browser and look.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from colonnade.drill.record import Record
from colonnade.drill.report.facts import facts_of
from colonnade.drill.report.html import to_html
from colonnade.drill.verdict import judge

from ..unit.drill.records import clean_record, held_of

GOLDEN = Path(__file__).with_name("drill") / "report.html"
EVERY = 100
"""Of the operations, so many apart: a file that people review must stay small."""


def small() -> Record:
    record = clean_record()
    few = record.history.operations[::EVERY]
    plan = replace(record.history.plan, rate_per_s=100 / EVERY)
    return replace(record, history=replace(record.history, operations=few, plan=plan), held=held_of(few)[1:])


def test_the_page_is_as_reviewed() -> None:
    record = small()
    page = to_html(record, judge(record), facts_of(record))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(page, encoding="utf-8")
    assert page == GOLDEN.read_text(encoding="utf-8")
