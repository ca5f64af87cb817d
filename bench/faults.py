"""kill -9 of each part under an open load: what failed, what was lost, how long it took to be whole again."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from blog import Blog, kill, wait_for
from figures import distribution

from colonnade.core.clock import SystemClock
from colonnade.drill.checkers.settled import check_settled
from colonnade.drill.checkers.writes import WriteCheck
from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Kind, Operation, Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.readback import held_over_sql, known_ids_over_http
from colonnade.drill.load.summary import gap_around, in_flight_at, summarize
from colonnade.drill.load.target import resolve_target
from colonnade.drill.load.workload import BLOG
from colonnade.system.client import ControlClient

RATE_PER_S = 100.0
WRITE_SHARE = 0.2
HELD_SQL = "SELECT id, title FROM posts WHERE title LIKE %s"


@dataclass(frozen=True, slots=True)
class Run:
    """One load with what was done meanwhile: moments of the faults, and what was measured about them."""

    history: History
    check: WriteCheck
    moments: list[float]
    measured: list[dict[str, float]]

    def of(self, kind: Kind, outcome: Outcome) -> list[Operation]:
        return [item for item in self.history.operations if item.kind is kind and item.outcome is outcome]


def run_load(
    blog: Blog, duration_s: float, script: Callable[[float, Blog], tuple[list[float], list[dict[str, float]]]]
) -> Run:
    """Load for `duration_s` while `script(start, blog)` breaks things; then the check of every write."""

    async def run() -> Run:
        target = await resolve_target(blog.url)
        plan = Plan(
            url=blog.url,
            rate_per_s=RATE_PER_S,
            duration_s=duration_s,
            run_id=f"r{time.monotonic_ns()}",
            write_share=WRITE_SHARE,
        )
        ids = await known_ids_over_http(target, BLOG)
        start_at = time.monotonic() + START_S
        script_task = asyncio.create_task(asyncio.to_thread(script, start_at, blog))
        history = await run_load_apart(plan, target, known_ids=ids, start_at=start_at)
        moments, measured = await script_task
        check = await check_settled(
            history.operations, lambda: held_over_sql(blog.dsn(), HELD_SQL, plan.run_id), SystemClock()
        )
        return Run(history, check, moments, measured)

    return asyncio.run(run())


def outcome(run: Run) -> dict[str, Any]:
    """What a sceptic asks first."""
    summary = summarize(run.history)
    return {
        "requests": len(run.history.operations),
        "reads_failed": len(run.of(Kind.READ, Outcome.FAILED)),
        "reads_failed_errors": sorted({f"{item.status} {item.error}" for item in run.of(Kind.READ, Outcome.FAILED)}),
        "writes_ok": len(run.of(Kind.WRITE, Outcome.OK)),
        "writes_failed": len(run.of(Kind.WRITE, Outcome.FAILED)),
        "writes_unknown": len(run.of(Kind.WRITE, Outcome.UNKNOWN)),
        "writes_unknown_errors": sorted(
            {f"{item.status} {item.error}" for item in run.of(Kind.WRITE, Outcome.UNKNOWN)}
        ),
        "verdict": run.check.verdict.value,
        "lost": len(run.check.lost),
        "doubled": len(run.check.doubled),
        "phantom": len(run.check.phantom),
        "in_flight_at_faults": [len(in_flight_at(run.history.operations, moment)) for moment in run.moments],
        "doubts": [str(doubt) for doubt in summary.doubts],
    }


FAULT_AT_S = 5.0
FAULT_EVERY_S = 8.0


def measure_each_fault(repetitions: int) -> dict[str, Any]:
    """A load of 30 s per part; each part is killed three times in it."""
    results: dict[str, Any] = {}
    with Blog() as blog:
        blog.up()
        for name, fault in FAULTS.items():

            def script(
                start_at: float, blog: Blog, fault: Callable[[Blog], tuple[float, dict[str, float]]] = fault
            ) -> Any:
                moments, measured = [], []
                for number in range(repetitions or 3):
                    time.sleep(max(0.0, start_at + FAULT_AT_S + number * FAULT_EVERY_S - time.monotonic()))
                    moment, figures = fault(blog)
                    moments.append(moment)
                    measured.append(figures)
                return moments, measured

            run = run_load(blog, FAULT_AT_S + FAULT_EVERY_S * (repetitions or 3) + 2, script)
            results[name] = {**outcome(run), "gaps_s": _gaps(run), **_merged(run.measured)}
    return results


def measure_scraped_kills(repetitions: int) -> dict[str, Any]:
    """The primary killed while somebody scrapes the dashboard once a second, and while nobody does."""
    return {
        "nobody_scrapes": measure_primary_kills(repetitions),
        "scraped_every_second": measure_primary_kills(repetitions, scraped_every_s=1.0),
    }


@contextmanager
def _scraping(url: str, every_s: float | None) -> Iterator[list[float]]:
    """Get /metrics again and again; the milliseconds that each took are in the list afterwards."""
    took_ms: list[float] = []
    ended = threading.Event()

    def scrape() -> None:
        while every_s is not None and not ended.wait(every_s):
            began_s = time.monotonic()
            try:
                with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
                    answer.read()
            except urllib.error.HTTPError:
                continue  # it has not looked yet
            took_ms.append(1000 * (time.monotonic() - began_s))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield took_ms
    finally:
        ended.set()
        thread.join()


def measure_primary_kills(repetitions: int, scraped_every_s: float | None = None) -> dict[str, Any]:
    """The primary's process killed again and again under one load; each time it must be back before the next."""
    count = repetitions or 20
    with Blog() as blog, ExitStack() as stack:
        blog.up()
        scrapes_ms = stack.enter_context(_scraping(blog.status()["dashboard"]["url"], scraped_every_s))

        def script(start_at: float, blog: Blog) -> Any:
            moments, measured = [], []
            time.sleep(max(0.0, start_at + 3 - time.monotonic()))
            for _ in range(count):
                moment, figures = _kill_primary(blog)
                moments.append(moment)
                measured.append(figures)
                time.sleep(max(0.0, moment + 6.0 - time.monotonic()))
            return moments, measured

        run = run_load(blog, 5 + count * 7.5, script)
        last = blog.status()["database"]
        return {
            **outcome(run),
            "gap": _gaps(run),
            **_merged(run.measured),
            "scrape_ms": distribution(scrapes_ms, 1),
            "nodes_afterwards": [f"{node['name']} {node['role']} {node['sync_state']}" for node in last["nodes"]],
        }


