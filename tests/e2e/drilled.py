"""A system under test whose parts reach each other over links, and faults made for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from colonnade.core.clock import SystemClock
from colonnade.drill.faults.fault import Fault, Instance, Surroundings
from colonnade.drill.faults.registry import FAULTS
from colonnade.drill.faults.ways import every_way
from colonnade.drill.links.client import Links, open_links
from colonnade.drill.load.plan import Plan
from colonnade.drill.scenario import PlannedFault
from colonnade.spec.load import load_spec

from .harness import Runner, is_all_well

LONG_S = 60.0
"""For a failover by a symptom that must last, and for a node that is copied anew."""


@dataclass
class Drilled:
    """A system on links, and faults on it."""

    runner: Runner
    links: Links
    detours: Path
    plan: Plan | None = None

    async def up(self) -> None:
        ran = await asyncio.to_thread(self.runner.run, "up", "--detach", "--detours", str(self.detours))
        assert ran.exit_code == 0, ran.text + self.runner.story()
        await self.whole()

    async def whole(self) -> dict[str, Any]:
        """Once all is well; what was called a crash loop is called so for five seconds more."""
        found = await self.until(lambda: is_all_well(self.runner.status()), "the system is whole")
        assert isinstance(found, dict)
        return found

    async def until(self, condition: Callable[[], object], what: str) -> object:
        return await asyncio.to_thread(self.runner.wait_until, condition, what, LONG_S)

    def fault(self, planned: PlannedFault) -> Fault:
        """Made from the status of this moment."""
        status = self.runner.status()
        assert status is not None
        instance = Instance(self.runner.paths, self.runner.directory, self.url, self.runner.directory)
        around = Surroundings(instance, status, self.links, Random(1), SystemClock(), self.plan)
        return FAULTS[planned.kind](planned, around)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.runner.port}"


@asynccontextmanager
async def drilled(runner: Runner, declaration: str) -> AsyncIterator[Drilled]:
    runner.declare(declaration)
    detours = runner.directory.with_name(f"{runner.directory.name}-detours")
    detours.mkdir()
    ways = every_way(load_spec(runner.directory / "colonnade.toml").spec)
    async with open_links(detours, ways, 1) as links:
        system = Drilled(runner, links, detours)
        await system.up()
        yield system
        # Down before its links go, which it would take for a partition.
        await asyncio.to_thread(runner.finish)


def play(runner: Runner, declaration: str, case: Callable[[Drilled], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with drilled(runner, declaration) as system:
            await case(system)

    asyncio.run(whole())
