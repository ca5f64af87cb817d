"""What follows from a declaration: groups, variables, order."""

from __future__ import annotations

from typing import Any

import pytest

from colonnade.spec.derive import (
    ReplicaGroup,
    find_cycle,
    own_database,
    replica_group_of,
    replica_groups,
    service_url_variable,
    url_variables,
)
from colonnade.spec.model import ServiceSpec, Spec


def service(**keys: Any) -> ServiceSpec:
    return ServiceSpec.model_validate({"app": "a:b", **keys})


def spec_of(uses: dict[str, list[str]]) -> Spec:
    return Spec.model_validate({"services": {name: {"app": "a:b", "uses": used} for name, used in uses.items()}})


@pytest.mark.parametrize(
    ("name", "variable"), [("backend", "BACKEND_URL"), ("user-api", "USER_API_URL"), ("a-1-b", "A_1_B_URL")]
)
def test_a_service_is_found_by_its_variable(name: str, variable: str) -> None:
    assert service_url_variable(name) == variable


def test_uses_puts_one_variable_per_service_and_two_for_the_database() -> None:
    assert url_variables(service(uses=["api", "database"])) == ["API_URL", "DATABASE_URL", "DATABASE_READ_URL"]


@pytest.mark.parametrize(
    ("database", "is_ours"), [(None, False), ({}, True), ({"url": "postgresql://elsewhere/shop"}, False)]
)
def test_a_database_is_ours_unless_it_is_somewhere_already(database: dict[str, Any] | None, is_ours: bool) -> None:
    spec = Spec.model_validate({"services": {"web": {"app": "a:b"}}, "database": database})
    assert (own_database(spec) is not None) is is_ours


def test_replicas_without_weights_are_one_group() -> None:
    assert replica_groups(service(replicas={"min": 3, "max": 8})) == [ReplicaGroup(3, 1, {})]


def test_weights_say_how_many_replicas_there_are() -> None:
    weighted = service(weights=[{"replicas": 1, "weight": 3, "env": {"A": "1"}}, {"replicas": 2}])
    assert replica_groups(weighted) == [ReplicaGroup(1, 3, {"A": "1"}), ReplicaGroup(2, 1, {})]
    assert (weighted.replicas.min, weighted.replicas.max) == (3, 3)
    assert "replicas" not in weighted.model_fields_set


@pytest.mark.parametrize(("number", "weight"), [(1, 3), (2, 3), (3, 1), (4, 1), (9, 1)])
def test_a_replica_beyond_the_declared_ones_is_like_the_last_group(number: int, weight: int) -> None:
    weighted = service(weights=[{"replicas": 2, "weight": 3}, {"replicas": 1, "weight": 1}])
    assert replica_group_of(weighted, number).weight == weight


@pytest.mark.parametrize(
    "uses",
    [
        {"a": [], "b": []},
        {"a": ["c", "database"], "b": [], "c": ["b"]},
        {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []},
        {"a": ["unknown"]},
    ],
)
def test_services_that_share_what_they_use_make_no_circle(uses: dict[str, list[str]]) -> None:
    assert find_cycle(spec_of(uses)) is None


@pytest.mark.parametrize(
    ("uses", "cycle"),
    [
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, ["a", "b", "c", "a"]),
    ],
)
def test_a_circle_is_shown_as_a_path(uses: dict[str, list[str]], cycle: list[str]) -> None:
    assert find_cycle(spec_of(uses)) == cycle
