"""From a declaration to a model: which stations there are, what calls what, and what is only assumed."""

from __future__ import annotations

from typing import Any

import pytest

from colonnade.core.errors import SpecError
from colonnade.planning.declared import DATABASE_VISIT, GATEWAY_WORK, PartWork, declared_model, works_of
from colonnade.planning.model import Work, walk
from colonnade.spec.model import Spec

WORKS = {"web": PartWork(Work(0.005)), "api": PartWork(Work(0.01, 0.5, 0.8), {"database": 3.0}, 90_000_000)}


def spec(**tables: Any) -> Spec:
    services = {
        "web": {"app": "m:a", "route": "/", "uses": ["api"], "threads": 4, "replicas": 3},
        "api": {"app": "m:b", "uses": ["database"], "replicas": {"min": 2, "max": 6}},
        "cron": {"app": "m:c"},
    }
    return Spec.model_validate({"services": services, "database": {"standbys": 2, "connections_max": 60}, **tables})


def test_a_request_comes_through_the_gateway_and_calls_what_each_uses() -> None:
    declared = declared_model(spec(), WORKS)
    model = declared.model
    assert [station.name for station in model.stations] == ["gateway", "web", "api", "database"]
    assert declared.services == ("web", "api")
    called = [(call.station, count) for call, count in walk(model.routes[0].call)]
    assert called == [("gateway", 1), ("web", 1), ("gateway", 1), ("api", 1), ("database", 3)]
    assert model.work("gateway") == GATEWAY_WORK
    assert model.work("database") == DATABASE_VISIT
    assert model.work("api") == WORKS["api"].work
    assert declared.memory_bytes == {"api": 90_000_000}


def test_stations_are_as_declared() -> None:
    model = declared_model(spec(), WORKS).model
    web, api, database = model.station("web"), model.station("api"), model.station("database")
    assert (web.replicas, web.concurrency, web.cores_per_replica) == (3, 4, 1)
    assert api.replicas == 6, "a service that scales by itself has as many as it may"
    assert (database.replicas, database.concurrency) == (3, 60)


def test_what_nobody_said_is_told() -> None:
    told = " ".join(declared_model(spec(), WORKS).assumptions)
    assert "a query takes 1 ms" in told
    assert "the gateway takes 100 µs" in told
    known = {**WORKS, "gateway": PartWork(Work(0.0002)), "database": PartWork(Work(0.002))}
    assert declared_model(spec(), known).assumptions == ()


def test_pools_are_those_of_services_that_use_the_database() -> None:
    assert declared_model(spec(), WORKS).connections == {"web": 0, "api": 10}


def test_the_table_of_the_declaration_is_work() -> None:
    plan = {
        "work": {"web": {"service_time": "5ms", "calls": {"api": 2}}, "api": {"service_time": "10ms", "cpu": "50%"}}
    }
    works = works_of(spec(plan=plan))
    model = declared_model(spec(plan=plan), works).model
    assert model.visits("api") == 2
    assert model.work("api").cpu_s == pytest.approx(0.005)


def test_a_time_that_is_missing_is_asked_for() -> None:
    with pytest.raises(SpecError, match="service time of api is not known") as told:
        declared_model(spec(), {"web": WORKS["web"]})
    assert "--time api=20ms" in told.value.hint


def test_without_a_public_service_no_request_comes() -> None:
    hidden = Spec.model_validate({"services": {"api": {"app": "m:b"}}})
    with pytest.raises(SpecError, match="no service is public"):
        declared_model(hidden, WORKS)
