"""A step in load on an application that is bounded by its places: how soon it is decided, and how soon it serves.

The application waits 50 ms for each request, as for a database, so that a replica's places and not the processor are
what runs out. The load jumps to four times as much; then it falls back.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

from blog import Scratch
from figures import distribution

from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.ledger import Operation, Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.summary import percentile
from colonnade.drill.load.target import resolve_target
from colonnade.drill.load.workload import reads_of

RUNS = 3

CALM_PER_S, STEP_PER_S = 40.0, 160.0
CALM_S, STEP_S, AFTER_S = 15.0, 25.0, 15.0
OBJECTIVE_S = 0.25

APP = """
import time

def app(environ, start_response):
    if environ["PATH_INFO"] != "/readyz":
        time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""

DECLARATION = """
[gateway]
listen = "127.0.0.1:{port}"
[services.web]
app = "app:app"
kind = "wsgi"
route = "/"
threads = 2
queue_max = 2000
queue_timeout = "10s"
balance = "least-connections"
replicas = { min = 2, max = 12 }
slo = { p99 = "250ms" }
[services.web.scaling]
down_after = "10s"
"""


def measure(repetitions: int) -> dict[str, Any]:
    """Each run is a system of its own."""
    runs = [_run() for _ in range(repetitions or RUNS)]
    return {
        "decided_s": distribution([run["decided_s"] for run in runs]),
        "serving_s": distribution([run["serving_s"] for run in runs]),
        "objective_met_again_s": distribution([run["objective_met_again_s"] for run in runs]),
        "reversals": distribution([run["reversals"] for run in runs], 0),
        "requests": sum(run["requests"] for run in runs),
        "failed": sum(run["failed"] for run in runs),
        "runs": runs,
    }


def _run() -> dict[str, Any]:
    with Scratch({"app.py": APP}, DECLARATION) as scratch:
        scratch.up()
        time.sleep(2.0)
        # Both clocks are this machine's; the events carry the wall's.
        wall_of = time.time() - time.monotonic()
        step_at, operations = asyncio.run(_load(scratch))
        time.sleep(12.0)
        events = [event for event in scratch.events() if event["kind"] in ("service_scaled", "replica_ready")]
        reloads = scratch.status()["gateway"]["reloads"]
    decisions = [event for event in events if event["kind"] == "service_scaled"]
    moments = [(event["at_s"] - wall_of - step_at, event) for event in decisions]
    ups = [(at, event) for at, event in moments if at >= 0]
    counts = [2, *(count_in(event["message"]) for event in decisions)]
    steps = [after - before for before, after in pairwise(counts)]
    ready_after = [event["at_s"] - wall_of - step_at for event in events if event["kind"] == "replica_ready"]
    in_step = [at for at in ready_after if 0 <= at <= STEP_S]
    failed = [operation for operation in operations if operation.outcome is not Outcome.OK]
    return {
        "decided_s": round(ups[0][0], 2) if ups else float("inf"),
        "serving_s": round(in_step[0], 2) if in_step else float("inf"),
        "all_serving_s": round(in_step[-1], 2) if in_step else float("inf"),
        "objective_met_again_s": _met_again_s(operations, step_at),
        "reversals": float(sum((one > 0) != (next_one > 0) for one, next_one in pairwise(steps))),
        "counts": counts,
        "p99_ms_calm": _p99_ms(operations, step_at - CALM_S + 3, step_at),
        "p99_ms_end_of_step": _p99_ms(operations, step_at + STEP_S - 10, step_at + STEP_S),
        "requests": len(operations),
        "failed": len(failed),
        "reloads": reloads,
        "decisions": [f"{at:+.2f} s {event['reason']}: {event['message']}" for at, event in moments],
    }


def count_in(message: str) -> int:
    """Of "web goes from 2 to 5 replicas: …" the 5."""
    return int(message.split(" to ")[1].split()[0])


async def _load(scratch: Scratch) -> tuple[float, list[Operation]]:
    """Three loads that follow each other without a gap, each from a process of its own; (moment of the step, all)."""
    target = await resolve_target(scratch.url)
    first = Plan(
        url=scratch.url,
        rate_per_s=CALM_PER_S,
        duration_s=CALM_S,
        run_id=f"r{time.monotonic_ns()}",
        write_share=0.0,
        workload=reads_of(["/"]),
    )
    start_at = time.monotonic() + START_S
    phases = [
        (first, start_at),
        (replace(first, rate_per_s=STEP_PER_S, duration_s=STEP_S, seed=2), start_at + CALM_S),
        (replace(first, duration_s=AFTER_S, seed=3), start_at + CALM_S + STEP_S),
    ]
    histories = await asyncio.gather(*(run_load_apart(plan, target, start_at=at) for plan, at in phases))
    return start_at + CALM_S, [operation for history in histories for operation in history.operations]


def _met_again_s(operations: list[Operation], step_at: float) -> float:
    """Seconds after the step from which on every second of it was within the objective (p99 of that second)."""
    last_bad = 0.0
    for second in range(int(STEP_S)):
        begin = step_at + second
        if _p99_ms(operations, begin, begin + 1) > OBJECTIVE_S * 1e3:
            last_bad = second + 1.0
    return last_bad


def _p99_ms(operations: list[Operation], begin: float, end: float) -> float:
    found = sorted(each.latency_s for each in operations if begin <= each.intended_at < end)
    return round(percentile(found, 0.99) * 1e3, 1) if found else 0.0
