"""Our gateway beside bare HAProxy, nginx, Envoy, Traefik and Caddy: what a request costs, and what a change loses.

All have the same backends, limits and one core; backends and load are on another. Each round starts one gateway after
the other, so that whatever the machine does meanwhile meets all of them. How they are set up is in the siblings named
`gateways_…`; what was found, and what to make of it, in docs/gateways.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gateways_backends import Backends
from gateways_bench import Bench, run_bench, spread
from gateways_caddy import Caddy
from gateways_envoy import Envoy
from gateways_failures import Change, change_under_load, kill, losses, replace
from gateways_haproxy import Bare, Ours
from gateways_lines import ROUNDS as LINES_ROUNDS
from gateways_lines import measure_lines
from gateways_load import Cost, as_fast_as_it_goes, at_a_rate
from gateways_nginx import Nginx
from gateways_proxy import Make
from gateways_traefik import Traefik

BARE = "HAProxy, bare"
GATEWAYS: dict[str, Make] = {
    "Colonnade": Ours,
    BARE: Bare,
    "nginx": Nginx,
    "Envoy": Envoy,
    "Traefik": Traefik,
    "Caddy": Caddy,
}

ROUNDS = 5
WARM_S = 1
SATURATED_S = 3
RATE_PER_S = 1000.0
"""Less than the slowest carries on a busy machine, and what the load generator sends without being late."""
RATE_S = 3.0


def measure(repetitions: int) -> dict[str, Any]:
    """What a request costs: as fast as it goes, and at a rate that leaves time to spare."""
    return run_bench(lambda bench: _measure_costs(bench, repetitions or ROUNDS))


def measure_kills(repetitions: int) -> dict[str, Any]:
    """One of three backends is killed under load."""
    return run_bench(lambda bench: _measure_losses(bench, repetitions or ROUNDS, kill))


def measure_lines_of_ours(repetitions: int) -> dict[str, Any]:
    """What each group of lines of our text costs."""
    return run_bench(lambda bench: measure_lines(bench, repetitions or LINES_ROUNDS))


def measure_replacements(repetitions: int) -> dict[str, Any]:
    """One of three backends is replaced under load, as each product's documentation has it."""
    return run_bench(lambda bench: _measure_losses(bench, repetitions or ROUNDS, replace))


# What a request costs


async def _measure_costs(bench: Bench, rounds: int) -> dict[str, Any]:
    saturated: dict[str, list[Cost]] = {name: [] for name in GATEWAYS}
    at_rate: dict[str, list[Cost]] = {name: [] for name in GATEWAYS}
    async with Backends(bench.directory, bench.ports, is_slow=False) as backends:
        direct = await as_fast_as_it_goes(backends.running[0].port, backends.pids, SATURATED_S)
        for number in range(rounds):
            for name, make in GATEWAYS.items():
                async with bench.running(make, backends) as (place, proxy):
                    await as_fast_as_it_goes(place.port, proxy.pids, WARM_S)
                    saturated[name].append(await as_fast_as_it_goes(place.port, proxy.pids, SATURATED_S))
                    at_rate[name].append(await at_a_rate(place.port, proxy.pids, RATE_PER_S, RATE_S))
                _tell(number, name, asdict(saturated[name][-1]))
                _tell(number, name, asdict(at_rate[name][-1]))
    return {
        "a_backend_without_gateway_per_s": round(direct.per_s),
        "a_backend_cpu_us": round(direct.cpu_us, 1),
        "as_fast_as_it_goes": _compared(saturated),
        f"at_{RATE_PER_S:.0f}_per_s": _compared(at_rate),
    }


def _compared(costs: dict[str, list[Cost]]) -> dict[str, Any]:
    bare = [cost.cpu_us for cost in costs[BARE]]
    return {name: _figures(found, bare) for name, found in costs.items()}


def _figures(costs: Sequence[Cost], bare_cpu_us: Sequence[float]) -> dict[str, Any]:
    """Ratios are of the same round, and above 1 where bare HAProxy takes more."""
    ratios = [bare / cost.cpu_us for bare, cost in zip(bare_cpu_us, costs, strict=True)]
    return {
        "requests": sum(cost.requests for cost in costs),
        "failed": sum(cost.failed for cost in costs),
        "doubtful_rounds": sum(cost.is_doubtful for cost in costs),
        "cpu_us": spread([cost.cpu_us for cost in costs], 1),
        "bare_to_this_by_cpu": spread(ratios, 3),
        "per_s": spread([cost.per_s for cost in costs], 0),
        "p50_ms": spread([cost.p50_ms for cost in costs], 2),
        "p99_ms": spread([cost.p99_ms for cost in costs], 2),
        "gateways_core_busy": spread([cost.proxy_core_busy for cost in costs], 2),
        "others_core_busy": spread([cost.others_core_busy for cost in costs], 2),
    }


# What a change loses


async def _measure_losses(bench: Bench, rounds: int, change: Change) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in GATEWAYS}
    async with Backends(bench.directory, bench.ports, is_slow=True) as backends:
        for number in range(rounds):
            for name, make in GATEWAYS.items():
                async with bench.running(make, backends) as (place, proxy):
                    found[name].append(await change_under_load(place, proxy, backends, change))
                _tell(number, name, found[name][-1])
    return {name: losses(each) for name, each in found.items()}


def _tell(number: int, name: str, found: dict[str, Any]) -> None:
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} round {number + 1} {name}: {rounded}\n")
