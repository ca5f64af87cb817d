"""The load on a gateway: as fast as it goes by wrk, at a fixed rate by our own generator; on the caller's core."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateways_proxy import OTHERS_CORE, PROXY_CORE, cpu_s

from colonnade.drill.load.apart import run_load_apart
from colonnade.drill.load.arrivals import Arrivals
from colonnade.drill.load.history import History
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.summary import summarize
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import reads_of

CONNECTIONS = 32
"""Enough that the gateway always has something to do, and at most 11 at each of three backends."""

HEADERS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=eyJ1c2VyIjoxfQ.aVZ0dQ.mZ3J2b0x1c2VyX3Nlc3Npb24",
)
"""What a browser sends with each request: a gateway reads all of it."""

START_S = 1.0
"""How far ahead a run at a fixed rate begins: a Python process with its imports is up by then."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One run under one kind of load."""

    requests: int
    failed: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Of the gateway's processes, per request."""
    proxy_core_busy: float
    others_core_busy: float
    """Shares of the time: where the gateway's is 1 and the other is below, the gateway is the bottleneck."""
    is_doubtful: bool = False
    """The load generator was late: its latencies are not to be believed."""


def wrk() -> str:
    """Raises SystemExit when there is none."""
    if (found := shutil.which("wrk")) is None:
        raise SystemExit("wrk is not installed here: it is a package of most distributions (`apt-get install wrk`)")
    return found


async def as_fast_as_it_goes(port: int, pids: Callable[[], list[int]], duration_s: int) -> Cost:
    """A closed loop over kept connections. wrk counts in whole seconds."""
    before, began = _Clocks.read(pids()), time.monotonic()
    said = await run_wrk(port, CONNECTIONS, duration_s, HEADERS)
    after, took_s = _Clocks.read(pids()), time.monotonic() - began
    return _cost_of(said, before, after, took_s)


async def run_wrk(port: int, connections: int, duration_s: int, headers: Sequence[str] = ()) -> str:
    """What wrk says at its end. When cancelled, it is killed."""
    argv = [wrk(), "-t1", f"-c{connections}", f"-d{duration_s}s", "--latency", "--timeout", "5s"]
    for header in headers:
        argv += ["-H", header]
    process = await asyncio.create_subprocess_exec(
        *argv, f"http://127.0.0.1:{port}/", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        return (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def wrk_latency_ms(said: str) -> dict[str, float]:
    """The percentiles that wrk prints, and its slowest."""
    return {
        **{f"p{share}": _milliseconds(_found(rf"(?m)^\s+{share}%\s+(\S+)", said)) for share in (50, 90, 99)},
        "max": _milliseconds(_found(r"Latency\s+\S+\s+\S+\s+(\S+)", said)),
    }


def wrk_per_s(said: str) -> float:
    return float(_found(r"Requests/sec:\s+([\d.]+)", said))


async def at_a_rate(port: int, pids: Callable[[], list[int]], rate_per_s: float, duration_s: float) -> Cost:
    """An open loop; latency counts from the intended time. What the gateway's checks cost is in its CPU."""
    clocks: list[_Clocks] = []

    async def note(_: float) -> None:
        clocks.append(_Clocks.read(pids()))
        await asyncio.sleep(duration_s)
        clocks.append(_Clocks.read(pids()))

    history = await under_load(port, rate_per_s, duration_s, note)
    summary = summarize(history)
    reads = summary.reads
    return Cost(
        requests=reads.intended,
        failed=reads.intended - reads.ok,
        per_s=summary.sent_rate_per_s,
        p50_ms=reads.latency_ok.p50_ms,
        p99_ms=reads.latency_ok.p99_ms,
        cpu_us=1e6 * (clocks[1].process_s - clocks[0].process_s) / reads.intended,
        proxy_core_busy=clocks[1].busy(clocks[0], PROXY_CORE, duration_s),
        others_core_busy=clocks[1].busy(clocks[0], OTHERS_CORE, duration_s),
        is_doubtful=bool(summary.doubts),
    )


async def under_load(
    port: int, rate_per_s: float, duration_s: float, meanwhile: Callable[[float], Awaitable[None]]
) -> History:
    """What became of each request; `meanwhile` is called as the load begins, with the moment of it."""
    plan = Plan(
        url=f"http://127.0.0.1:{port}",
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        run_id=uuid.uuid4().hex[:12],
        write_share=0.0,
        workload=reads_of(["/"]),
        arrivals=Arrivals.POISSON,
    )
    start_at = time.monotonic() + START_S

    async def act() -> None:
        await asyncio.sleep(start_at - time.monotonic())
        await meanwhile(start_at)

    target = Target(f"127.0.0.1:{port}", "127.0.0.1", port)
    async with asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(run_load_apart(plan, target, start_at=start_at))
        tasks.create_task(act())
    return loading.result()


@dataclass(frozen=True, slots=True)
class _Clocks:
    process_s: float
    cores_s: dict[int, float]

    @staticmethod
    def read(pids: Sequence[int]) -> _Clocks:
        return _Clocks(cpu_s(pids), {core: _busy_s(core) for core in (PROXY_CORE, OTHERS_CORE)})

    def busy(self, before: _Clocks, core: int, took_s: float) -> float:
        return (self.cores_s[core] - before.cores_s[core]) / took_s


def _busy_s(core: int) -> float:
    """All but idling and waiting for a disk, in /proc/stat."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    fields = next(line.split()[1:] for line in lines if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _cost_of(said: str, before: _Clocks, after: _Clocks, took_s: float) -> Cost:
    requests = int(_found(r"(\d+) requests in", said))
    failed = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", said))
    for line in re.findall(r"Socket errors: (.*)", said):
        failed += sum(int(number) for number in re.findall(r"\d+", line))
    latency_ms = wrk_latency_ms(said)
    return Cost(
        requests=requests,
        failed=failed,
        per_s=wrk_per_s(said),
        p50_ms=latency_ms["p50"],
        p99_ms=latency_ms["p99"],
        cpu_us=1e6 * (after.process_s - before.process_s) / requests,
        proxy_core_busy=after.busy(before, PROXY_CORE, took_s),
        others_core_busy=after.busy(before, OTHERS_CORE, took_s),
    )


def _found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    if match is None:
        raise RuntimeError(f"wrk did not say what was expected: {said[-500:]}")
    return match[1]


def _milliseconds(text: str) -> float:
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
