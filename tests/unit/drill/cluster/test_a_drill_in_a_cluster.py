"""A whole drill by the command line: real load against a small server, faults against an API server of the test's
own."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightkube")

from tests.unit.deploy.kubernetes.api_server import reached
from tests.unit.deploy.kubernetes.drilled import DrilledCluster
from tests.unit.drill.cluster.kit import shop
from typer.testing import CliRunner, Result

from colonnade.cli.cluster_commands import app
from colonnade.core.errors import ColonnadeError, DriverUnavailable, HostError, SpecError
from colonnade.drill.record import FaultEnd, Record
from colonnade.drill.record_file import read_record

pytestmark = pytest.mark.slow

DECLARATION = """
[system]
name = "shop"
[services.web]
app = "hello:app"
route = "/"
replicas = 3
[services.api]
app = "hello:app"
replicas = { min = 2, max = 5 }
[drill]
reads = [{ path = "/" }]
list = "/notes?page={page}"
text_field = "text"
[[drill.writes]]
path = "/notes"
body = '{"text": "{token}"}'
status = 201
"""

SCENARIO = """
title = "It stands that."
steady = "1s"
recovery = "1s"
[load]
rate = 20
[[fault]]
at = "1s"
lasts = "1s"
kind = "scale"
role = "service"
service = "web"
settings = { factor = 2 }
[[fault]]
at = "1.5s"
kind = "evict"
role = "gateway"
[[fault]]
at = "2s"
lasts = "LASTS"
kind = "drain_node"
role = "system"
[[fault]]
at = "2s"
kind = "kill"
role = "primary"
[rules]
lost_writes_max = 0
doubled_writes_max = 0
recovery_s_max = 60
leftovers_max = 0
"""


class Notes(BaseHTTPRequestHandler):
    """Stands for the gateways: keeps what is written, and shows it."""

    protocol_version = "HTTP/1.1"
    kept: list[dict[str, Any]]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        is_first = "page=1" in self.path
        self._say(200, self.kept if is_first else [] if "page" in self.path else {"hello": 1})

    def do_POST(self) -> None:
        note = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kept.append({"id": len(self.kept), **note})
        self._say(201, self.kept[-1])

    def _say(self, code: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def visited() -> Iterator[str]:
    handler = type("OwnNotes", (Notes,), {"kept": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DrilledCluster]:
    found = shop()
    (tmp_path / "hello.py").write_text("app = None\n")
    (tmp_path / "colonnade.toml").write_text(DECLARATION)
    with reached(found, tmp_path, monkeypatch):
        yield found


@contextmanager
def refusing_once_scaled(fake: DrilledCluster, count: int) -> Iterator[None]:
    """The right to scale is taken away in the middle, for so many requests."""

    def refuse() -> None:
        deadline = time.monotonic() + 60
        while fake.at("deployments", "web")["spec"]["replicas"] == 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        fake.troubles = [("PATCH", "/deployments/web/scale", 403)] * count

    thread = threading.Thread(target=refuse)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def drill(tmp_path: Path, *words: str, lasts: str = "1s") -> Result:
    """`colonnade drill run …` with a scenario of a few seconds."""
    scenario = tmp_path / "all.toml"
    scenario.write_text(SCENARIO.replace("LASTS", lasts))
    line = [
        "drill",
        "run",
        str(scenario),
        "--to",
        "kubernetes",
        "--file",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    return CliRunner().invoke(app, [*line, *words])


def record_of(tmp_path: Path) -> tuple[Record, dict[str, Any]]:
    directory = next((tmp_path / "out").iterdir())
    return read_record(directory), json.loads((directory / "report.json").read_text())


def unchanged(fake: DrilledCluster) -> bool:
    nodes = [value for path, value in fake.objects.items() if path.startswith("/api/v1/nodes/")]
    changed = [value for path, value in fake.objects.items() if "/replicasets/" not in path]
    marked = [value for value in changed if "colonnade.dev/drill" in str(value["metadata"])]
    is_as_before = fake.at("deployments", "web")["spec"]["replicas"] == 3
    return is_as_before and not marked and not any(node["spec"].get("unschedulable") for node in nodes)


def test_a_drill_breaks_what_the_api_allows_and_puts_everything_back(fake: DrilledCluster, tmp_path: Path) -> None:
    fake.refusals_left = 1
    with visited() as url:
        done = drill(tmp_path, "--context", "here", "--yes", "--url", url, "--seed", "3")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    record, report = record_of(tmp_path)
    ends = {fault.planned.kind: fault for fault in record.faults}
    told = [f"{fault.end} {fault.message}" for fault in record.faults]
    assert [ends[kind].end for kind in ("scale", "evict", "drain_node")] == [FaultEnd.DONE] * 3, told
    assert ends["kill"].end is FaultEnd.SKIPPED
    assert "impossible here, because" in ends["kill"].message
    assert "scaled web from 3 to 6 pods" in ends["scale"].message
    assert record.held, "what was written was read back"
    rules = {each["rule"]: each["verdict"] for each in report["findings"]}
    assert {rules[name] for name in ("lost_writes_max", "doubled_writes_max", "leftovers_max")} == {"valid"}
    assert report["cluster"]["context"] == "here"
    assert report["cluster"]["version"] == "v1.32.1"
    assert report["cluster"]["images"]["web"] == "web:1"
    assert len(report["cluster"]["nodes"]) == 3
    assert "Kubernetes v1.32.1" in report["sentence"]
    page = next((tmp_path / "out").iterdir()) / "report.html"
    assert "A node was drained, not lost" in page.read_text()
    assert "what [drill] in colonnade.toml writes goes into the system" in done.stdout
    assert "cordons a node" in done.stdout
    assert unchanged(fake)


def test_an_interruption_while_a_node_is_cordoned_puts_everything_back(fake: DrilledCluster, tmp_path: Path) -> None:
    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not any(fake.node(f"node-{n}")["spec"].get("unschedulable") for n in (1, 2, 3)):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with visited() as url:
        done = drill(tmp_path, "--context", "here", "--yes", "--url", url, lasts="60s")
    thread.join()
    assert done.exit_code == 130, (done.stdout, done.exception)
    record, _ = record_of(tmp_path)
    assert record.is_interrupted
    assert record.leftovers is not None
    assert len(record.leftovers) == 0
    assert unchanged(fake)


@pytest.mark.parametrize(
    ("words", "problem", "message"),
    [
        (("--yes", "--url", "URL"), SpecError, "--yes needs the context by its name"),
        (("--context", "here", "--url", "URL"), SpecError, "nobody agreed to a drill in context here"),
        (("--context", "here", "--yes"), SpecError, "nobody said how visitors reach the gateways"),
        (("--context", "here", "--yes", "--url", "URL", "--port-forward"), SpecError, "one too many"),
        (("--context", "there", "--yes", "--url", "URL"), HostError, "no way to the cluster"),
    ],
)
def test_a_drill_that_nobody_meant_is_refused(
    fake: DrilledCluster, tmp_path: Path, words: tuple[str, ...], problem: type[ColonnadeError], message: str
) -> None:
    done = drill(tmp_path, *(word.replace("URL", "http://127.0.0.1:1") for word in words))
    assert isinstance(done.exception, problem), done.exception
    assert message in done.exception.message
    assert {method for method, _, _ in fake.requests} <= {"GET", "POST"}


def test_a_missing_right_another_drill_and_a_system_that_is_not_whole_are_refused(
    fake: DrilledCluster, tmp_path: Path
) -> None:
    words = ("--context", "here", "--yes", "--url", "http://127.0.0.1:1")
    fake.denied = {("patch", "deployments/scale")}
    done = drill(tmp_path, *words)
    assert "patch deployments.apps/scale in namespace shop" in str(done.exception)
    fake.denied = set()
    mark = {"run": "old", "namespace": "shop", "before": {}, "after": {}}
    fake.node("node-2")["metadata"]["annotations"] = {"colonnade.dev/drill": json.dumps(mark)}
    fake.node("node-2")["spec"]["unschedulable"] = True
    done = drill(tmp_path, *words)
    assert "node node-2 is cordoned" in str(done.exception)
    assert isinstance(done.exception, HostError)
    assert "put-back" in done.exception.hint
    line = ["drill", "put-back", "--to", "kubernetes", "--file", str(tmp_path), "--context", "here", "--yes"]
    assert "Node node-2: is as it was" in CliRunner().invoke(app, line).stdout
    assert unchanged(fake)
    assert isinstance(drill(tmp_path, *words).exception, DriverUnavailable), "nothing listens there"


def test_what_could_not_be_put_back_in_time_is_put_back_at_the_end(fake: DrilledCluster, tmp_path: Path) -> None:
    with visited() as url, refusing_once_scaled(fake, 1):
        drill(tmp_path, "--context", "here", "--yes", "--url", url)
    record, _ = record_of(tmp_path)
    scaled = next(fault for fault in record.faults if fault.planned.kind == "scale")
    assert (scaled.end, scaled.reason) == (FaultEnd.FAILED, "heal_failed")
    assert record.leftovers is not None
    assert len(record.leftovers) == 0
    assert any("put back only at the end: Deployment web" in note for note in record.untested)
    assert unchanged(fake)


def test_no_run_is_begun_over_what_the_one_before_has_left(fake: DrilledCluster, tmp_path: Path) -> None:
    with visited() as url, refusing_once_scaled(fake, 100):
        done = drill(tmp_path, "--context", "here", "--yes", "--url", url, "--repeat", "2")
    assert len(list((tmp_path / "out").iterdir())) == 1, done.stdout
    assert "no other is begun" in done.stdout
    record, _ = record_of(tmp_path)
    assert record.leftovers is not None
    assert any("web has 6 replicas instead of 3" in change for change in record.leftovers.changes)
    assert done.exit_code not in (0, 130), "it ended by itself, and badly"
    fake.troubles = []
    line = ["drill", "put-back", "--to", "kubernetes", "--file", str(tmp_path), "--context", "here", "--yes"]
    assert "Deployment web: is as it was" in CliRunner().invoke(app, line).stdout
    assert unchanged(fake)
