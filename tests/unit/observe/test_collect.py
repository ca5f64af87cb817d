"""What the controller says becomes declared samples."""

from __future__ import annotations

from typing import Any

import pytest

from colonnade.core.histogram import BUCKETS_COUNT
from colonnade.core.usage import Usage
from colonnade.observe.collect import collect
from colonnade.observe.decisions import OTHER, SERIES_MAX, DecisionCounts
from colonnade.observe.metrics import ALERTS, BY_SAMPLE_NAME, HISTORY, METRICS, OBJECTIVES, Kind
from colonnade.observe.parts import usage_samples
from colonnade.observe.sample import Sample, Sight

from .said import measurements, status


def value_of(samples: list[Sample], name: str, **labels: str) -> float:
    found = [sample.value for sample in samples if sample.name == name and dict(sample.labels) == labels]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return found[0]


def test_every_sample_is_declared_with_its_labels() -> None:
    for sample in collect(status(), measurements()):
        metric = BY_SAMPLE_NAME[sample.name]
        names = tuple(name for name, _ in sample.labels)
        assert names == (*metric.labels, *(("le",) if sample.name.endswith("_bucket") else ()))


def test_no_sample_is_there_twice() -> None:
    samples = collect(status(), measurements())
    assert len({(sample.name, sample.labels) for sample in samples}) == len(samples)


def test_what_is_not_assembled_yet_has_no_samples() -> None:
    early: dict[str, Any] = {
        **status(),
        "phase": "starting",
        "services": [],
        "database": None,
        "gateway": {"pid": None},
        "dbgate": {"pid": None},
    }
    names = {sample.name for sample in collect(early, {"services": {}})}
    assert "colonnade_system_running" in names
    assert not any("service" in name or "gateway" in name or "database" in name for name in names)


def test_a_service_has_its_counters_and_its_buckets_cumulated() -> None:
    samples = collect(status(), measurements(counts=(5, 3, *(0,) * (BUCKETS_COUNT - 3), 2)))
    assert value_of(samples, "colonnade_service_requests_total", service="web") == 120
    bucket = "colonnade_service_request_duration_seconds_bucket"
    assert value_of(samples, bucket, service="web", le="0.001") == 5
    assert value_of(samples, bucket, service="web", le="0.002") == 8
    assert value_of(samples, bucket, service="web", le="30") == 8
    assert value_of(samples, bucket, service="web", le="+Inf") == 10
    assert value_of(samples, "colonnade_service_request_duration_seconds_count", service="web") == 10
    # Five in the middle of 0 to 1 ms, three of 1 to 2 ms, two of 30 s and more.
    total_s = value_of(samples, "colonnade_service_request_duration_seconds_sum", service="web")
    assert total_s == pytest.approx(5 * 0.0005 + 3 * 0.0015 + 2 * 30)


def test_a_replica_has_wider_buckets_of_the_same_counts() -> None:
    counts = tuple(range(1, BUCKETS_COUNT + 1))
    samples = collect(status(), measurements(counts=counts))
    bucket = "colonnade_replica_request_duration_seconds_bucket"
    # 0.012 s is the fifth bound of the gateway's.
    assert value_of(samples, bucket, service="web", replica="web/1", le="0.012") == sum(counts[:5])
    assert value_of(samples, bucket, service="web", replica="web/1", le="+Inf") == sum(counts)


def test_the_requests_of_a_replica_out_of_the_gateway_are_not_told_rather_than_0() -> None:
    said = status()
    said["services"][0]["replicas"][1] |= {"state": "starting", "requests": 0, "in_flight": None, "gateway": "—"}
    told = {
        sample.labels for sample in collect(said, measurements()) if sample.name == "colonnade_replica_requests_total"
    }
    assert told == {(("service", "web"), ("replica", "web/1"))}


def test_a_replica_that_the_gateway_holds_down_is_not_up() -> None:
    said = status()
    said["services"][0]["replicas"][1]["gateway"] = "DOWN"
    samples = collect(said, measurements())
    assert value_of(samples, "colonnade_replica_up", service="web", replica="web/1") == 1
    assert value_of(samples, "colonnade_replica_up", service="web", replica="web/2") == 0


def test_a_standby_that_has_everything_lags_by_nothing() -> None:
    name = "colonnade_database_replication_lag_seconds"
    said = measurements()
    assert value_of(collect(status(), said), name, node="b") == 0.25
    said["database"]["nodes"]["a"]["lag_s"] = {"b": None}
    assert value_of(collect(status(), said), name, node="b") == 0


def test_every_declared_metric_is_collected_somewhere() -> None:
    usage = {"gateway gateway": Usage(1.0, 2, 3, 4.0)}
    counts = DecisionCounts()
    counts.add([{"subject": "web", "kind": "scaled", "reason": "busy"}])
    said = status()
    said["database"]["last_failover"] = {"at_s": 1_700_000_000.0}
    samples = [*collect(said, measurements()), *counts.samples(), *usage_samples(usage)]
    others = {metric.name for metric in (*OBJECTIVES, *ALERTS, *HISTORY)}  # dashboard/standing.py makes them
    assert {BY_SAMPLE_NAME[sample.name].name for sample in samples} == {metric.name for metric in METRICS} - others


def test_the_way_from_outside_is_called_public() -> None:
    samples = collect(status(), measurements())
    assert value_of(samples, "colonnade_gateway_requests_total", frontend="public") == 97
    assert value_of(samples, "colonnade_gateway_responses_total", frontend="public", code="4xx") == 4


def test_states_without_a_replica_are_told_as_none() -> None:
    samples = collect(status(), measurements())
    assert value_of(samples, "colonnade_service_replicas", service="web", state="ready") == 2
    assert value_of(samples, "colonnade_service_replicas", service="web", state="draining") == 0


def test_decisions_are_counted_by_reason_and_without_the_number_of_a_replica() -> None:
    counts = DecisionCounts()
    for number in (1, 2):
        counts.add([{"subject": f"web/{number}", "kind": "replica_exited", "reason": "exit_code"}])
    (sample,) = counts.samples()
    assert dict(sample.labels) == {"part": "web", "kind": "replica_exited", "reason": "exit_code"}
    assert sample.value == 2


def test_more_reasons_than_there_may_be_are_counted_as_others() -> None:
    counts = DecisionCounts()
    counts.add({"subject": "web", "kind": "k", "reason": f"r{number}"} for number in range(SERIES_MAX + 7))
    samples = list(counts.samples())
    assert len(samples) == SERIES_MAX + 1
    assert [sample.value for sample in samples if tuple(value for _, value in sample.labels) == OTHER] == [7]


def test_names_follow_the_conventions() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("colonnade_")
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert metric.help.endswith("."), metric.name
        assert not {"le", "quantile", "job", "instance_"} & set(metric.labels)


def test_a_sight_finds_samples_by_name() -> None:
    sight = Sight(5.0, tuple(collect(status(), measurements())))
    assert [sample.label("replica") for sample in sight.of("colonnade_replica_up")] == ["web/1", "web/2"]
    assert next(sight.of("colonnade_system_running")).label("service") == ""
