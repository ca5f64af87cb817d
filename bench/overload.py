"""Three times more than a service can do, for a minute: what it still does, how late that is, how soon it is over.

Twice: with an application that is bounded by its places (each request waits 50 ms, as for a database), and with one
that computes. First the capacity is measured, then three times its peak is sent, then half of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from blog import Scratch

from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.ledger import Operation, Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.summary import percentile, summarize
from colonnade.drill.load.target import Target, resolve_target
from colonnade.drill.load.workload import reads_of

OBJECTIVE_S = 0.25

RATE_PER_S = 30.0
"""The first rate; it is doubled until less than SATURATED of what is asked is answered in time."""
SATURATED = 0.9
BETWEEN = (1.25, 1.5, 1.75)
"""Times the last rate that was below: the peak is the most that is answered in time at any rate."""
STEP_S = 6.0

OVERLOAD = 3.0
OVERLOAD_S = 60.0
AFTER, AFTER_S = 0.5, 15.0
SETTLING_S = 1.0
"""Left out at the beginning of a step."""

APP = """
import time

def wait():
    time.sleep(0.05)

def compute():
    end = time.thread_time() + 0.01
    while time.thread_time() < end:
        pass

def app(environ, start_response):
    if environ["PATH_INFO"] != "/readyz":
        {work}()
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
balance = "least-connections"
replicas = 2
threads = 2
slo = { p99 = "250ms" }
"""


def measure(repetitions: int) -> dict[str, Any]:
    del repetitions
    return {"bounded_by_places": _measure("wait"), "bounded_by_processor": _measure("compute")}


def _measure(work: str) -> dict[str, Any]:
    with Scratch({"app.py": APP.replace("{work}", work)}, DECLARATION) as scratch:
        scratch.up()
        return asyncio.run(_story(scratch.url))


async def _story(url: str) -> dict[str, Any]:
    target = await resolve_target(url)
    plan = Plan(
        url=url,
        rate_per_s=RATE_PER_S,
        duration_s=STEP_S,
        run_id=f"r{time.monotonic_ns()}",
        write_share=0.0,
        workload=reads_of(["/"]),
    )
    in_time_per_s: dict[float, float] = {}

    async def send(rate_per_s: float) -> bool:
        """Whether this rate was below the capacity."""
        history = await run_load_apart(replace(plan, rate_per_s=rate_per_s), target)
        begin, end = history.started_at + SETTLING_S, history.started_at + STEP_S
        in_time_per_s[rate_per_s] = _in_time_per_s(history.operations, begin, end)
        # Beside what was asked for in this time, not beside the rate: arrivals are by chance.
        asked = sum(begin <= each.intended_at < end for each in history.operations)
        return in_time_per_s[rate_per_s] * (end - begin) >= SATURATED * asked

    rate_per_s = RATE_PER_S
    while await send(rate_per_s):
        rate_per_s *= 2
    for times in BETWEEN:
        await send(rate_per_s / 2 * times)
    peak_per_s = max(in_time_per_s.values())
    return {
        "in_time_per_s_by_rate": {f"{rate:g}": round(found, 1) for rate, found in sorted(in_time_per_s.items())},
        "peak_per_s": round(peak_per_s, 1),
        **await _overloaded(plan, target, peak_per_s),
    }


async def _overloaded(plan: Plan, target: Target, peak_per_s: float) -> dict[str, Any]:
    """Two loads that follow each other without a gap, each from a process of its own."""
    begin = time.monotonic() + START_S
    end = begin + OVERLOAD_S
    much = replace(plan, rate_per_s=OVERLOAD * peak_per_s, duration_s=OVERLOAD_S)
    little = replace(plan, rate_per_s=AFTER * peak_per_s, duration_s=AFTER_S, seed=2)
    during, after = await asyncio.gather(
        run_load_apart(much, target, start_at=begin), run_load_apart(little, target, start_at=end)
    )
    accepted = sorted(each.latency_s for each in during.operations if each.outcome is Outcome.OK)
    goodput_per_s = _in_time_per_s(during.operations, begin, end)
    by_second = [_in_time_per_s(during.operations, begin + s, begin + s + 1) for s in range(int(OVERLOAD_S))]
    bad = [each for each in after.operations if not _is_in_time(each)]
    return {
        "sent_per_s": round(len(during.operations) / OVERLOAD_S, 1),
        "goodput_per_s": round(goodput_per_s, 1),
        "goodput_of_peak": round(goodput_per_s / peak_per_s, 3),
        "goodput_of_peak_in_the_worst_second": round(min(by_second) / peak_per_s, 3),
        "accepted": len(accepted),
        "accepted_ms_p50": _ms(accepted, 0.5),
        "accepted_ms_p99": _ms(accepted, 0.99),
        "accepted_ms_max": _ms(accepted, 1.0),
        "accepted_late": sum(latency_s > OBJECTIVE_S for latency_s in accepted),
        "other_answers": _errors(during.operations),
        "normal_after_s": round(max([each.done_at - end for each in bad], default=0.0), 2),
        "after_requests": len(after.operations),
        "after_not_in_time": len(bad),
        "after_errors": _errors(after.operations),
        "doubts": [*summarize(during).doubts, *summarize(after).doubts],
    }


def _is_in_time(operation: Operation) -> bool:
    return operation.outcome is Outcome.OK and operation.latency_s <= OBJECTIVE_S


def _in_time_per_s(operations: Sequence[Operation], begin: float, end: float) -> float:
    return sum(begin <= each.intended_at < end and _is_in_time(each) for each in operations) / (end - begin)


def _errors(operations: Sequence[Operation]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in operations:
        if each.error is not None:
            counts[str(each.error)] = counts.get(str(each.error), 0) + 1
    return counts


def _ms(ascending: Sequence[float], share: float) -> float:
    return round(percentile(ascending, share) * 1e3, 1) if ascending else 0.0
