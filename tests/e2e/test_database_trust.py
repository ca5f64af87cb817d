"""The promise, asked again and again under an open stream of writes: nothing acknowledged is lost or doubled.

A few rounds in the suite; COLONNADE_TRUST_ROUNDS=120 for figures (`-s` shows them).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
import pytest
from tests.contract.database_kit import Harness, Stream, running_cluster
from tests.contract.links import LinkMap
from tests.contract.open_stream import OpenStream

from colonnade.database.fence import processes_in
from colonnade.database.state import NodeName

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

ROUNDS = int(os.environ.get("COLONNADE_TRUST_ROUNDS", "6"))
DELAY_S = float(os.environ.get("COLONNADE_TRUST_DELAY_S", "0.05"))
"""One way, to one standby: a standby connects in about ten answers, so it is felt ten times."""
PAUSE_S = 2.0


@dataclass
class Figures:
    """Seconds, by kind of round."""

    gaps_s: dict[str, list[float]] = field(default_factory=dict)
    rejoins_s: dict[str, list[float]] = field(default_factory=dict)
    primaries_killed: int = 0

    def note(self, kind: str, gap_s: float, rejoin_s: float) -> None:
        self.gaps_s.setdefault(kind, []).append(gap_s)
        self.rejoins_s.setdefault(kind, []).append(rejoin_s)

    def show(self, stream: Stream) -> None:
        for kind in self.gaps_s:
            tell(f"gap after {kind}", self.gaps_s[kind])
            tell(f"  whole again after {kind}", self.rejoins_s[kind])
        say(f"primaries killed {self.primaries_killed}, acknowledged {len(stream.acknowledged)}")
        say(f"unknown {len(stream.unknown)}, attempted {len(stream.attempted)}")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - shown with -s


def tell(what: str, values: Sequence[float]) -> None:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    say(f"{what}: n={len(values)} median={statistics.median(values):.3f} p95={p95:.3f} max={max(values):.3f} s")


def kill_node(harness: Harness, name: NodeName) -> int:
    """Returns the pid that is no more."""
    pid = harness.pid(name)
    os.kill(pid, signal.SIGKILL)
    return pid


async def until_replaced(harness: Harness, old: NodeName) -> None:
    await harness.until(lambda: harness.controller.view().primary not in (None, old), "another one is primary")


async def kill_primary(harness: Harness) -> int:
    return kill_node(harness, harness.primary)


async def kill_primary_and_delete_it(harness: Harness) -> int:
    old = harness.primary
    directory = harness.paths.node(old)
    pid = kill_node(harness, old)
    # In a thread: the controller lives in this one.
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    return pid


async def kill_primary_and_its_successor(harness: Harness) -> int:
    old = harness.primary
    kill_node(harness, old)
    await until_replaced(harness, old)
    await harness.until(lambda: harness.controller.view().is_writable, "it takes writes")
    await asyncio.sleep(0.1)
    return kill_node(harness, harness.primary)


async def kill_primary_and_controller(harness: Harness) -> int:
    pid = kill_node(harness, harness.primary)
    await harness.replace_controller()
    return pid


async def kill_primary_while_the_controller_is_paused(harness: Harness) -> int:
    await harness.end_loop()
    pid = kill_node(harness, harness.primary)
    await asyncio.sleep(PAUSE_S)
    harness.run()
    return pid


async def kill_standby(harness: Harness) -> int:
    return kill_node(harness, harness.standbys()[0])


KINDS: dict[str, Callable[[Harness], Awaitable[int]]] = {
    "a killed primary": kill_primary,
    "a primary killed and deleted": kill_primary_and_delete_it,
    "a primary and its successor killed": kill_primary_and_its_successor,
    "a primary killed with the controller": kill_primary_and_controller,
    "a primary killed while the controller paused 2 s": kill_primary_while_the_controller_is_paused,
    "a killed standby": kill_standby,
}


def _is_seen_dead(harness: Harness, pid: int) -> bool:
    return pid not in [node.pid for node in harness.controller.view().nodes]


async def _kills(work_dir: Path) -> None:
    links, figures = LinkMap(), Figures()
    await links.open()
    try:
        async with running_cluster(work_dir, links=links) as harness:
            await harness.until_well()
            async with OpenStream(harness) as stream:
                for number in range(ROUNDS):
                    kind = list(KINDS)[number % len(KINDS)]
                    await stream.until_acknowledged_after(time.monotonic())
                    slow = harness.standbys()[number % 2]
                    for whom in "abc".replace(slow, ""):
                        links[slow, whom].slow_down(DELAY_S)
                    at_s = time.monotonic()
                    killed = await KINDS[kind](harness)
                    # Until then the view is of the time before, in which all was well.
                    await harness.until(partial(_is_seen_dead, harness, killed), f"pid {killed} is seen dead")
                    figures.primaries_killed += 2 if "successor" in kind else int("primary" in kind)
                    await stream.until_acknowledged_after(time.monotonic() + 0.05)
                    await harness.until_well()
                    figures.note(kind, stream.gap_after(at_s), time.monotonic() - at_s)
                    for whom in "abc".replace(slow, ""):
                        links[slow, whom].heal()
                    await asyncio.sleep(0.3)
            await harness.until_well()
            await stream.check()
            figures.show(stream)
            plain = figures.gaps_s["a killed primary"]
            assert statistics.median(plain) < 10.0, "about 0.5 on a machine at rest"
    finally:
        await links.close()


def test_kills_of_every_kind_lose_and_double_nothing(work_dir: Path) -> None:
    asyncio.run(_kills(work_dir))


@pytest.mark.skipif(len(KINDS) >= ROUNDS, reason="test_database_failures.py has one of each; this is for figures")
@pytest.mark.parametrize("what", ["frozen", "all killed", "switchover"])
def test_twenty_of_each(work_dir: Path, what: str) -> None:
    async def body() -> None:
        gaps: list[float] = []
        async with running_cluster(work_dir) as harness:
            await harness.until_well()
            async with OpenStream(harness) as stream:
                for _ in range(20):
                    await stream.until_acknowledged_after(time.monotonic())
                    at_s = time.monotonic()
                    await PLAYED[what](harness)
                    await stream.until_acknowledged_after(time.monotonic() + 0.05)
                    await harness.until_well()
                    gaps.append(stream.gap_after(at_s))
            await stream.check()
            tell(f"gap, {what}", gaps)
            say(f"acknowledged {len(stream.acknowledged)}, unknown {len(stream.unknown)}")

    asyncio.run(body())


async def freeze_primary(harness: Harness) -> None:
    old = harness.primary
    pids = processes_in((harness.paths.node(old),))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await until_replaced(harness, old)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def kill_all(harness: Harness) -> None:
    await harness.end_loop()
    for name in "abc":
        for pid in processes_in((harness.paths.node(name),)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    await harness.replace_controller()


async def switch_over(harness: Harness) -> None:
    with contextlib.suppress(psycopg.Error):
        await harness.controller.requests.switch_over(None)


PLAYED: dict[str, Callable[[Harness], Awaitable[None]]] = {
    "frozen": freeze_primary,
    "all killed": kill_all,
    "switchover": switch_over,
}
