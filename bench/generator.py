"""Whether the load generator can be believed: how fast it is, whether it agrees with wrk, and what wrk hides.

Three questions. Does it keep its times at thousands of requests a second from one core? Does it measure what wrk
measures where both can be right, on a server that takes 20 ms? And when that server stands still for a second, what
does each of them say about it? wrk's connections wait, so it asks nobody else meanwhile and sees one slow answer for
each. It makes up for those that it did not ask by a formula, which knows nothing of the crowd that is there when the
server goes on; in an open loop the users go on coming, and that crowd is real.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from figures import distribution
from gateways_backends import Backend, Backends
from gateways_load import START_S, run_wrk, wrk, wrk_latency_ms, wrk_per_s
from gateways_proxy import PROXY_CORE, on_core

from colonnade.core import processes
from colonnade.core.ports import PortAllocator
from colonnade.drill.load.apart import run_load_apart
from colonnade.drill.load.arrivals import Arrivals
from colonnade.drill.load.history import History
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.summary import distribution as spread
from colonnade.drill.load.summary import summarize
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import reads_of

RATES_PER_S = (1_000, 3_000, 4_000, 5_000)
DURATION_S = 10
CONNECTIONS = 8
"""Of wrk on the server of 20 ms: about 390 requests a second, of which it is far from full."""
STALL_S = 1.0
SLOW_MS = 100.0
"""Five times what an answer takes: whoever waits longer has met the stall, or the crowd after it."""
REPETITIONS = 3


def measure(repetitions: int) -> dict[str, Any]:
    """Rates with the generator's own lag; latencies beside wrk's, steady and with a stall."""
    wrk()  # says so at once where there is none
    with tempfile.TemporaryDirectory(prefix="colonnade-bench-") as name:
        return asyncio.run(_measure(Path(name), repetitions or REPETITIONS))


async def _measure(directory: Path, repetitions: int) -> dict[str, Any]:
    ports = PortAllocator(str(directory))
    async with Backends(directory, ports, is_slow=False) as backends:
        fast = backends.running[0]
        speed = {str(rate): await _speed(fast, rate, repetitions) for rate in RATES_PER_S}
    async with Backends(directory, ports, is_slow=True) as backends:
        slow = backends.running[0]
        steady = [await _beside_wrk(slow, stall=False) for _ in range(repetitions)]
        stalled = [await _beside_wrk(slow, stall=True) for _ in range(repetitions)]
    return {"static_server": speed, "server_of_20_ms": steady, "server_that_stalls_for_1_s": stalled}


async def _speed(backend: Backend, rate_per_s: int, repetitions: int) -> dict[str, Any]:
    summaries = [summarize(await _load(backend, rate_per_s, Arrivals.POISSON)) for _ in range(repetitions)]
    return {
        "sent_per_s": distribution([each.sent_rate_per_s for each in summaries], 0),
        "lag_ms_p99": distribution([each.lag.p99_ms for each in summaries]),
        "lag_ms_max": distribution([each.lag.max_ms for each in summaries]),
        "latency_ms_p99": distribution([each.reads.latency_ok.p99_ms for each in summaries]),
        "core_busy": distribution([each.cpu_s / each.duration_s for each in summaries], 2),
        "failed": sum(each.reads.intended - each.reads.ok for each in summaries),
        "doubts": sum(bool(each.doubts) for each in summaries),
    }


async def _beside_wrk(backend: Backend, *, stall: bool) -> dict[str, Any]:
    """wrk first, which finds its own rate; then the same rate, planned."""

    async def break_in(lead_s: float) -> None:
        if stall:
            await asyncio.sleep(lead_s + DURATION_S / 2)
            await _stand_still(backend)

    with on_core(PROXY_CORE):
        said = (await _with(run_wrk(backend.port, CONNECTIONS, DURATION_S), lambda: break_in(0.0)))[0]
    per_s = wrk_per_s(said)
    loading = _load(backend, per_s, Arrivals.CONSTANT)
    history = (await _with(loading, lambda: break_in(START_S)))[0]
    answered = [each for each in history.operations if each.sent_at is not None]
    ours, uncorrected = (
        spread(each.done_at - at for each in answered if (at := getattr(each, moment)) is not None)
        for moment in ("intended_at", "sent_at")
    )
    figures: dict[str, Any] = {"per_s": round(per_s), "wrk_ms": wrk_latency_ms(said)}
    for name, found in (("ours_ms", ours), ("ours_from_sent_ms", uncorrected)):
        told = {"p50": found.p50_ms, "p90": found.p90_ms, "p99": found.p99_ms, "max": found.max_ms}
        figures[name] = {share: round(value, 2) for share, value in told.items()}
    figures["ours_share_slow"] = round(sum(each.latency_s > SLOW_MS / 1e3 for each in answered) / len(answered), 4)
    figures["ours_to_wrk"] = {
        share: round(figures["ours_ms"][share] / figures["wrk_ms"][share], 3) for share in ("p50", "p90", "p99")
    }
    figures["doubts"] = summarize(history).doubts
    return figures


async def _load(backend: Backend, rate_per_s: float, arrivals: Arrivals) -> History:
    """From a process on one core, the server's being the other."""
    plan = Plan(
        url=f"http://{backend.address}",
        rate_per_s=rate_per_s,
        duration_s=DURATION_S,
        run_id="bench",
        write_share=0.0,
        workload=reads_of(["/"]),
        arrivals=arrivals,
    )
    target = Target(backend.address, "127.0.0.1", backend.port)
    with on_core(PROXY_CORE):
        return await run_load_apart(plan, target, start_at=time.monotonic() + START_S)


async def _with(load: Awaitable[Any], meanwhile: Callable[[], Awaitable[None]]) -> tuple[Any, None]:
    return await asyncio.gather(load, meanwhile())


async def _stand_still(backend: Backend) -> None:
    """The whole server, frozen and let go again."""
    pids = list(processes.group_members(backend.process.pid))
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(STALL_S)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
