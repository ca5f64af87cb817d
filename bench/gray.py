"""Gray failures under an open load: a frozen replica, a slow one, a noisy neighbour; and balancing with and without."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from blog import Scratch, wait_for
from figures import distribution

from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Operation, Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.summary import summarize
from colonnade.drill.load.target import resolve_target
from colonnade.drill.load.workload import reads_of
from colonnade.gateway.runtime_api import RuntimeApi
from colonnade.gateway.state import ServerState

SERVICE_S = 0.05
SLOWER = 5
REPLICAS = 4
THREADS = 4

APP = """
import os, random, time

NAME = os.environ["COLONNADE_REPLICA"].replace("/", "-")
FACTOR = float(os.environ.get("FACTOR", "1"))
SERVICE_S = float(os.environ.get("SERVICE_S", "0.05"))
BURN = os.environ.get("BURN") == "1"
if "CPU" in os.environ:
    os.sched_setaffinity(0, {int(os.environ["CPU"])})
# What makes a process sick ends with it.
SICK = os.path.join(os.environ["SICK_IN"], f"sick-{NAME}")
if os.path.exists(SICK):
    os.remove(SICK)

def app(environ, start_response):
    if environ["PATH_INFO"] != "/readyz":
        factor = FACTOR * (5.0 if os.path.exists(SICK) else 1.0)
        if BURN:
            end_s = time.thread_time() + SERVICE_S
            while time.thread_time() < end_s:
                pass
        else:
            time.sleep(SERVICE_S * factor * random.lognormvariate(-0.045, 0.3))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [NAME.encode()]
