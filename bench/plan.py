"""How far plans are off: on the blog and two examples, a mix that was not used for calibration, beyond capacity.

Each system is calibrated route by route (`plan --measure`), then predicted and measured under its whole mix. The bounds
are those that a plan is held to; every case outside of them is named.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from blog import Blog, Scratch

from colonnade.core.clock import SystemClock
from colonnade.drill.calibration.measure import Wishes, calibrate
from colonnade.drill.calibration.pinned import pinned
from colonnade.drill.machine import look_at_machine
from colonnade.planning.calibration import Calibration
from colonnade.planning.simulation.simulate import figures
from colonnade.spec.load import load_spec

STRETCH_S, ROUNDS = 12.0, 8

SETTLE_S = 5.0
"""After the start: PostgreSQL's first checkpoints, caches."""

CAPACITY_OFF, MEAN_OFF, P95_OFF = 0.10, 0.15, 0.25
SHARE_MAX = 0.8
"""Of the capacity: beyond it a queue's length is no number to be predicted."""

FASTAPI_DRILL = """
[drill]
reads = [{ path = "/", weight = 1 }, { path = "/events?count=20&interval_ms=0", weight = 3 }]
"""
"""By itself the example answers more than one generator can send: streams of twenty events take longer."""

EXAMPLES = Path(__file__).parent.parent / "examples"


class Example(Scratch):
    """A copy of an example on a free port."""

    def __init__(self, name: str, more: str = "") -> None:
        super().__init__({}, "")
        shutil.copytree(EXAMPLES / name, self.directory, dirs_exist_ok=True)
        text = (EXAMPLES / name / "colonnade.toml").read_text(encoding="utf-8")
        self._declare(f'[gateway]\nlisten = "127.0.0.1:{self.port}"\n\n{text}{more}')


def measure(repetitions: int) -> dict[str, Any]:
    """Each system `repetitions` times, once if not said."""
    found: dict[str, Any] = {}
    for name, (make, write_share) in SYSTEMS.items():
        runs = [_calibrate(make(), write_share) for _ in range(repetitions or 1)]
        found[name] = [_as_figures(run) for run in runs]
    return found


def _fastapi() -> Scratch:
    return Example("02-fastapi", FASTAPI_DRILL)


def _django() -> Scratch:
    return Example("03-django")


SYSTEMS: dict[str, tuple[Callable[[], Scratch], float]] = {
    "blog": (Blog, 0.2),
    "02-fastapi": (_fastapi, 0.2),
    "03-django": (_django, 0.5),
}
"""With the share of writes in the mix, where there are any. Django's is not the 0.2 of most drills: reads and writes
that are equal work are 0.75 and 0.25, and a mix so near to one that was measured would be predicted by repetition."""


def _calibrate(scratch: Scratch, write_share: float) -> Calibration:
    with scratch as system:
        system.up()
        about = look_at_machine(system.directory)
        with pinned(system.paths, system.status()):
            machine = f"{about.cores} cores, {about.processor}"
            return asyncio.run(_after_a_while(system, write_share, machine=machine))


async def _after_a_while(system: Scratch, write_share: float, *, machine: str) -> Calibration:
    await asyncio.sleep(SETTLE_S)
    spec = load_spec(system.directory).spec
    return await calibrate(
        spec,
        system.status(),
        Wishes(stretch_s=STRETCH_S, rounds=ROUNDS, with_writes=True, write_share=write_share),
        at="",
        machine=machine,
        clock=SystemClock(),
        tell=_tell,
        simulate=lambda model, load: figures(model, load, requests=30_000),
    )


def _tell(text: str) -> None:
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


def _as_figures(found: Calibration) -> dict[str, Any]:
    return {
        "capacity": {
            "predicted": round(found.capacity_predicted, 1),
            "measured": found.capacity_measured and round(found.capacity_measured, 1),
            "error": _rounded(found.capacity_error),
        },
        "loads": [
            {
                "rate": round(each.rate_per_s, 1),
                "of_capacity": each.share_of_capacity,
                "measured_ms": {name: round(value * 1000, 2) for name, value in each.measured.items()},
                "means_ms": [round(value * 1000, 2) for value in each.means_s],
                **{
                    f"{kind}_error": {name: _rounded(each.error(kind, name)) for name in ("mean", "p95", "p99")}
                    for kind in ("routes", "theory", "simulated")
                },
                "cost_ms": {name: round(value * 1000, 2) for name, value in each.cpu_s.items()},
                "cost_error": _rounded(each.cost_error),
                "doubt": each.doubt,
            }
            for each in found.verified
        ],
        "routes": {
            route.name: {
                "alone_ms": round(route.mean_s * 1000, 2),
                "scv": round(route.scv, 2),
                "cpu_ms": {name: round(value * 1000, 2) for name, value in route.cpu_s.items()},
            }
            for route in found.routes
        },
        "mixing": round(found.mixing, 3),
        "background_cores": round(found.background_cores, 2),
        "outside": list(_outside(found)),
        "notes": list(found.notes),
    }


def _outside(found: Calibration) -> Iterator[str]:
    """What a plan may not be off by, and was."""
    if found.capacity_error is not None and abs(found.capacity_error) > CAPACITY_OFF:
        yield f"capacity {found.capacity_error:+.0%}"
    for each in found.verified:
        if each.share_of_capacity > SHARE_MAX + 0.05:
            continue  # loads are shares of the capacity as it was known by then; what all rounds say may be less
        if each.routes is None:
            yield f"{each.share_of_capacity:.0%} of capacity is more than is ever answered, by the routes"
        for name, bound in (("mean", MEAN_OFF), ("p95", P95_OFF)):
            for kind in ("routes", "theory", "simulated"):
                error = each.error(kind, name)
                if error is not None and abs(error) > bound:
                    yield f"{name} at {each.share_of_capacity:.0%} of capacity by {kind}: {error:+.0%}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
