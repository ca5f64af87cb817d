"""Which links an aim means: before an instance starts, and at the moment of the fault."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.registry import LINK_FAULTS
from colonnade.drill.faults.ways import every_way, subjects_of, ways_meant, ways_needed
from colonnade.drill.links.process import Name
from colonnade.drill.scenario import Aim, Extent, PlannedFault, Role
from colonnade.spec.model import Spec

BLOG = Spec.model_validate(
    {
        "services": {
            "frontend": {"app": "f:app", "route": "/", "replicas": 1, "uses": ["backend"]},
            "backend": {"app": "b:app", "route": "", "replicas": 2, "uses": ["database"]},
        },
        "database": {"standbys": 2},
    }
)


def status(primary: str = "a") -> dict[str, Any]:
    def service(name: str, route: str, count: int) -> dict[str, Any]:
        replicas = [{"id": f"{name}/{slot}", "pid": slot} for slot in range(1, count + 1)]
        return {"name": name, "route": route, "replicas": replicas}

    nodes = [{"name": name, "pid": 1} for name in "abc"]
    database = {"primary": primary, "nodes": nodes}
    return {"services": [service("frontend", "/", 1), service("backend", "", 2)], "database": database}


def meant(aim: Aim, primary: str = "a", seed: int = 1) -> list[str]:
    found = ways_meant(aim, every_way(BLOG), status(primary), Random(seed))
    return [f"{who}~{whom}" for who, whom in found]


def test_every_way_between_two_parts_is_there_once() -> None:
    ways = every_way(BLOG)
    assert len(ways) == len(set(ways))
    expected: list[Name] = [
        ("gateway", "backend-2"),
        ("frontend", "backend"),
        ("backend", "database"),
        ("backend", "database-read"),
        ("dbgate", "a"),
        ("a", "b"),
        ("b", "a"),
        ("c", "d"),
    ]
    assert set(expected) <= set(ways)
    assert ("backend", "frontend") not in ways
    assert ("frontend", "database") not in ways


ALL = Extent.ALL


@pytest.mark.parametrize(
    ("aim", "primary", "names"),
    [
        (Aim(Role.GATEWAY, ALL, "backend", Role.REPLICA), "a", ["gateway~backend-1", "gateway~backend-2"]),
        (Aim(Role.GATEWAY, ALL, "frontend", Role.REPLICA), "a", ["gateway~frontend-1"]),
        (Aim(Role.REPLICA, ALL, "frontend"), "a", ["gateway~frontend-1"]),
        (Aim(Role.REPLICA, ALL), "a", ["gateway~frontend-1"]),
        (Aim(Role.GATEWAY, ALL, "", Role.REPLICA), "a", ["gateway~frontend-1"]),
        (Aim(Role.DBGATE, towards=Role.PRIMARY), "c", ["dbgate~c"]),
        (Aim(Role.STANDBY, ALL, towards=Role.PRIMARY), "b", ["a~b", "c~b"]),
        (Aim(Role.PRIMARY), "b", ["a~b", "c~b", "dbgate~b"]),
        (Aim(Role.SERVICE, ALL, "backend", Role.DBGATE), "a", ["backend~database", "backend~database-read"]),
        (Aim(Role.SERVICE, ALL, "frontend", Role.SERVICE), "a", ["frontend~backend"]),
        (Aim(Role.SERVICE, ALL, "backend"), "a", ["frontend~backend"]),
        (Aim(Role.NODE, ALL, towards=Role.NODE), "a", ["a~b", "a~c", "b~a", "b~c", "c~a", "c~b"]),
    ],
)
def test_an_aim_means_the_ways_between_those_who_play_its_roles_now(aim: Aim, primary: str, names: list[str]) -> None:
    assert meant(aim, primary) == names


def test_one_of_several_ways_is_drawn_and_without_a_far_end_one_who_is_reached() -> None:
    aim = Aim(Role.GATEWAY, Extent.ONE, "backend", Role.REPLICA)
    assert {tuple(meant(aim, seed=seed)) for seed in range(20)} == {("gateway~backend-1",), ("gateway~backend-2",)}
    isolated = {tuple(meant(Aim(Role.STANDBY), seed=seed)) for seed in range(20)}
    assert isolated == {("a~b", "c~b", "dbgate~b"), ("a~c", "b~c", "dbgate~c")}


def test_no_such_way_is_not_possible() -> None:
    with pytest.raises(NotPossible) as caught:
        meant(Aim(Role.SERVICE, towards=Role.GATEWAY))
    assert caught.value.reason == "no_such_link"


def test_links_are_needed_where_a_fault_may_strike_whoever_is_primary_by_then() -> None:
    cut = PlannedFault("link_cut", Aim(Role.DBGATE, towards=Role.PRIMARY), 5.0, 5.0)
    kill = PlannedFault("kill", Aim(Role.REPLICA), 1.0)
    assert ways_needed(BLOG, [kill], LINK_FAULTS) == ()
    assert [f"{who}~{whom}" for who, whom in ways_needed(BLOG, [kill, cut], LINK_FAULTS)] == [
        f"dbgate~{node}" for node in "abcd"
    ]


def test_a_service_that_bears_a_nodes_name_keeps_its_ways_to_itself() -> None:
    spec = Spec.model_validate(
        {"services": {"a": {"app": "f:app", "uses": ["b", "database"]}, "b": {"app": "b:app"}}, "database": {}}
    )
    ways = every_way(spec)
    assert ("a", "b") in ways
    assert ("b", "a") not in ways
    assert ("dbgate", "a") not in ways


def test_no_ways_lead_to_somebody_elses_database() -> None:
    spec = Spec.model_validate(
        {"services": {"web": {"app": "f:app", "uses": ["database"]}}, "database": {"url": "postgresql://h/d"}}
    )
    assert {who for who, _ in every_way(spec)} == {"gateway"}


def test_both_ends_are_subjects_by_their_names_in_status() -> None:
    ways = (("gateway", "backend-2"), ("dbgate", "a"), ("backend", "database"))
    assert subjects_of(ways, status()) == ("gateway", "backend/2", "dbgate", "a", "backend")
