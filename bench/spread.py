"""How evenly requests spread: each algorithm against what it promises, on a tiny application that names its replica."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
from blog import Scratch

REQUESTS = 10_000
CONCURRENCY = 8
"""Between the 4 and 16 in flight for which least connections is judged."""

APP = """
import os, time

REPLICA, DELAY_S = os.environ["COLONNADE_REPLICA"], float(os.environ.get("DELAY_S", "0"))

def app(environ, start_response):
    if DELAY_S and environ["PATH_INFO"] != "/readyz":
        time.sleep(DELAY_S)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [REPLICA.encode()]
"""

DECLARATION = """
[gateway]
listen = "127.0.0.1:{port}"
[services.web]
app = "app:app"
kind = "wsgi"
route = "/"
threads = 16
"""


def measure(repetitions: int) -> dict[str, Any]:
    del repetitions
    return {
        "round_robin": _shares('replicas = 3\nbalance = "round-robin"'),
        "weights_3_1": _shares('balance = "weighted"\nweights = [{ weight = 3 }, { weight = 1 }]'),
        "least_connections_one_of_4_10x_slower": _shares(
            'balance = "least-connections"\n'
            'weights = [{ env = { DELAY_S = "0.2" } }, { replicas = 3, env = { DELAY_S = "0.02" } }]'
        ),
        "consistent_hash_3_to_4": _moved(),
    }


def _shares(keys: str) -> dict[str, Any]:
    with Scratch({"app.py": APP}, DECLARATION + keys + "\n") as scratch:
        scratch.up()
        counts = Counter(asyncio.run(_ask(scratch.url, ["/"] * REQUESTS)))
    return {
        "requests": REQUESTS,
        "counts": dict(sorted(counts.items())),
        "share_percent": {name: round(100 * count / REQUESTS, 2) for name, count in sorted(counts.items())},
    }


def _moved() -> dict[str, Any]:
    """Share of the keys that go to another replica when a fourth one joins three, and when one of them is replaced."""
    paths = [f"/key/{number}" for number in range(2_000)]
    with Scratch({"app.py": APP}, DECLARATION + 'replicas = 3\nbalance = "consistent-hash"\n') as scratch:
        scratch.up()
        three = asyncio.run(_ask(scratch.url, paths))
        scratch.command("scale", "web=4")
        scratch.wait_ready("web", 4)
        four = asyncio.run(_ask(scratch.url, paths))
    moved = sum(1 for before, after in zip(three, four, strict=True) if before != after)
    return {"keys": len(paths), "moved": moved, "moved_share": round(moved / len(paths), 3), "ideal": 0.25}


async def _ask(url: str, paths: list[str]) -> list[str]:
    """The replica that answered each path, in the order of the paths."""
    answers = [""] * len(paths)
    todo = iter(enumerate(paths))
    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with httpx.AsyncClient(base_url=url, limits=limits, trust_env=False, timeout=20) as client:

        async def worker() -> None:
            for number, path in todo:
                answer = await client.get(path)
                answer.raise_for_status()
                answers[number] = answer.text

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return answers
