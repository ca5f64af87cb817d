"""What one request costs in processor time, by kind of request and by part: where a saturated machine spends itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
from blog import Blog

from colonnade.core.processes import marked_processes

REQUESTS = 300


def measure(repetitions: int) -> dict[str, Any]:
    with Blog() as blog:
        blog.up()
        with httpx.Client(base_url=blog.url, trust_env=False, timeout=20) as client:
            kinds: dict[str, Callable[[int], httpx.Response]] = {
                "list_page": lambda number: client.get("/"),
                "post_page": lambda number: client.get("/post/1"),
                "api_list": lambda number: client.get("/api/posts"),
                "api_post": lambda number: client.get("/api/posts/1"),
                "api_write": lambda number: client.post(
                    "/api/posts",
                    json={"title": f"t{number}", "content": "some words " * 20},
                    headers={"Idempotency-Key": f"cost-{time.monotonic_ns()}"},
                ),
            }
            results: dict[str, Any] = {}
            for name, send in kinds.items():
                for number in range(30):
                    send(number).raise_for_status()
                before = _cpu_s(blog)
                began = time.monotonic()
                for number in range(repetitions or REQUESTS):
                    send(number).raise_for_status()
                took_s = time.monotonic() - began
                after = _cpu_s(blog)
                count = repetitions or REQUESTS
                results[name] = {
                    "wall_ms": round(1000 * took_s / count, 2),
                    **{f"{part}_cpu_ms": round(1000 * (after[part] - before[part]) / count, 2) for part in before},
                }
        return results


def _cpu_s(blog: Blog) -> dict[str, float]:
    """Processor seconds so far, by part; a process that ended meanwhile is not counted."""
    status = blog.status()
    groups = {status["keeper_pid"]: "control", status["controller_pid"]: "control"}
    totals = {"control": 0.0, "haproxy": 0.0, "frontend": 0.0, "backend": 0.0, "postgres": 0.0}
    pids = {*marked_processes(blog.paths.mark), status["keeper_pid"], status["controller_pid"]}
    for node in status["database"]["nodes"]:
        pids |= {child.pid for child in psutil.Process(node["pid"]).children()}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            part = groups.get(pid) or _part(process)
            totals[part] += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return totals


def _part(process: psutil.Process) -> str:
    if process.name() == "haproxy":
        return "haproxy"
    replica = process.environ().get("COLONNADE_REPLICA", "")
    return replica.partition("/")[0] or "postgres"
