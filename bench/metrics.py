"""What a look and a scrape cost the dashboard with 200 replicas. No system runs: what a controller says is made up.

python bench/run.py metrics
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import distribution

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.unit.observe.said import measurements, service, status

from colonnade.core.clock import SystemClock
from colonnade.core.usage import usage_of_trees
from colonnade.dashboard.control import Control
from colonnade.dashboard.exposition import exposition
from colonnade.dashboard.watch import Watch
from colonnade.observe.parts import parts_of

REPLICAS = 200
REPETITIONS = 12


def measure(repetitions: int) -> dict[str, Any]:
    """Milliseconds of a processor for each step, and the size of what Prometheus gets."""
    large = service("web", REPLICAS)
    said, measured = status(large), measurements(large)
    text = json.dumps({"status": said, "measurements": measured, "events": []})
    watch = Watch(Control(Path("/nowhere")), SystemClock())
    times = (repetitions or REPETITIONS) * 10
    # As the dashboard's process does: a collection of everything that was imported takes tens of milliseconds.
    gc.freeze()
    took = {"look_ms": _timed(lambda: watch.take(said, measured, []), times)}
    assert watch.look is not None
    samples = watch.look.sight.samples
    return {
        **took,
        "exposition_ms": _timed(lambda: exposition(samples), times),
        "parse_answer_ms": _timed(lambda: json.loads(text), times),
        "processes_ms": _timed(lambda: usage_of_trees(parts_of(said)), times),
        "samples": len(samples),
        "exposition_bytes": len(exposition(samples)),
    }


def _timed(work: Callable[[], object], times: int) -> dict[str, float]:
    took_ms = []
    for _ in range(times):
        began_s = time.process_time()
        work()
        took_ms.append(1000 * (time.process_time() - began_s))
    return distribution(took_ms, 1)
