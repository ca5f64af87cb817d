"""What the system costs while nothing happens: processor and memory of our own Python, of HAProxy, of the rest."""

from __future__ import annotations

import time
from typing import Any

import psutil
from blog import Blog

from colonnade.core.processes import marked_processes

WATCH_S = 30.0


def measure(repetitions: int) -> dict[str, Any]:
    del repetitions
    with Blog() as blog:
        blog.up()
        time.sleep(5.0)  # what the start set in motion ends first
        status = blog.status()
        groups: dict[str, list[psutil.Process]] = {
            "keeper_and_controller": [],
            "haproxy": [],
            "replicas": [],
            "postgres": [],
        }
        ours = {status["keeper_pid"], status["controller_pid"]}
        for pid in {*marked_processes(blog.paths.mark), *ours}:
            process = psutil.Process(pid)
            groups[_group(process, ours)].append(process)
        before = {name: _cpu_s(found) for name, found in groups.items()}
        time.sleep(WATCH_S)
        return {
            name: {
                "processes": len(found),
                "cpu_percent_of_one_core": round(100 * (_cpu_s(found) - before[name]) / WATCH_S, 2),
                "rss_mb": round(sum(process.memory_info().rss for process in found) / 1e6, 1),
                "pss_mb": round(sum(process.memory_full_info().pss for process in found) / 1e6, 1),
            }
            for name, found in groups.items()
        }


def _group(process: psutil.Process, ours: set[int]) -> str:
    if process.pid in ours:
        return "keeper_and_controller"
    name = process.name()
    return "haproxy" if name == "haproxy" else "postgres" if name.startswith("postgres") else "replicas"


def _cpu_s(found: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in found)
