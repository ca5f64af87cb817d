"""Measures Colonnade on this machine and writes what it measured: `make bench`, or `python bench/run.py NAME …`.

Each measurement is a function that returns figures; all are printed and written to .bench/<date>.json. Nothing here
passes or fails: tests do that, with wide margins.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

BENCHES: dict[str, str] = {
    "start": "starting.measure",
    "cost": "cost.measure",
    "idle": "idle.measure",
    "busy": "idle.measure_busy",
    "metrics": "metrics.measure",
    "faults": "faults.measure_each_fault",
    "primary": "faults.measure_primary_kills",
    "primary-scraped": "faults.measure_scraped_kills",
    "scale": "faults.measure_scaling",
    "step": "scaling.measure",
    "day": "day.measure",
    "day-live": "day.measure_live",
    "simulator": "simulator.measure",
    "spread": "spread.measure",
    "sessions": "sessions.measure",
    "switchovers": "sessions.measure_switchovers",
    "throughput": "throughput.measure",
    "overload": "overload.measure",
    "calm": "calm.measure",
    "static": "static_files.measure",
    "versions": "versions.measure",
    "plan": "plan.measure",
    "planted": "planted.measure",
    "gray_frozen": "gray.measure_frozen",
    "gray_slow": "gray.measure_slow",
    "gray_equal": "gray.measure_equal",
    "gray_busy_core": "gray.measure_busy_core",
    "gray_replaced": "gray.measure_replaced",
}
"""Name → module and function. Imported only when asked for: what one of them needs may be missing where another one is
measured, and Ciw brings a package `tests` of its own."""

BESIDE: dict[str, str] = {
    "peers": "peers.measure",
    "generator": "generator.measure",
    "simulator-ciw": "simulator.measure_beside_ciw",
    "gateways": "gateways.measure",
    "many": "idle.measure_many",
    "lighthouse": "lighthouse.measure",
    "gateways-lines": "gateways.measure_lines_of_ours",
    "gateways-kills": "gateways.measure_kills",
    "gateways-replacements": "gateways.measure_replacements",
}
"""Only when asked for: what they compare with has to be installed (`make bench-peers`, `make bench-gateways`,
`make bench-simulator`, wrk), or they need npm and Chromium (`lighthouse`), or ten gigabytes (`many`)."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join([*BENCHES, *BESIDE])}; default all but {', '.join(BESIDE)}",
    )
    parser.add_argument("-n", type=int, default=0, help="repetitions, where they make sense (default: each its own)")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - BENCHES.keys() - BESIDE.keys():
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    results: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.platform()}, {len(_cpus())} cpus",
    }
    for name in options.names or BENCHES:
        began = time.monotonic()
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        results[name] = _measure((BENCHES | BESIDE)[name])(options.n)
        results[name]["took_s"] = round(time.monotonic() - began, 1)
        sys.stdout.write(json.dumps(results[name], indent=1, default=str) + "\n")
        sys.stdout.flush()
    directory = Path(__file__).parent.parent / ".bench"
    directory.mkdir(exist_ok=True)
    path = directory / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
    sys.stdout.write(f"written to {path}\n")
    return 0


def _measure(where: str) -> Callable[[int], dict[str, Any]]:
    module, _, function = where.partition(".")
    found: Callable[[int], dict[str, Any]] = getattr(import_module(module), function)
    return found


def _cpus() -> set[int]:
    return os.sched_getaffinity(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
