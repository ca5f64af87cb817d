"""Whom an aim means, from a status; nothing is struck here."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from colonnade.drill.faults.targets import Target, candidates, draw
from colonnade.drill.scenario import Aim, Extent, Role


def status(**changes: Any) -> dict[str, Any]:
    return {
        "controller_pid": 11,
        "keeper_pid": 12,
        "gateway": {"pid": 13},
        "dbgate": {"pid": 14},
        "services": [
            {
                "name": "web",
                "route": "/",
                "replicas": [{"id": "web/1", "pid": 21}, {"id": "web/2", "pid": 22}, {"id": "web/3", "pid": None}],
            },
            {"name": "api", "route": "", "replicas": [{"id": "api/1", "pid": 31}]},
        ],
        "database": {
            "primary": "b",
            "nodes": [{"name": "c", "pid": 43}, {"name": "a", "pid": 41}, {"name": "b", "pid": 42}],
        },
        **changes,
    }


@pytest.mark.parametrize(
    ("aim", "names"),
    [
        (Aim(Role.PRIMARY), ["b"]),
        (Aim(Role.STANDBY), ["a", "c"]),
        (Aim(Role.NODE), ["a", "b", "c"]),
        (Aim(Role.REPLICA), ["web/1", "web/2"]),
        (Aim(Role.REPLICA, service="api"), ["api/1"]),
        (Aim(Role.REPLICA, service="other"), []),
        (Aim(Role.GATEWAY), ["gateway"]),
        (Aim(Role.DBGATE), ["dbgate"]),
        (Aim(Role.CONTROLLER), ["controller"]),
        (Aim(Role.KEEPER), ["keeper"]),
        (Aim(Role.SYSTEM), []),
    ],
)
def test_everybody_with_the_role_and_a_process_is_a_candidate(aim: Aim, names: list[str]) -> None:
    assert [target.name for target in candidates(status(), aim)] == names


def test_an_external_database_and_a_gateway_that_is_down_give_nobody() -> None:
    external = status(database={"external": True, "nodes": []}, dbgate={"pid": None})
    assert candidates(external, Aim(Role.NODE)) == candidates(external, Aim(Role.DBGATE)) == ()
    assert candidates(status(database=None), Aim(Role.PRIMARY)) == ()


@pytest.mark.parametrize(
    ("count", "extent", "drawn"),
    [
        (0, Extent.ONE, 0),
        (0, Extent.ALL, 0),
        (1, Extent.SOME, 1),
        (2, Extent.SOME, 1),
        (3, Extent.SOME, 1),
        (4, Extent.SOME, 2),
        (5, Extent.SOME, 2),
        (5, Extent.ONE, 1),
        (5, Extent.ALL, 5),
    ],
)
def test_some_is_about_half_and_never_all_but_of_one(count: int, extent: Extent, drawn: int) -> None:
    assert len(draw(range(count), extent, Random(1))) == drawn


def test_the_seed_decides_who_of_several_and_their_order_stays() -> None:
    drawn = {seed: draw("abcdef", Extent.SOME, Random(seed)) for seed in range(20)}
    assert drawn == {seed: draw("abcdef", Extent.SOME, Random(seed)) for seed in range(20)}
    assert len(set(drawn.values())) > 5
    assert all(list(one) == sorted(one) for one in drawn.values())


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target("a", Role.PRIMARY, 7), "a, the primary (pid 7)"),
        (Target("b", Role.STANDBY, 7), "b, a standby (pid 7)"),
        (Target("web/2", Role.REPLICA, 7), "web/2, a replica (pid 7)"),
        (Target("gateway", Role.GATEWAY, 7), "gateway (pid 7)"),
    ],
)
def test_a_target_is_told_with_its_role(target: Target, words: str) -> None:
    assert str(target) == words
