"""/metrics, /sd: what Prometheus gets."""

from __future__ import annotations

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

from ..observe.said import measurements, status


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


def test_each_ready_replica_is_a_target(watch: Watch, browser: TestClient) -> None:
    said = status()
    said["services"][0]["replicas"][1]["state"] = "starting"
    watch.take(said, measurements(), [])
    assert browser.get("/sd").json() == [
        {"targets": ["127.0.0.1:15101"], "labels": {"service": "web", "replica": "web/1", "version": "1"}}
    ]


def test_what_others_know_is_shown_beside_it_and_everybody_gets_the_look(watch: Watch) -> None:
    seen: list[Look] = []
    watch.sources.append(lambda look: [Sample("colonnade_system_problems", (), 7.0)])
    watch.consumers.append(seen.append)
    watch.take(status(), measurements(), [])
    assert watch.look is not None
    assert seen == [watch.look]
    assert watch.look.sight.samples[-1].value == 7.0
