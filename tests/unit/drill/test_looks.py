"""What is made of a status, of servers' logs and of timeline histories."""

from __future__ import annotations

from typing import Any

import pytest

from colonnade.drill.collect import files_left, parse_log, promotions_from
from colonnade.drill.record import Promotion, Sample, ServerLine
from colonnade.drill.sampler import NOTICED_S, sample_of, whole_since
from colonnade.system.paths import StatePaths

READY = {"id": "web/1", "state": "ready", "gateway": "UP", "pid": 1}

WHOLE: dict[str, Any] = {
    "phase": "running",
    "keeper_pid": 10,
    "controller_pid": 11,
    "gateway": {"pid": 12},
    "dbgate": {"pid": 13},
    "services": [{"name": "web", "desired": 2, "replicas": [READY, {**READY, "id": "web/2"}]}],
    "database": {
        "external": False,
        "writable": True,
        "primary": "a",
        "nodes": [{"name": "a", "role": "primary", "state": "primary"}],
    },
    "deployment": None,
    "problems": [],
}


def test_a_whole_system_is_whole() -> None:
    sample = sample_of(1.0, WHOLE)
    assert sample.is_whole
    assert (sample.ready, sample.desired, sample.primary) == ({"web": 2}, {"web": 2}, "a")
    assert sample.nodes == {"a": "primary primary"}
    assert sample_of(1.0, {**WHOLE, "database": None, "dbgate": {"pid": None}}).is_whole
    assert sample_of(1.0, {**WHOLE, "deployment": {"is_open": False, "kind": "deploy", "stage": "done"}}).is_whole


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"phase": "starting", "services": []}, "the system is starting"),
        ({"gateway": {"pid": None}}, "gateway: does not run"),
        ({"dbgate": {"pid": None}}, "dbgate: does not run"),
        ({"keeper_pid": 0}, "keeper: does not run"),
        ({"services": [{"name": "web", "desired": 2, "replicas": [READY]}]}, "web: 1 of 2 replicas get requests"),
        (
            {"services": [{"name": "web", "desired": 1, "replicas": [READY, {**READY, "gateway": "DRAIN"}]}]},
            "web: 1 of 1 replicas get requests",
        ),
        ({"deployment": {"is_open": True, "kind": "deploy", "stage": "rolling"}}, "a deploy is rolling"),
        ({"problems": ["web: 1 of 2 replicas are ready"]}, "web: 1 of 2 replicas are ready"),
    ],
)
def test_what_is_missing_is_told(change: dict[str, Any], told: str) -> None:
    sample = sample_of(1.0, {**WHOLE, **change})
    assert not sample.is_whole
    assert told in sample.problems


def test_a_status_that_did_not_come_is_not_whole() -> None:
    assert not sample_of(1.0, None).is_whole
    assert not sample_of(1.0, {**WHOLE, "database": {**WHOLE["database"], "writable": False}}).is_whole


def test_whole_again_is_the_first_whole_look_after_somebody_can_have_noticed() -> None:
    whole, broken = sample_of(0.0, WHOLE), Sample(0.0, is_answered=False)

    def at(moment: float, sample: Sample) -> Sample:
        return Sample(moment, sample.is_answered, ready=sample.ready, is_writable=sample.is_writable)

    looks = [at(1.0, whole), at(1.0 + NOTICED_S / 2, whole), at(2.0, broken), at(2.5, whole), at(3.0, whole)]
    assert whole_since(looks, 1.0) == 2.5
    assert whole_since(looks[:3], 1.0) is None


def test_lines_of_a_log_have_their_moment_and_continuations_are_left_out() -> None:
    lines = [
        "2025-10-10 11:55:36.250 UTC [77] LOG:  selected new timeline ID: 2\n",
        "\tof several lines\n",
        "2025-10-10 11:55:37.000 UTC [78] app@app ERROR:  no\n",
        "something else\n",
    ]
    found = list(parse_log("b", lines))
    assert [line.text for line in found] == ["LOG:  selected new timeline ID: 2", "app@app ERROR:  no"]
    assert found[0] == ServerLine("b", 1_760_097_336.25, "LOG:  selected new timeline ID: 2")


def line(node: str, timeline: int) -> ServerLine:
    return ServerLine(node, 0.0, f"LOG:  selected new timeline ID: {timeline}")


def test_a_promotion_is_by_whom_the_log_says_and_where_the_history_says() -> None:
    histories = {"a": {2: "0/30000A0"}, "b": {2: "0/30000A0", 3: "0/5000028"}}
    assert promotions_from([line("b", 2), line("a", 3)], histories) == (
        Promotion("b", 2, "0/30000A0"),
        Promotion("a", 3, "0/5000028"),
    )


def test_a_number_that_two_took_is_two_promotions_each_with_its_own_place() -> None:
    histories = {"a": {2: "0/1"}, "b": {2: "0/2"}}
    assert promotions_from([line("a", 2), line("b", 2)], histories) == (
        Promotion("a", 2, "0/1"),
        Promotion("b", 2, "0/2"),
    )


def test_a_promotion_without_a_history_is_still_one() -> None:
    assert promotions_from([line("c", 2)], {}) == (Promotion("c", 2, ""),)


def test_files_that_should_have_gone_are_told_and_others_are_not(tmp_path: Any) -> None:
    paths = StatePaths(tmp_path)
    (tmp_path / "gateway").mkdir()
    (tmp_path / "database" / "nodes" / "a").mkdir(parents=True)
    for name in ("events.jsonl", "replicas.json", "gateway/.haproxy.cfg.77.new", "database/nodes/a/.x.1.new"):
        (tmp_path / name).touch()
    assert files_left(paths, ["PostgreSQL.0"]) == (
        "replicas.json in the state directory is still there",
        "gateway/.haproxy.cfg.77.new was not finished",
    )
