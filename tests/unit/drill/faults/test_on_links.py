"""Faults of links, with the real process of the links: each puts its rule where it is meant to, and lifts it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from colonnade.core.clock import SystemClock
from colonnade.core.errors import SpecError
from colonnade.drill.faults.fault import Instance, NotPossible, Surroundings
from colonnade.drill.faults.registry import FAULTS, LINK_FAULTS
from colonnade.drill.links.client import Links, open_links
from colonnade.drill.links.rule import CLEAR, CUT, LinkRule
from colonnade.drill.scenario import Aim, PlannedFault, Role
from colonnade.system.paths import StatePaths

pytestmark = pytest.mark.slow

WAY = ("gateway", "web-1")
OTHER = ("dbgate", "a")
STATUS: dict[str, Any] = {
    "services": [{"name": "web", "route": "/", "replicas": [{"id": "web/1", "pid": 1}]}],
    "database": {"primary": "a", "nodes": [{"name": "a", "pid": 2}]},
}
TO_REPLICA = Aim(Role.GATEWAY, towards=Role.REPLICA)


def play(directory: Path, case: Callable[[Links, Surroundings], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with open_links(directory, (WAY, OTHER), 1) as links:
            instance = Instance(StatePaths(directory), directory, "http://127.0.0.1:1", directory)
            await case(links, Surroundings(instance, STATUS, links, Random(1), SystemClock()))

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("kind", "settings", "rule", "message"),
    [
        ("link_cut", {}, CUT, "cut gateway → web-1"),
        (
            "link_delay",
            {"delay_s": 0.2, "jitter_s": 0.0},
            LinkRule(delay_s=0.2),
            "delayed by 200 ms and up to 0 ms more: gateway → web-1",
        ),
        ("link_loss", {}, LinkRule(loses_towards=True), "lost everything towards on gateway → web-1"),
        ("link_loss", {"direction": "back"}, LinkRule(loses_back=True), "lost everything back on gateway → web-1"),
        ("link_bandwidth", {"bytes_per_s": 5000}, LinkRule(bytes_per_s=5000), "limited to 5 kB/s: gateway → web-1"),
        ("link_reset", {}, CLEAR, "reset 0 connections on gateway → web-1"),
        ("refuse", {}, LinkRule(is_refusing=True), "refused new connections on gateway → web-1"),
        ("hang", {}, LinkRule(is_hanging=True), "accepted and never answered on gateway → web-1"),
        ("error_replies", {"status": 503}, LinkRule(http_error=503), "answered 503 on gateway → web-1"),
    ],
)
def test_a_rule_is_put_and_lifted(
    work_dir: Path, kind: str, settings: Mapping[str, float | str], rule: LinkRule, message: str
) -> None:
    async def case(links: Links, around: Surroundings) -> None:
        fault = FAULTS[kind](PlannedFault(kind, TO_REPLICA, 0.0, 1.0, settings), around)
        await fault.heal()
        await fault.inject()
        assert (fault.message, fault.subjects) == (message, ("gateway", "web/1"))
        assert (links.rule_on(WAY), links.rule_on(OTHER)) == (rule, CLEAR)
        for _ in range(2):
            await fault.heal()
            assert links.rule_on(WAY) == CLEAR

    play(work_dir, case)


def test_settings_that_make_no_sense_are_refused_before_anything_is_changed(work_dir: Path) -> None:
    async def case(links: Links, around: Surroundings) -> None:
        for kind, settings in [
            ("link_delay", {"delay_s": "long"}),
            ("link_delay", {"delay": 1.0}),
            ("link_loss", {"direction": "up"}),
            ("link_bandwidth", {"bytes_per_s": 0}),
            ("error_replies", {"status": 200}),
            *((kind, {"x": 1.0}) for kind in LINK_FAULTS),
        ]:
            with pytest.raises(SpecError):
                FAULTS[kind](PlannedFault(kind, TO_REPLICA, 0.0, 1.0, settings), around)  # type: ignore[arg-type]
        assert links.rule_on(WAY) == CLEAR

    play(work_dir, case)


@pytest.mark.parametrize(
    ("kind", "aim", "reason"),
    [
        ("link_cut", Aim(Role.STANDBY, towards=Role.PRIMARY), "no_such_link"),
        ("link_cut", Aim(Role.REPLICA, towards=Role.DBGATE), "links_are_shared"),
        ("error_replies", Aim(Role.DBGATE, towards=Role.PRIMARY), "not_http"),
    ],
)
def test_what_has_no_link_is_not_possible(work_dir: Path, kind: str, aim: Aim, reason: str) -> None:
    async def case(_: Links, around: Surroundings) -> None:
        with pytest.raises(NotPossible) as caught:
            FAULTS[kind](PlannedFault(kind, aim, 0.0, 1.0), around)
        assert caught.value.reason == reason

    play(work_dir, case)
