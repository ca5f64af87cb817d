"""What is exported for Prometheus and Grafana: complete, consistent, and about metrics that there are."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from colonnade.core.errors import SpecError
from colonnade.deploy.grafana.dashboards import dashboards
from colonnade.deploy.grafana.files import grafana_files
from colonnade.deploy.prometheus import prometheus_files
from colonnade.deploy.watched import dashboard_address
from colonnade.observe.alert_rules import RULES
from colonnade.observe.metrics import BY_SAMPLE_NAME
from colonnade.observe.prometheus.config import Watched
from colonnade.observe.prometheus.rule_tests import STORIES
from colonnade.observe.prometheus.rules import NOT_SEEN, rule_groups
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import Spec
from colonnade.system.paths import StatePaths

OTHERS = {"up", "ALERTS"}
"""Metrics of Prometheus itself."""

METRIC = re.compile(r"\b(?:colonnade_\w+|up\b|ALERTS\b)")


def metrics_in(expr: str) -> set[str]:
    return set(METRIC.findall(re.sub(r'"[^"]*"', "", expr)))


def queries(board: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [
        *asked,
        *(note["expr"] for note in board["annotations"]["list"]),
        *(each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"),
    ]


def test_every_alert_is_exported_and_has_a_story_in_which_it_fires_and_one_in_which_not() -> None:
    exported = [rule["alert"] for rule in rule_groups()["groups"][0]["rules"]]
    assert exported == [*(rule.prometheus_name for rule in RULES), NOT_SEEN]
    assert {story.prometheus_name for story in STORIES} == set(exported)
    assert all(story.calm_at for story in STORIES)
    told = {name.partition("{")[0] for story in STORIES for name in story.series}
    assert told <= BY_SAMPLE_NAME.keys() | OTHERS


def test_alerts_ask_for_declared_metrics_only_and_say_what_to_do() -> None:
    for rule in rule_groups()["groups"][0]["rules"]:
        found = metrics_in(rule["expr"])
        assert found, rule["alert"]
        assert found <= BY_SAMPLE_NAME.keys() | OTHERS, rule["alert"]
        assert rule["annotations"]["runbook"].startswith("docs/")


def test_runbooks_may_be_elsewhere() -> None:
    rules = rule_groups("https://example.org/alerts")["groups"][0]["rules"]
    assert rules[0]["annotations"]["runbook_url"] == f"https://example.org/alerts#{RULES[0].anchor}"


@pytest.mark.parametrize("board", dashboards(), ids=lambda board: str(board["uid"]))
def test_dashboards_ask_for_declared_metrics_only(board: dict[str, Any]) -> None:
    found = set().union(*map(metrics_in, queries(board)))
    assert found <= BY_SAMPLE_NAME.keys() | OTHERS
    assert len(found) > 10


@pytest.mark.parametrize("board", dashboards(), ids=lambda board: str(board["uid"]))
def test_panels_have_a_place_of_their_own_and_variables_are_there(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert panel["targets"], panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in board["panels"]), 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    known = {variable["name"] for variable in board["templating"]["list"]} | {"__rate_interval", "__all"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(board))) <= known


def test_files_are_what_they_seem() -> None:
    files = [*prometheus_files(Watched("blog", "127.0.0.1:8081")), *grafana_files("http://p:9090", "/d")]
    for file in files:
        value = json.loads(file.content) if file.path.endswith(".json") else yaml.safe_load(file.content)
        assert value, file.path
    assert len({file.path for file in files}) == len(files) == 8


def loaded(**dashboard: object) -> LoadedSpec:
    return LoadedSpec(Spec.model_validate({"dashboard": dashboard}), None, Path("/srv"))


def test_the_address_is_the_one_told_else_declared_else_known(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    declared = loaded(listen="0.0.0.0:9000")
    assert str(dashboard_address(declared, paths, "127.0.0.1:7000")) == "127.0.0.1:7000"
    assert str(dashboard_address(declared, paths)) == "127.0.0.1:9000"
    with pytest.raises(SpecError, match="not known yet"):
        dashboard_address(loaded(), paths)
    paths.dashboard.mkdir()
    (paths.dashboard / "address.json").write_text('{"host": "127.0.0.1", "port": 8081}')
    assert str(dashboard_address(loaded(), paths)) == "127.0.0.1:8081"
    with pytest.raises(SpecError, match="without a dashboard"):
        dashboard_address(loaded(enabled=False), paths)
