"""What the system costs while nothing happens, and what its control plane costs beside 500 requests a second: processor
and memory of keeper, controller and dashboard, of HAProxy, of the rest."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import psutil
from blog import Blog, Scratch
from figures import distribution

from colonnade.core.processes import marked_processes

WATCH_S = 30.0
SETTLE_S = 5.0
"""What the start set in motion ends first."""

RATE_PER_S = 500

MANY = 200

TINY = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""

DECLARATION = """
[gateway]
listen = "127.0.0.1:{port}"

[services.web]
app = "tiny:app"
route = "/"
replicas = 2
"""


def measure(repetitions: int) -> dict[str, Any]:
    """The blog at rest."""
    del repetitions
    with Blog() as blog:
        blog.up()
        time.sleep(SETTLE_S)
        return watch(blog, is_scraped=False)


def measure_busy(repetitions: int) -> dict[str, Any]:
    """A tiny application that is asked 500 times a second, by whom is not counted; and the dashboard, once a second."""
    del repetitions
    with Scratch({"tiny.py": TINY}, DECLARATION) as system:
        system.up()
        time.sleep(SETTLE_S)
        words = ["--url", system.url, "--rate", str(RATE_PER_S), "--duration", str(int(WATCH_S) + 4), "--path", "/"]
        with subprocess.Popen(
            [sys.executable, "-m", "colonnade.drill.load", *words], stdout=subprocess.PIPE, text=True
        ) as load:
            time.sleep(2.0)
            found = watch(system, is_scraped=True)
            said, _ = load.communicate(timeout=60)
        return {**found, "load": said.splitlines()[:6]}


def measure_many(repetitions: int) -> dict[str, Any]:
    """200 small replicas that really run: how long their start takes, what answers how soon, what watching them costs
    at rest."""
    declaration = DECLARATION.replace("replicas = 2", f"replicas = {MANY}")
    with Scratch({"tiny.py": TINY}, declaration) as system:
        began_s = time.monotonic()
        system.up()
        took_s = time.monotonic() - began_s
        time.sleep(SETTLE_S)
        at_rest = watch(system, is_scraped=False)
        dashboard = system.status()["dashboard"]["url"]
        times = range(repetitions or 60)
        return {
            "up_s": round(took_s, 1),
            "metrics_ms": distribution([_scrape(f"{dashboard}/metrics") for _ in times], 1),
            "status_ms": distribution([_timed_ms(system.status) for _ in times], 1),
            "status_command_ms": distribution([_timed_ms(lambda: system.command("status")) for _ in range(5)], 1),
            **at_rest,
        }


def _timed_ms(work: Callable[[], object]) -> float:
    began_s = time.monotonic()
    work()
    return 1000 * (time.monotonic() - began_s)


def watch(system: Scratch, *, is_scraped: bool) -> dict[str, Any]:
    status = system.status()
    ours = {status["keeper_pid"]: "keeper", status["controller_pid"]: "controller"}
    if status["dashboard"] is not None:
        ours[status["dashboard"]["pid"]] = "dashboard"
    groups: dict[str, list[psutil.Process]] = {}
    for pid in {*marked_processes(system.paths.mark), *ours}:
        process = psutil.Process(pid)
        groups.setdefault(_group(process, ours), []).append(process)
    before = {name: _cpu_s(found) for name, found in groups.items()}
    began_s = time.monotonic()
    scrapes_ms = []
    while (left_s := began_s + WATCH_S - time.monotonic()) > 0:
        if is_scraped:
            scrapes_ms.append(_scrape(f"{status['dashboard']['url']}/metrics"))
        time.sleep(min(1.0, left_s))
    took_s = time.monotonic() - began_s
    used = {name: _cpu_s(found) - before[name] for name, found in groups.items()}
    figures: dict[str, Any] = {
        name: {
            "processes": len(found),
            "cpu_percent_of_one_core": round(100 * used[name] / took_s, 2),
            "rss_mb": round(sum(process.memory_info().rss for process in found) / 1e6, 1),
            "pss_mb": round(sum(process.memory_full_info().pss for process in found) / 1e6, 1),
        }
        for name, found in groups.items()
    }
    control = [figures[name] for name in ours.values()]
    figures["control_plane"] = {key: round(sum(each[key] for each in control), 2) for key in control[0]}
    if scrapes_ms:
        figures["scrape_ms"] = distribution(scrapes_ms, 1)
    return figures


def _scrape(url: str) -> float:
    began_s = time.monotonic()
    with urllib.request.urlopen(url, timeout=10) as answer:
        answer.read()
    return 1000 * (time.monotonic() - began_s)


def _group(process: psutil.Process, ours: dict[int, str]) -> str:
    if process.pid in ours:
        return ours[process.pid]
    name = process.name()
    return "haproxy" if name == "haproxy" else "postgres" if name.startswith("postgres") else "replicas"


def _cpu_s(found: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in found)