SCALING_ROUND_S = 5.0
"""Three changes of the number of backends: four starts, and as many ends."""


def measure_scaling(repetitions: int) -> dict[str, Any]:
    """backend 3 → 5 → 2 → 3 under load, again and again: nothing fails, HAProxy is never reloaded. Three rounds;
    `-n 57` makes more than 180 changes in five minutes, each as soon as those of the last one serve or are gone."""
    duration_s = 6 + SCALING_ROUND_S * (repetitions or 3)
    with Blog() as blog:
        blog.up()
        before = blog.status()["gateway"]

        def script(start_at: float, blog: Blog) -> Any:
            time.sleep(max(0.0, start_at + 2 - time.monotonic()))
            figures: list[dict[str, float]] = []
            counts = cycle((5, 2, 3))
            while time.monotonic() < start_at + duration_s - 4:
                count = next(counts)
                with ControlClient(blog.paths) as client:
                    client.scale("backend", count)
                took_s = blog.wait_ready("backend", count)
                time.sleep(0.2)
                shares = [replica["requests"] for replica in blog.replicas("backend")]
                figures.append({"replicas": float(count), "took_s": took_s, "smallest_share": float(min(shares))})
            return [], figures

        run = run_load(blog, duration_s, script)
        after = blog.status()["gateway"]
        return {
            **outcome(run),
            "changes": len(run.measured),
            "growing_took_s": distribution([step["took_s"] for step in run.measured if step["replicas"] != 2]),
            "shrinking_took_s": distribution([step["took_s"] for step in run.measured if step["replicas"] == 2]),
            "replicas_without_requests": sum(step["smallest_share"] == 0 for step in run.measured),
            "gateway_pid_same": before["pid"] == after["pid"],
            "reloads": after["reloads"] - before["reloads"],
        }


def _kill_replica(service: str) -> Callable[[Blog], tuple[float, dict[str, float]]]:
    def fault(blog: Blog) -> tuple[float, dict[str, float]]:
        victim = blog.replicas(service)[0]
        moment = kill(victim["pid"])

        def replaced() -> bool:
            now = next(item for item in blog.replicas(service) if item["id"] == victim["id"])
            return bool(now["state"] == "ready" and now["pid"] != victim["pid"])

        return moment, {"replaced_s": wait_for("replaced", replaced)}

    return fault


