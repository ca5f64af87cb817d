"""The page is well formed, complete, self-contained, and shows what others wrote as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.record import FaultEnd, Leftovers, Record
from colonnade.drill.report.compare import Change, Comparison
from colonnade.drill.report.facts import facts_of
from colonnade.drill.report.html import POINTS, SECTIONS, Others, to_html
from colonnade.drill.report.repeat import Repetition, Spread
from colonnade.drill.scenario import RuleName
from colonnade.drill.verdict import judge

from ..records import EVENTS, FAULTS, clean_record, events, small_record

HOSTILE = "<script>alert('x')</script> & \"quoted\" \x1b[31mred\x00 ]]> \udce4"


def page_of(record: Record, others: Others | None = None) -> str:
    return to_html(record, judge(record), facts_of(record), others)


def parsed(page: str) -> ET.Element:
    return ET.fromstring(page)  # noqa: S314 our own page


def text_of(page: str) -> str:
    return " ".join(" ".join(parsed(page).itertext()).split())


def invalid() -> Record:
    return replace(clean_record(), leftovers=Leftovers(processes=("pid 77: haproxy",)))


def empty() -> Record:
    return small_record(
        samples=(), server_lines=(), promotions=(), held=None, held_problem="no list", leftovers=None, topology_after={}
    )


def hostile() -> Record:
    fault = replace(FAULTS[0], message=HOSTILE, end=FaultEnd.FAILED)
    kind, subject, reason, _, offset_s, data = EVENTS[0]
    scenario = replace(clean_record().scenario, title=HOSTILE)
    return replace(
        clean_record(),
        scenario=scenario,
        faults=(fault, *FAULTS[1:]),
        events=events((kind, subject, reason, HOSTILE, offset_s, data)),
        leftovers=Leftovers(files=(HOSTILE,)),
        topology_after={"name": HOSTILE},
    )


RECORDS: dict[str, Callable[[], Record]] = {
    "valid": clean_record,
    "invalid": invalid,
    "empty": empty,
    "hostile": hostile,
}


@pytest.mark.parametrize("name", RECORDS)
def test_the_page_is_well_formed_and_has_every_point(name: str) -> None:
    root = parsed(page_of(RECORDS[name]()))
    sections = [each.get("id") for each in root.iter("section")]

    assert sections == [f"point-{number}" for number in range(1, len(POINTS) + 1)]
    assert len(POINTS) == 14
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    assert {str(each.get("href"))[1:] for each in root.iter("a")} <= set(ids)


def test_the_page_needs_no_network_and_no_script() -> None:
    page = page_of(clean_record())

    assert not re.search(r"<script|<link|@import|url\(|src=|https?://(?!127\.0\.0\.1)", page)


def test_the_first_thing_on_it_is_the_verdict_in_a_sentence() -> None:
    record = clean_record()
    (heading,) = parsed(page_of(record)).iter("h1")

    assert heading.text == judge(record).sentence


def test_every_rule_has_a_tile_and_a_point_that_tells_more() -> None:
    root = parsed(page_of(clean_record()))
    tiles = next(each for each in root.iter("ul") if each.get("class") == "tiles")

    assert len(list(tiles)) == len(judge(clean_record()).findings)
    assert {rule for rules in SECTIONS.values() for rule in rules} == set(RuleName)


def test_what_was_broken_is_told_at_the_top_with_the_first_evidence() -> None:
    page = text_of(page_of(invalid()))

    assert judge(invalid()).verdict is Verdict.INVALID
    assert "What was broken" in page
    assert "First: pid 77: haproxy" in page


def test_what_others_wrote_is_text_and_nothing_else() -> None:
    page = page_of(hostile())

    assert "<script" not in page
    assert "\x1b" not in page
    assert "<script>alert('x')</script> & \"quoted\"" in text_of(page)
    page.encode()


def test_each_fault_is_a_band_and_each_decision_a_tick() -> None:
    root = parsed(page_of(clean_record()))
    shapes = [each.get("class") for each in root.iter() if each.tag in ("rect", "line")]

    assert shapes.count("band") == 3
    assert {"tick cause", "tick step", "tick end"} <= set(shapes)
    assert shapes.count("failed") == 1


def test_faults_that_were_not_possible_stand_among_the_limits() -> None:
    assert "Skipped: fill disk: a small file system of its own needs root" in text_of(page_of(clean_record()))


def test_many_runs_stand_in_the_place_of_one() -> None:
    runs = Repetition(Verdict.VALID, "5 runs.", (Spread("p99_ms", 5, 10.0, 12.0, 13.0),), ())

    assert "p99_ms 5 10 12 13 5 runs." in text_of(page_of(clean_record(), Others(runs=runs)))


def test_what_changed_since_the_run_before_is_told() -> None:
    changes = (Change("p99_ms", 10.0, 13.0), Change("kill primary: promote_s", None, 0.25))
    before = Comparison(
        "seed 6, yesterday", "valid both times", "valid both times.", ("root: True and <b>",), (), changes, 40
    )
    text = text_of(page_of(clean_record(), Others(before=before)))

    assert "This is one run." in text
    assert "Since the run before it (seed 6, yesterday) valid both times. not the same: root: True and <b>" in text
    assert "p99_ms 10 13 +30%" in text
    assert "kill primary: promote_s — 0.25" in text
