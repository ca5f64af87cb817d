"""The article's examples on real processes: what becomes of five servers at 100 requests a second, and of a chain.

Each runs as a copy in a scratch directory, by the drill's own means, and nothing of it is left. Some twenty seconds
each, the fewer the shorter the stretches of load are. Read next: `planning/article.py` for what the article says, and
what theory does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from colonnade.drill.instance import Running, prepare
from colonnade.drill.load.apart import run_load_apart
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.summary import percentile
from colonnade.drill.load.target import resolve_target
from colonnade.drill.load.workload import reads_of
from colonnade.planning.article import RATE, SCALED_RATE, SERVERS, TIME_S
from colonnade.planning.capacity import Objective
from colonnade.planning.declared import declared_model, works_of
from colonnade.planning.model import Load
from colonnade.planning.sizing import Policy, size
from colonnade.spec.load import load_spec
from colonnade.system.client import ControlClient
from colonnade.system.paths import StatePaths

STRETCH_S = 8.0
"""Of load: long enough for hundreds to wait, short enough for the last of them to be answered. Half of it will do where
the figures need not be quoted."""

TIMEOUT_S = 40.0
"""For the answer to a request, so that those who wait are not given up."""

OBJECTIVE = Objective(0.99, 0.3)
"""For what a plan recommends: three times the time that a request takes."""

READY_S_MAX = 60.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reality:
    """What was measured of an example."""

    name: str
    """As in `article.examples`."""
    message: str
    figures: dict[str, float]


async def run_examples(tell: Tell, stretch_s: float = STRETCH_S) -> list[Reality]:
    """All of them, one system after the other, with load for so long at each rate."""
    found = []
    async with _running("servers.toml") as (url, paths, _):
        tell(f"{SERVERS} servers at {RATE:g}/s, {TIME_S:g} s each")
        found.append(_of_overload(await _load(url, RATE, stretch_s)))
        tell(f"{SERVERS} servers at {SCALED_RATE:g}/s")
        found.append(_of_throughput(await _load(url, SCALED_RATE, stretch_s)))
        count = recommended()
        tell(f"{count} servers, as the plan recommends, at {RATE:g}/s")
        await _scale(paths, count)
        found.append(_of_plan(await _load(url, RATE, stretch_s), count))
    async with _running("chain.toml") as (url, _, _):
        tell("three services that call each other, 2/s")
        found.append(_of_chain(await _load(url, 2.0, stretch_s)))
        tell("the same at 30/s")
        found.append(_of_chain_throughput(await _load(url, 30.0, stretch_s)))
    return found


def recommended() -> int:
    """Replicas that a plan gives the first example for OBJECTIVE, one to spare included."""
    spec = load_spec(_file("servers.toml")).spec
    declared = declared_model(spec, works_of(spec))
    return size(declared.model, Load(RATE), OBJECTIVE, Policy(), declared.services).with_spares()["web"]


def waiting_at(history: History, at_s: float) -> int:
    """Requests that were meant to be sent by then, seconds from the start, and had no answer yet."""
    moment = history.started_at + at_s
    return sum(each.intended_at <= moment < each.done_at for each in history.operations)


def _of_overload(history: History) -> Reality:
    stretch_s = history.plan.duration_s
    half, whole = (waiting_at(history, share * stretch_s) for share in (0.5, 1.0))
    grows = (whole - half) / (stretch_s / 2)
    return Reality(
        "response time behind a balancer",
        f"measured: {whole} requests waited after {stretch_s:g} s, and there were {grows:.0f} more every second",
        {"waiting": float(whole), "growth_per_s": grows},
    )


def _of_plan(history: History, count: int) -> Reality:
    p99_s = percentile(sorted(each.latency_s for each in history.operations), OBJECTIVE.quantile)
    holds = "holds" if p99_s <= OBJECTIVE.within_s else "does not hold"
    return Reality(
        "response time behind a balancer, as planned",
        f"measured with {count} servers, as the plan recommends: p99 {p99_s * 1000:.0f} ms, so {OBJECTIVE} {holds}",
        {"servers": float(count), "p99_s": p99_s},
    )


def _of_throughput(history: History) -> Reality:
    rate = _answered_rate(history)
    return Reality("throughput when scaled out", f"measured: {rate:.1f}/s were answered", {"rate_per_s": rate})


def _of_chain(history: History) -> Reality:
    times = [each.latency_s for each in history.operations if each.outcome is Outcome.OK]
    mean_s = sum(times) / max(1, len(times))
    return Reality(
        "response time of a decomposed system", f"measured: {mean_s:.3f} s through all three", {"mean_s": mean_s}
    )


def _of_chain_throughput(history: History) -> Reality:
    rate = _answered_rate(history)
    return Reality(
        "throughput of a decomposed system",
        f"measured at a tenth of the rates: {rate:.1f}/s were answered of 30/s, where the slowest serves 20/s",
        {"rate_per_s": rate},
    )


def _answered_rate(history: History) -> float:
    """Answers a second while load came, the first second left out."""
    begin, end = history.started_at + 1.0, history.started_at + history.plan.duration_s
    return sum(begin <= each.done_at < end for each in history.operations if each.outcome is Outcome.OK) / (end - begin)


async def _load(url: str, rate: float, stretch_s: float) -> History:
    plan = Plan(
        url=url,
        rate_per_s=rate,
        duration_s=stretch_s,
        run_id=secrets.token_hex(6),
        write_share=0.0,
        workload=reads_of(["/"]),
        timeout_s=TIMEOUT_S,
        in_flight_max=5_000,
    )
    return await run_load_apart(plan, await resolve_target(url))


@asynccontextmanager
async def _running(name: str) -> AsyncIterator[tuple[str, StatePaths, Path]]:
    prepared = await asyncio.to_thread(prepare, _file(name), allow_external_database=False)
    running = Running(prepared)
    try:
        await running.start(lambda _: None, has_detours=False)
        yield prepared.instance.url, prepared.instance.paths, prepared.root
    finally:
        await running.stop()
        await asyncio.to_thread(running.remove)


async def _scale(paths: StatePaths, count: int) -> None:
    """Ask for so many, and wait until they serve."""

    def ready() -> int:
        with ControlClient(paths) as client:
            (service,) = client.status()["services"]
        return sum(each["gateway"] == "UP" for each in service["replicas"])

    with ControlClient(paths) as client:
        await asyncio.to_thread(client.scale, "web", count)
    async with asyncio.timeout(READY_S_MAX):
        while await asyncio.to_thread(ready) < count:  # noqa: ASYNC110 — another process tells
            await asyncio.sleep(0.2)


def _file(name: str) -> Path:
    return Path(str(resources.files("colonnade.drill.calibration"))) / "article" / name
