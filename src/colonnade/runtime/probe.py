"""Is a replica ready? One HTTP request on loopback, and what its answer means.

Any status from 200 to 499 counts: an application without a readiness page answers 404, which proves that it serves;
one that is not ready yet says so with 503, as load balancers expect.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

PROBE_TIMEOUT_S = 1.0
"""Per attempt; the first request of an application may do work that later ones do not."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    is_ok: bool
    message: str


def judge(status: int) -> ProbeResult:
    return ProbeResult(200 <= status < 500, f"answered {status}")


async def probe(port: int, path: str) -> ProbeResult:
    """Ask once; never raises for what a replica does."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return judge(await _status_of(port, path))
    except TimeoutError:
        return ProbeResult(False, f"no answer on {path} within {PROBE_TIMEOUT_S:.0f} s")
    except ConnectionRefusedError:
        return ProbeResult(False, f"does not listen on 127.0.0.1:{port} yet")
    except (OSError, ValueError) as error:
        return ProbeResult(False, f"no HTTP answer on {path} ({error})")


async def _status_of(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: colonnade-probe\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        line = (await reader.readline()).decode("latin-1").split()
        if len(line) < 2 or not line[0].startswith("HTTP/"):
            raise ValueError("not HTTP")
        return int(line[1])
    finally:
        writer.close()
