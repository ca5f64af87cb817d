"""Which bound holds, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.scaling.limits import Bound, Machine, bounds_for
from colonnade.scaling.state import Look

from .builders import policy

MB = 1_000_000
ROOMY = Machine(8, 16_000 * MB, 12_000 * MB, 50 * MB, 2)
LOOK = Look(0.0, 0, in_service=4, queued=0, service_time_s=0.05, desired=2, ready=2)


@pytest.mark.parametrize(
    ("machine", "cores_used", "ceiling", "reason"),
    [
        (None, None, 12, "max"),
        (ROOMY, None, 12, "max"),
        (ROOMY, 0.2, 12, "max"),  # a tenth of a core each
        (replace(ROOMY, cores=2), 0.8, 5, "cores"),  # 0.4 each
        (replace(ROOMY, cores=1), 2.0, 2, "cores"),  # never below what runs
        (replace(ROOMY, memory_bytes_available=1_750 * MB), None, 5, "memory"),  # 1,600 stay free
        (replace(ROOMY, memory_bytes_available=0), None, 2, "memory"),
        (replace(ROOMY, replica_bytes=None, memory_bytes_available=0), None, 12, "max"),
    ],
)
def test_the_lowest_ceiling_holds(machine: Machine | None, cores_used: float | None, ceiling: int, reason: str) -> None:
    bounds = bounds_for(policy(), replace(LOOK, cores_used=cores_used), machine)
    assert (bounds.ceiling.replicas, bounds.ceiling.reason) == (ceiling, reason)


def test_an_idle_service_tells_nothing_about_cores() -> None:
    idle = replace(LOOK, in_service=0, cores_used=1.9)
    assert bounds_for(policy(), idle, replace(ROOMY, cores=2)).ceiling.reason == "max"


def test_the_machine_never_goes_below_what_is_declared_as_least() -> None:
    poor = replace(ROOMY, memory_bytes_available=0)
    bounds = bounds_for(policy(replicas=(4, 8)), LOOK, poor)
    assert (bounds.floor.replicas, bounds.ceiling.replicas) == (4, 4)


def test_the_highest_floor_holds_and_stays_below_the_ceiling() -> None:
    floors = [Bound(3, "schedule", "the schedule asks for 3"), Bound(7, "forecast", "yesterday took 7")]
    assert bounds_for(policy(), LOOK, None, floors).floor == floors[1]
    poor = replace(ROOMY, memory_bytes_available=1_750 * MB)
    assert bounds_for(policy(), LOOK, poor, floors).floor.replicas == 5
    assert bounds_for(policy(), LOOK, None, [Bound(99, "schedule", "…")]).floor.replicas == 12
