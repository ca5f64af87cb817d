"""What clients notice when a backend is killed, and when one is replaced: requests that failed, under a steady load."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateways_backends import Backends
from gateways_load import under_load
from gateways_proxy import Place, Proxy, until_served_by

from colonnade.drill.load.ledger import Outcome
from colonnade.drill.load.summary import summarize

RATE_PER_S = 300.0
DURATION_S = 5.0
CHANGE_AFTER_S = 1.5

Change = Callable[[Proxy, Backends], Awaitable[float]]
"""Does it, and returns the monotonic moment at which it began."""


async def kill(proxy: Proxy, backends: Backends) -> float:
    del proxy
    at = time.monotonic()
    await backends.kill(backends.running[1])
    return at


async def replace(proxy: Proxy, backends: Backends) -> float:
    """The new one is up before the old one goes, and the old one gets SIGTERM once the gateway is done with it."""
    new = await backends.start()
    at = time.monotonic()
    await proxy.replace(1, new.address)
    old, backends.running[1] = backends.running[1], new
    await backends.stop(old)
    return at


async def change_under_load(place: Place, proxy: Proxy, backends: Backends, change: Change) -> dict[str, Any]:
    """One round. Leaves three backends, all of which the gateway was seen to use again."""
    began_at: list[float] = []

    async def act(start_at: float) -> None:
        await asyncio.sleep(start_at + CHANGE_AFTER_S - time.monotonic())
        began_at.append(await change(proxy, backends))

    history = await under_load(place.port, RATE_PER_S, DURATION_S, act)
    summary = summarize(history)
    if backends.running[1].process.has_exited():
        backends.running[1] = await backends.start(backends.running[1].port)
    await until_served_by(place.url, backends.names())
    at = began_at[0]
    reads = summary.reads
    return {
        "requests": reads.intended,
        "failed": reads.intended - reads.ok,
        "sent_twice": reads.retried,
        "in_flight": sum(o.sent_at is not None and o.sent_at < at < o.done_at for o in history.operations),
        "slowest_ms": round(reads.latency_all.max_ms, 1),
        "errors": dict(Counter(o.error or "" for o in history.operations if o.outcome is not Outcome.OK)),
        "is_doubtful": bool(summary.doubts),
    }


def losses(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of a round that is doubtful, because the generator was late, the counts still hold, the latencies do not."""
    errors: Counter[str] = Counter()
    for found in rounds:
        errors.update(found["errors"])
    failed = sorted(found["failed"] for found in rounds)
    slowest = sorted(found["slowest_ms"] for found in rounds)
    return {
        "n": len(rounds),
        "requests": sum(found["requests"] for found in rounds),
        "failed": sum(failed),
        "failed_per_change": failed,
        "errors": dict(errors),
        "sent_twice": sum(found["sent_twice"] for found in rounds),
        "in_flight_at_it": [found["in_flight"] for found in rounds],
        "doubtful_rounds": sum(found["is_doubtful"] for found in rounds),
        "slowest_ms": {"median": slowest[len(slowest) // 2], "worst": slowest[-1]},
    }
