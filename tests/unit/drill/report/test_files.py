"""The files for programs: JSON, JUnit, and what is made of several of them."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from colonnade.core.errors import HostError, SpecError
from colonnade.drill.record import FaultEnd, Leftovers, Record
from colonnade.drill.report import write_reports
from colonnade.drill.report.compare import compare, comparison_lines, is_like, since_lines
from colonnade.drill.report.earlier import EARLIER_MAX, directory_name, earlier_reports
from colonnade.drill.report.facts import facts_of
from colonnade.drill.report.json import from_json, to_json
from colonnade.drill.report.junit import to_junit
from colonnade.drill.report.repeat import repetition_lines, repetition_of, summary_lines
from colonnade.drill.verdict import judge

from ..records import FAULTS, clean_record


@cache
def clean_report() -> dict[str, Any]:
    return report_of(clean_record())


def report_of(record: Record) -> dict[str, Any]:
    return from_json(to_json(record, judge(record), facts_of(record)), "report.json")


def junit_of(record: Record) -> ET.Element:
    return ET.fromstring(to_junit(record, judge(record), facts_of(record)))  # noqa: S314 our own file


def with_leftover() -> Record:
    return replace(clean_record(), leftovers=Leftovers(processes=("pid 77: \x1b[0mhaproxy <&>",)), seed=8)


def test_three_files_are_written(tmp_path: Path) -> None:
    files = write_reports(clean_record(), judge(clean_record()), tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["junit.xml", "report.html", "report.json"]
    assert from_json(files.json.read_text(encoding="utf-8"), "x")["verdict"] == "valid"
    assert files.html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    ET.parse(files.junit)  # noqa: S314


def test_the_page_of_the_last_of_many_runs_tells_about_all_of_them(tmp_path: Path) -> None:
    record = with_leftover()
    files = write_reports(record, judge(record), tmp_path, earlier=[clean_report()])

    page = files.html.read_text(encoding="utf-8")
    assert "2 runs with 11,876 operations in all: 1 valid, 1 invalid." in page
    assert "kill primary: recovery_s" in page
    assert "Since the run before it (seed 7, " in page
    assert "leftovers_max: valid → invalid" in page


def test_only_runs_in_which_nothing_but_the_seed_was_another_are_counted_together(tmp_path: Path) -> None:
    before = deepcopy(clean_report())
    before["declaration_sha256"] = "another"
    record = with_leftover()
    page = write_reports(record, judge(record), tmp_path, earlier=[before]).html.read_text(encoding="utf-8")

    assert "This is one run." in page
    assert "not the same: declaration: another and " in page


def test_runs_with_another_load_are_not_alike_though_their_scenario_has_the_same_name() -> None:
    record = clean_record()
    slower = replace(record.scenario, load=replace(record.scenario.load, rate_per_s=1.0))

    assert is_like(clean_report(), report_of(replace(record, seed=9)))
    assert not is_like(clean_report(), report_of(replace(record, scenario=slower)))


def test_a_directory_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(HostError) as refusal:
        write_reports(clean_record(), judge(clean_record()), tmp_path / "missing")

    assert refusal.value.hint


def test_the_json_has_verdict_findings_and_flat_figures() -> None:
    report = clean_report()

    assert (report["verdict"], report["reason"], report["seed"]) == ("valid", "all_rules_hold", 7)
    assert {each["rule"]: each["verdict"] for each in report["findings"]}["lost_writes_max"] == "valid"
    assert report["figures"]["kill primary: recovery_s"] == 5.0
    assert report["figures"]["kill primary: promote_s"] == 0.25
    assert all(isinstance(value, int | float) for value in report["figures"].values())
    assert report["facts"]["kept"]["acknowledged"] == report["facts"]["writes"]["ok"]


@pytest.mark.parametrize("text", ["no", "[]", "{}", '{"format": 99}'])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="not"):
        from_json(text, "x.json")


def test_junit_has_a_case_for_each_rule_and_each_fault() -> None:
    suite = junit_of(clean_record())[0]
    names = [each.get("name") for each in suite.iter("testcase")]

    assert names[:2] == ["lost_writes_max", "doubled_writes_max"]
    assert names[-4:] == ["kill backend replica", "kill primary", "delay gateway → backend replica", "fill disk"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "17",
        "0",
        "0",
        "1",
    )


def test_junit_tells_invalid_from_unknown() -> None:
    failed = replace(FAULTS[0], end=FaultEnd.FAILED)
    suite = junit_of(replace(with_leftover(), faults=(failed, *FAULTS[1:]), held=None))[0]
    (failure,) = suite.iter("failure")

    assert failure.get("type") == "above_bound"
    assert failure.text == "pid 77: \N{REPLACEMENT CHARACTER}[0mhaproxy <&>"
    assert {each.get("type") for each in suite.iter("error")} == {"cannot_be_read_back", "injected", "doubtful"}


def test_two_equal_runs_compare_as_equal() -> None:
    report = clean_report()
    found = compare(report, report)

    assert (found.changes, found.rules, found.settings) == ((), (), ())
    assert found.sentence.startswith("valid both times; 0 of ")


def test_a_comparison_names_what_changed_with_its_figures() -> None:
    before, after = clean_report(), report_of(with_leftover())
    after["figures"]["before: latency_ms_p99"] *= 2
    after["figures"]["before: latency_ms_p50"] *= 1.1
    del after["figures"]["kill primary: promote_s"]
    after["versions"]["haproxy"] = "2.8.21"
    text = "\n".join(comparison_lines(compare(before, after)))

    assert text.startswith("valid before, invalid after; ")
    assert "not the same: seed: 7 and 8" in text
    assert "not the same: version of haproxy: 2.8.20 and 2.8.21" in text
    assert "leftovers_max: valid → invalid: 1 process left behind after the end" in text
    assert "+100%" in text
    assert "latency_ms_p50" not in text
    assert any("promote_s" in line and line.endswith("→          —") for line in text.splitlines())


def test_what_changed_is_told_in_short_without_the_seed() -> None:
    lines = list(since_lines(compare(clean_report(), report_of(with_leftover()))))

    assert lines[0].startswith("since the run before it (seed 7, 2025-")
    assert lines[0].endswith("): valid before, invalid after")
    assert lines[1:] == ["  leftovers_max: valid → invalid: 1 process left behind after the end"]


def test_runs_of_a_scenario_are_found_again_the_oldest_first(tmp_path: Path) -> None:
    def keep(when: str, scenario: str, **changes: Any) -> None:
        directory = tmp_path / directory_name(when, scenario, 7)
        directory.mkdir()
        content = deepcopy(clean_report()) | {"scenario": {"name": scenario, "title": "", "sha256": ""}} | changes
        (directory / "report.json").write_text(json.dumps(content))

    keep("20251128-100000", "small", began_at_s=1.0, seed=1)
    keep("20251128-110000", "small", began_at_s=2.0, seed=2)
    keep("20251128-120000", "small", began_at_s=3.0, is_interrupted=True)
    keep("20251128-130000", "small", began_at_s=4.0, format=99)
    keep("20251128-140000", "very-small-too", began_at_s=5.0)
    (tmp_path / directory_name("20251128-150000", "small", 7)).mkdir()

    assert [each["seed"] for each in earlier_reports(tmp_path, "small")] == [1, 2]
    assert earlier_reports(tmp_path, "[s]mall") == ()
    assert earlier_reports(tmp_path / "missing", "small") == ()


def test_of_very_many_runs_the_newest_are_taken(tmp_path: Path) -> None:
    text = json.dumps(clean_report() | {"scenario": {"name": "small", "title": "", "sha256": ""}})
    for number in range(EARLIER_MAX + 2):
        directory = tmp_path / directory_name(f"20251128-{number:06}", "small", 7)
        directory.mkdir()
        (directory / "report.json").write_text(text.replace('"seed": 7', f'"seed": {number}'))
    found = earlier_reports(tmp_path, "small")

    assert (len(found), found[0]["seed"], found[-1]["seed"]) == (EARLIER_MAX, 2, EARLIER_MAX + 1)


def test_runs_of_several_scenarios_are_told_scenario_by_scenario() -> None:
    def run(scenario: str, seed: int, recovery_s: float) -> dict[str, Any]:
        report = deepcopy(clean_report()) | {"seed": seed}
        report["scenario"]["name"] = scenario
        report["figures"]["kill primary: recovery_s"] = recovery_s
        return report

    failed = report_of(with_leftover())
    failed["scenario"]["name"] = "links"
    lines = list(summary_lines([run("primary", 1, 2.0), run("primary", 2, 4.0), failed, run("primary", 3, 8.0)]))
    text = "\n".join(lines)

    assert lines[1:3] == ["primary", "3 runs with 17,814 operations in all: 3 valid."]
    assert text.count("kill primary: recovery_s") == 1, "one run alone has no distribution"
    (recovery,) = (line.split() for line in lines if line.startswith("kill primary: recovery_s"))
    assert recovery[-4:] == ["3", "4", "8", "8"]
    assert "links: 1 run with 5,938 operations in all: 1 invalid." in lines
    assert any(line.startswith("  seed 8 (run run7): Invalid") for line in lines)
    assert lines[-1] == "2 scenarios, 4 runs with 23,752 operations in all: 3 valid, 1 invalid."


def test_repeats_of_one_scenario_need_no_word_on_all_scenarios() -> None:
    assert "scenarios" not in "\n".join(summary_lines([clean_report(), clean_report()]))


def test_many_runs_have_median_p95_and_worst_and_name_those_that_failed() -> None:
    reports = [deepcopy(clean_report()) for _ in range(4)] + [report_of(with_leftover())]
    for number, report in enumerate(reports):
        report["figures"]["kill primary: recovery_s"] = 5.0 + number
        report["figures"]["operations"] = 1_000 - number
    found = repetition_of(reports)
    spreads = {each.name: each for each in found.spreads}
    recovery, operations = spreads["kill primary: recovery_s"], spreads["operations"]

    assert found.verdict == "invalid"
    assert found.sentence == "5 runs with 4,990 operations in all: 4 valid, 1 invalid."
    assert (recovery.n, recovery.median, recovery.p95, recovery.worst) == (5, 7.0, 9.0, 9.0)
    assert (operations.median, operations.worst) == (998, 996)
    assert found.failures[0].startswith("seed 8 (run run7): Invalid: ")
    assert "seed 8" in "\n".join(repetition_lines(found))


def test_of_no_run_nothing_is_known() -> None:
    assert repetition_of([]).verdict == "unknown"


def test_the_json_is_text_that_any_program_reads() -> None:
    record = with_leftover()
    text = to_json(record, judge(record), facts_of(record))

    assert json.loads(text)["leftovers"]["processes"] == ["pid 77: \x1b[0mhaproxy <&>"]
