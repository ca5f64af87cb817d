"""/metrics, /sd: what Prometheus gets."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from colonnade.core.clock import SimulatedClock
from colonnade.dashboard.control import Control
from colonnade.dashboard.exposition import exposition
from colonnade.dashboard.look import Look
from colonnade.dashboard.metrics_routes import metrics_routes
from colonnade.dashboard.watch import FRESH_FOR_S, Watch
from colonnade.observe.metrics import METRICS
from colonnade.observe.sample import Sample

from ..observe.said import measurements, service, status


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def watch(clock: SimulatedClock) -> Watch:
    return Watch(Control(Path("/nowhere/control.sock")), clock)


@pytest.fixture
def browser(watch: Watch) -> TestClient:
    return TestClient(Starlette(routes=metrics_routes(watch)))


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_prometheus_reads_what_it_gets(watch: Watch, browser: TestClient) -> None:
    watch.take(status(), measurements(), [])
    answer = browser.get("/metrics")
    assert answer.status_code == 200
    found = families(answer.text)
    declared = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    assert found.keys() <= declared.keys()
    assert all(family.documentation == declared[name].help for name, family in found.items())
    assert all(family.type == declared[name].kind.value for name, family in found.items())
    assert len(found["colonnade_service_request_duration_seconds"].samples) == 19 + 2


def test_a_sample_that_is_not_declared_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="colonnade_unheard_of"):
        exposition([Sample("colonnade_unheard_of", (), 1.0)])


def test_old_numbers_are_not_shown_as_the_present(clock: SimulatedClock, watch: Watch, browser: TestClient) -> None:
    assert browser.get("/metrics").status_code == 503
    watch.take(status(), measurements(), [])
    assert browser.get("/metrics").status_code == 200
    clock.advance(FRESH_FOR_S + 0.1)
    assert browser.get("/metrics").status_code == 503


class Pages(BaseHTTPRequestHandler):
    """A replica with metrics, or one that has a page for everything."""

    content_type = "text/plain; version=0.0.4"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.content_type)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not on the test's screen."""


class Html(Pages):
    content_type = "text/html"


@contextmanager
def serving(handler: type[Pages]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_each_ready_replica_with_metrics_is_a_target(watch: Watch, browser: TestClient) -> None:
    said = status(service("web", 3))
    replicas = said["services"][0]["replicas"]
    with serving(Pages) as with_metrics, serving(Html) as without:
        replicas[0]["port"], replicas[1]["port"], replicas[2]["port"] = with_metrics, without, with_metrics
        replicas[2]["state"] = "starting"
        watch.take(said, measurements(), [])
        expected = {
            "targets": [f"127.0.0.1:{with_metrics}"],
            "labels": {"service": "web", "replica": "web/1", "version": "1"},
        }
        assert browser.get("/sd").json() == [expected]
    # Known for as long as it lives: nobody is asked again.
    assert browser.get("/sd").json() == [expected]


def test_what_others_know_is_shown_beside_it_and_everybody_gets_the_look(watch: Watch) -> None:
    seen: list[Look] = []
    watch.sources.append(lambda look: [Sample("colonnade_system_problems", (), 7.0)])
    watch.consumers.append(seen.append)
    watch.take(status(), measurements(), [])
    assert watch.look is not None
    assert seen == [watch.look]
    assert watch.look.sight.samples[-1].value == 7.0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's package prometheus) is not here")
def test_promtool_finds_nothing_to_object_to(watch: Watch, browser: TestClient) -> None:
    watch.take(status(), measurements(), [])
    text = browser.get("/metrics").content
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