def _kill_gateway(blog: Blog) -> tuple[float, dict[str, float]]:
    pid = blog.status()["gateway"]["pid"]
    moment = kill(pid)

    def back() -> bool:
        return bool(blog.status()["gateway"]["pid"] not in (None, pid))

    return moment, {"gateway_back_s": wait_for("gateway back", back, poll_s=0.005)}


def _kill_dbgate(blog: Blog) -> tuple[float, dict[str, float]]:
    pid = blog.status()["dbgate"]["pid"]
    moment = kill(pid)
    return moment, {"dbgate_back_s": wait_for("dbgate back", lambda: blog.status()["dbgate"]["pid"] not in (None, pid))}


def _kill_standby(blog: Blog) -> tuple[float, dict[str, float]]:
    victim = blog.node("standby")
    moment = kill(victim["pid"])
    return moment, {"standby_back_s": wait_for("standby back", lambda: _is_quorum(blog, victim["name"], victim["pid"]))}


def _kill_primary(blog: Blog) -> tuple[float, dict[str, float]]:
    victim = blog.node("primary")
    moment = kill(victim["pid"])
    took_s = wait_for("old primary rejoined", lambda: _is_quorum(blog, victim["name"], victim["pid"]))
    phases = (blog.status()["database"]["last_failover"] or {}).get("phases", {})
    return moment, {"rejoined_s": took_s, **{f"phase_{name}_s": value for name, value in phases.items()}}


def _is_quorum(blog: Blog, name: str, old_pid: int) -> bool:
    node = next(item for item in blog.status()["database"]["nodes"] if item["name"] == name)
    return bool(node["role"] == "standby" and node["sync_state"] == "quorum" and node["pid"] not in (None, old_pid))


def _kill_controller(blog: Blog) -> tuple[float, dict[str, float]]:
    before = blog.status()
    moment = kill(before["controller_pid"])
    took_s = wait_for("adopted", lambda: _adopted(blog, before))
    return moment, {"adopted_s": took_s, "same_pids": float(_pids(blog.status()) == _pids(before))}


def _kill_controller_twice(blog: Blog) -> tuple[float, dict[str, float]]:
    before = blog.status()
    moment = kill(before["controller_pid"])
    keeper = before["keeper_pid"]
    wait_for("next controller", lambda: bool(_children(keeper)), timeout_s=5, poll_s=0.005)
    time.sleep(0.4)
    for pid in _children(keeper):
        kill(pid)
    took_s = wait_for("adopted", lambda: _adopted(blog, before))
    return moment, {"adopted_after_second_s": took_s, "same_pids": float(_pids(blog.status()) == _pids(before))}


def _kill_keeper(blog: Blog) -> tuple[float, dict[str, float]]:
    before = blog.status()
    moment = kill(before["keeper_pid"])
    took_s = wait_for("keeper back", lambda: blog.status()["keeper_pid"] not in (0, before["keeper_pid"]))
    return moment, {"keeper_back_s": took_s, "same_pids": float(_pids(blog.status()) == _pids(before))}


def _children(pid: int) -> list[int]:
    import psutil

    return [
        child.pid
        for child in psutil.Process(pid).children()
        if "colonnade.system.controller" in " ".join(child.cmdline())
    ]


def _adopted(blog: Blog, before: dict[str, Any]) -> bool:
    now = blog.status()
    return bool(now["phase"] == "running" and now["controller_pid"] != before["controller_pid"])


def _pids(status: dict[str, Any]) -> list[Any]:
    replicas = [replica["pid"] for service in status["services"] for replica in service["replicas"]]
    nodes = [node["pid"] for node in status["database"]["nodes"]]
    return [status["gateway"]["pid"], status["dbgate"]["pid"], *replicas, *nodes]


def _gaps(run: Run) -> dict[str, float]:
    """Longest time without an acknowledged write around each fault."""
    writes = [item for item in run.history.operations if item.kind is Kind.WRITE]
    return distribution([gap_around(writes, moment, within_s=5.0).duration_s for moment in run.moments])


def _merged(measured: list[dict[str, float]]) -> dict[str, Any]:
    names = {name for figures in measured for name in figures}
    return {name: distribution([figures[name] for figures in measured if name in figures]) for name in sorted(names)}


FAULTS: dict[str, Callable[[Blog], tuple[float, dict[str, float]]]] = {
    "backend": _kill_replica("backend"),
    "frontend": _kill_replica("frontend"),
    "gateway": _kill_gateway,
    "standby": _kill_standby,
    "primary": _kill_primary,
    "controller": _kill_controller,
    "controller_twice": _kill_controller_twice,
    "keeper": _kill_keeper,
    "dbgate": _kill_dbgate,
}
