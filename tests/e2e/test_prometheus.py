"""A real Prometheus beside a system: it sees, it alarms, it is a part like others. And promtool on what is exported."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from colonnade.core.yaml_text import yaml_text
from colonnade.deploy.files import write_export
from colonnade.deploy.grafana.dashboards import dashboards
from colonnade.deploy.prometheus import prometheus_files
from colonnade.observe.prometheus.config import CONFIG_FILE, RULES_FILE, Watched
from colonnade.observe.prometheus.rules import TESTS_FILE

from .harness import TINY_SERVICE, Runner, is_alive, kill

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("promtool") is None,
        reason="prometheus and promtool are not installed (Debian: apt install prometheus)",
    ),
]

DECLARED = f"""{TINY_SERVICE}
[services.web.rollout]
canary_time = "0s"

[dashboard]
enabled = true

[prometheus]
interval = "1s"
"""

BROKEN = """
import os

if os.environ["COLONNADE_REPLICA"] != "web/0":  # the look at it before a deployment
    raise RuntimeError("not this version")


def app(environ, start_response):
    raise AssertionError
"""


def promtool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    write_export(tmp_path, "prometheus", prometheus_files(Watched("blog", "127.0.0.1:8081")), is_forced=False)
    return tmp_path


def test_promtool_accepts_the_configuration_and_every_rule_fires_as_its_story_says(exported: Path) -> None:
    checked = promtool("check", "config", CONFIG_FILE, cwd=exported)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", TESTS_FILE, cwd=exported)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_stories_notice_a_rule_that_has_changed(exported: Path) -> None:
    rules = exported / RULES_FILE
    rules.write_text(rules.read_text().replace("> 14.4", "> 44.4"))
    assert promtool("test", "rules", TESTS_FILE, cwd=exported).returncode != 0


def test_promtool_can_read_every_query_of_the_dashboards(tmp_path: Path) -> None:
    queries = [query["expr"] for each in dashboards() for panel in each["panels"] for query in panel["targets"]]
    queries += [note["expr"] for each in dashboards() for note in each["annotations"]["list"]]
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(queries)
    ]
    (tmp_path / "queries.yml").write_text(yaml_text({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", "queries.yml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture(scope="module")
def system(make_runner: Callable[[], Runner]) -> Runner:
    runner = make_runner()
    runner.declare(DECLARED)
    ran = runner.run("up", "--detach", "--with", "prometheus")
    assert ran.exit_code == 0, ran.text + runner.story()
    assert part(runner)["url"] in ran.text, "`up` tells where it is"
    return runner


def part(runner: Runner) -> dict[str, Any]:
    found: dict[str, Any] = (runner.status() or {})["prometheus"]
    return found


def ask(runner: Runner, path: str) -> Any:
    """None while it does not answer."""
    try:
        connection = http.client.HTTPConnection(urlsplit(part(runner)["url"]).netloc, timeout=10)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return json.loads(answer.read())["data"] if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None


def query(runner: Runner, expr: str) -> list[float]:
    found = ask(runner, f"/api/v1/query?query={quote(expr)}")
    return [float(each["value"][1]) for each in found["result"]] if found else []


def firing(runner: Runner) -> set[str]:
    found = ask(runner, "/api/v1/alerts")
    return {each["labels"]["alertname"] for each in found["alerts"] if each["state"] == "firing"} if found else set()


def test_it_sees_the_system_and_each_replica(system: Runner) -> None:
    ready = 'colonnade_service_replicas{service="web",state="ready"}'
    system.wait_until(lambda: query(system, ready) == [2.0], "it has seen two ready replicas")
    system.wait_until(
        lambda: query(system, 'count by (system) (up{job="colonnade-replicas"})') == [2.0], "it has found each of them"
    )
    rules = ask(system, "/api/v1/rules")["groups"]
    assert {rule["name"] for group in rules for rule in group["rules"]} > {"ColonnadeNoPrimary", "ColonnadeNotSeen"}


def test_a_killed_replica_shows(system: Runner) -> None:
    kill(system.replicas()["web/1"])
    restarted = 'colonnade_replica_restarts_total{replica="web/1"} >= 1'
    system.wait_until(lambda: query(system, restarted), "it has seen that web/1 was started again")
    system.running()
    found = {f"127.0.0.1:{each['port']}" for each in (system.status() or {})["services"][0]["replicas"]}
    system.wait_until(
        lambda: {target["labels"]["instance"] for target in targets(system)} == found, "it has found the new replica"
    )


def targets(runner: Runner) -> list[dict[str, Any]]:
    active = (ask(runner, "/api/v1/targets") or {"activeTargets": []})["activeTargets"]
    return [target for target in active if target["labels"]["job"] == "colonnade-replicas"]


def test_an_alert_fires_and_resolves(system: Runner) -> None:
    good = (system.directory / "tiny.py").read_text()
    system.write("tiny.py", BROKEN)
    assert system.run("deploy").exit_code != 0
    system.wait_until(lambda: "ColonnadeCanaryUndone" in firing(system), "the alert fires")
    system.write("tiny.py", good + "\n")
    ran = system.run("deploy")
    assert ran.exit_code == 0, ran.text
    system.wait_until(lambda: "ColonnadeCanaryUndone" not in firing(system), "the alert is resolved")


def test_it_is_started_again_and_outlives_the_controller(system: Runner) -> None:
    first = part(system)["pid"]
    kill(first)
    system.wait_until(lambda: part(system)["pid"] not in (None, first), "there is another one")
    second = part(system)["pid"]
    system.wait_until(lambda: query(system, "colonnade_replica_restarts_total"), "it sees, and kept what it had stored")
    controller = (system.status() or {})["controller_pid"]
    kill(controller)
    system.wait_until(
        lambda: (system.status() or {}).get("controller_pid") not in (None, controller), "there is another"
    )
    system.running()
    system.wait_until(lambda: part(system) is not None and part(system)["pid"] == second, "it was taken over")
    assert is_alive(second)


def test_without_the_program_it_is_said_how_to_get_it_and_nothing_starts(runner: Runner) -> None:
    runner.declare(DECLARED)
    ran = runner.run("up", "--detach", "--with", "prometheus", "--prometheus-binary", "/nowhere/prometheus")
    assert ran.exit_code == 3
    assert "/nowhere/prometheus" in ran.err
    assert "apt install prometheus" in ran.err
    assert not runner.processes()