"""

HEAD = """
[gateway]
listen = "127.0.0.1:{port}"
"""

SERVICE = """
[services.{name}]
app = "app:app"
kind = "wsgi"
route = "/{name}"
threads = {threads}
balance = "{balance}"
health = {{ outliers = {outliers} }}
{more}
"""


def service(name: str, balance: str, more: str = "", *, outliers: bool = False) -> str:
    more = more or f"replicas = {REPLICAS}"
    return SERVICE.format(name=name, threads=THREADS, balance=balance, more=more, outliers=str(outliers).lower())


def system(*services: str) -> Scratch:
    scratch = Scratch({"app.py": APP}, HEAD + "".join(services))
    # As root the replicas run as another user, who takes files away.
    scratch.directory.chmod(0o777)
    os.environ["SICK_IN"] = str(scratch.directory)
    return scratch


def load(
    scratch: Scratch, path: str, rate_per_s: float, duration_s: float, seed: int, start_at: float = 0.0
) -> History:
    async def run() -> History:
        target = await resolve_target(scratch.url)
        plan = Plan(
            url=scratch.url,
            rate_per_s=rate_per_s,
            duration_s=duration_s,
            run_id=f"r{time.monotonic_ns()}",
            write_share=0.0,
            seed=seed,
            workload=reads_of([path]),
        )
        return await run_load_apart(plan, target, start_at=start_at or time.monotonic() + START_S)

    return asyncio.run(run())


def p99_ms(operations: Sequence[Operation]) -> float:
    latencies = sorted(one.latency_s * 1000 for one in operations)
    return round(latencies[min(len(latencies) - 1, int(0.99 * len(latencies)))], 1) if latencies else 0.0


# Frozen

FREEZE_EVERY_S = 6.0
FREEZE_RATE_PER_S = 100.0
FREEZE_WINDOW_S = 0.5


def measure_frozen(repetitions: int) -> dict[str, Any]:
    """SIGSTOP of one of four replicas, again and again under one load of repeatable requests."""
    count = repetitions or 12
    with system(service("web", "round-robin")) as scratch:
        scratch.up()
        wait_for("ready", lambda: len(scratch.replicas("web")) == REPLICAS)
        start_at = time.monotonic() + START_S + 0.5
        moments: list[float] = []
        outs: list[float] = []
        replaced: list[float] = []

        def freeze() -> None:
            for number in range(count):
                time.sleep(max(0.0, start_at + 4.0 + number * FREEZE_EVERY_S - time.monotonic()))
                victim = scratch.replicas("web")[number % REPLICAS]
                moments.append(time.monotonic())
                os.killpg(victim["pid"], signal.SIGSTOP)
                outs.append(wait_for("out", lambda number=number: _is_out(scratch, number % REPLICAS + 1), poll_s=0.01))  # type: ignore[misc]
                replaced.append(
                    time.monotonic() - moments[-1] + wait_for("replaced", lambda one=victim: _is_new(scratch, one))  # type: ignore[misc]
                )

        async def both() -> History:
            task = asyncio.create_task(asyncio.to_thread(freeze))
            history = await asyncio.to_thread(
                load, scratch, "/web", FREEZE_RATE_PER_S, 5.0 + count * FREEZE_EVERY_S, 1, start_at
            )
            await task
            return history

        history = asyncio.run(both())
    calm = [one for one in history.operations if one.intended_at < start_at + 4.0]
    limit_ms = 2 * p99_ms(calm)
    return {
        "requests": len(history.operations),
        "failed": sum(one.outcome is not Outcome.OK for one in history.operations),
        "out_s": distribution(outs),
        "replaced_s": distribution(replaced),
        "p99_calm_ms": p99_ms(calm),
        "p99_normal_again_s": distribution([_normal_after_s(history, moment, limit_ms) for moment in moments]),
        "worst_latency_ms": distribution([_worst_ms(history, moment) for moment in moments], 0),
        "doubts": list(summarize(history).doubts),
    }


def _is_out(scratch: Scratch, slot: int) -> bool:
    """HAProxy sends it nothing any more: asked itself, because the status is up to half a second old."""
    seen = asyncio.run(RuntimeApi(scratch.paths.sockets / "gateway.sock").observe()).servers[f"web/r{slot}"]
    return not seen.is_up or seen.state is not ServerState.READY


def _of(scratch: Scratch, name: str) -> dict[str, Any]:
    return next(one for one in scratch.replicas("web") if one["id"] == name)


def _is_new(scratch: Scratch, old: dict[str, Any]) -> bool:
    now = _of(scratch, old["id"])
    return bool(now["state"] == "ready" and now["pid"] != old["pid"])


def _normal_after_s(history: History, moment: float, limit_ms: float) -> float:
    """From the moment until the beginning of the first half second of requests after which all have a good p99."""
    edges = [moment + index * FREEZE_WINDOW_S for index in range(int(FREEZE_EVERY_S / FREEZE_WINDOW_S))]
    bad = [
        until - moment
        for since, until in pairwise(edges)
        if p99_ms([one for one in history.operations if since <= one.intended_at < until]) > limit_ms
    ]
    return max(bad, default=0.0)


def _worst_ms(history: History, moment: float) -> float:
    within = [one.latency_s for one in history.operations if moment - 1 <= one.intended_at < moment + FREEZE_EVERY_S]
    return 1000 * max(within, default=0.0)


# Balancing

WAYS = ("round-robin", "least-connections", "adaptive")
ROUND_S = 8.0
SETTLE_S = 40.0
"""Adaptive weights take about half a minute; the others get the same load meanwhile."""


def _compare(more: str, rate_per_s: float, rounds: int) -> dict[str, Any]:
    """The same replicas three times in one system, loaded in turns."""
    with system(*(service(way, way, more) for way in WAYS)) as scratch:
        scratch.up()
        wait_for("ready", lambda: all(_all_ready(scratch, way) for way in WAYS))
        load(scratch, "/adaptive", rate_per_s, SETTLE_S, seed=99)
        found: dict[str, list[History]] = {way: [] for way in WAYS}
        for number in range(rounds):
            for way in WAYS:
                found[way].append(load(scratch, f"/{way}", rate_per_s, ROUND_S, seed=number + 1))
        first = {way: _share_of_first(scratch, way) for way in WAYS}
    return {
        way: {
            "p50_ms": distribution([summarize(one).reads.latency_all.p50_ms for one in histories], 1),
            "p99_ms": distribution([p99_ms(one.operations) for one in histories], 1),
            "failed": sum(summarize(one).reads.failed for one in histories),
            "share_of_the_first_replica": first[way],
            "doubts": sorted({doubt for one in histories for doubt in summarize(one).doubts}),
        }
        for way, histories in found.items()
    }


def _all_ready(scratch: Scratch, name: str) -> bool:
    states = [replica["state"] for replica in scratch.replicas(name)]
    return states == ["ready"] * REPLICAS


def _share_of_first(scratch: Scratch, name: str) -> float:
    requests = [int(replica["requests"]) for replica in scratch.replicas(name)]
    return round(requests[0] / max(1, sum(requests)), 4)


def measure_slow(repetitions: int) -> dict[str, Any]:
    """One of four replicas takes five times as long, for good: a slower machine, say."""
    more = f'weights = [{{ env = {{ FACTOR = "{SLOWER}" }} }}, {{ replicas = {REPLICAS - 1} }}]'
    return {"rate_per_s": 80, **_compare(more, 80.0, repetitions or 5)}


def measure_equal(repetitions: int) -> dict[str, Any]:
    """Four replicas that are alike, at nine tenths of what they carry."""
    rate_per_s = 0.9 * REPLICAS * THREADS / SERVICE_S
    return {"rate_per_s": rate_per_s, **_compare("", rate_per_s, repetitions or 5)}


def measure_busy_core(repetitions: int) -> dict[str, Any]:
    """Each request is 5 ms of processor. One replica is on a core with three busy processes, three are on another."""
    cores = sorted(os.sched_getaffinity(0))
    busy, calm = cores[-1], cores[0]
    env = 'BURN = "1", SERVICE_S = "0.005"'
    more = (
        f'weights = [{{ env = {{ {env}, CPU = "{busy}" }} }}, '
        f'{{ replicas = {REPLICAS - 1}, env = {{ {env}, CPU = "{calm}" }} }}]'
    )
    with neighbours(busy, 3):
        return {"rate_per_s": 40, **_compare(more, 40.0, repetitions or 5)}


@contextmanager
def neighbours(core: int, count: int) -> Iterator[None]:
    burning = [multiprocessing.Process(target=_burn, args=(core,), daemon=True) for _ in range(count)]
    for process in burning:
        process.start()
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.join()


def _burn(core: int) -> None:
    os.sched_setaffinity(0, {core})
    while True:
        pass


# Replacement

SICK_AT_S = 14.0
"""Beyond the ten seconds in which a new replica is not judged."""
WATCHED_S = 34.0


def measure_replaced(repetitions: int) -> dict[str, Any]:
    """A process becomes five times slower while it serves; a new one would not be. With replacement, and without."""
    results: dict[str, Any] = {}
    for way, outliers in (("round-robin", True), ("round-robin", False)):
        runs = [_become_sick(way, seed, outliers=outliers) for seed in range(1, (repetitions or 3) + 1)]
        results[f"{way}_outliers_{'on' if outliers else 'off'}"] = {
            "p99_before_ms": distribution([run["before_ms"] for run in runs], 1),
            "p99_of_the_last_8_s_ms": distribution([run["last_ms"] for run in runs], 1),
            "noticed_s": distribution([run["noticed_s"] for run in runs if "noticed_s" in run], 1),
            "failed": sum(run["failed"] for run in runs),
        }
    return results


def _become_sick(balance: str, seed: int, *, outliers: bool) -> dict[str, float]:
    with system(service("web", balance, outliers=outliers)) as scratch:
        scratch.up()
        wait_for("ready", lambda: _all_ready(scratch, "web"))
        start_at = time.monotonic() + START_S
        sick: list[float] = []

        def fall_sick() -> None:
            time.sleep(max(0.0, start_at + SICK_AT_S - time.monotonic()))
            sick.append(time.time())
            (scratch.directory / "sick-web-2").touch()

        async def both() -> History:
            task = asyncio.create_task(asyncio.to_thread(fall_sick))
            history = await asyncio.to_thread(load, scratch, "/web", 80.0, WATCHED_S, seed, start_at)
            await task
            return history

        history = asyncio.run(both())
        events = [event for event in scratch.events() if event["kind"] == "replica_sick"]
    before = [one for one in history.operations if one.intended_at < start_at + SICK_AT_S]
    last = [one for one in history.operations if one.intended_at >= start_at + WATCHED_S - 8]
    figures = {
        "before_ms": p99_ms(before),
        "last_ms": p99_ms(last),
        "failed": float(sum(one.outcome is not Outcome.OK for one in history.operations)),
    }
    if events:
        figures["noticed_s"] = events[0]["at_s"] - sick[0]
    return figures
