"""From what the runtime shows to what scaling is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState
from colonnade.scaling.state import ScalingPolicy
from colonnade.spec.model import ServiceSpec
from colonnade.system.autoscaling import (
    STARTUP_S_UNKNOWN,
    forecast_floor,
    is_scaled,
    policy_of,
    ready_in_s,
    startup_s_of,
)

READY = ObservedReplica(ReplicaId("web", 1), ReplicaState.READY, state_since_s=11.2, started_at_s=10.0)
STARTING = ObservedReplica(ReplicaId("web", 2), ReplicaState.STARTING, state_since_s=20.0, started_at_s=20.0)


def service(**keys: object) -> ServiceSpec:
    return ServiceSpec.model_validate({"app": "app:app", **keys})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"replicas": 3}, False),
        ({"replicas": {"min": 2, "max": 2}}, False),
        ({"replicas": {"min": 2, "max": 3}}, True),
        ({"weights": [{"weight": 3}, {"weight": 1}]}, False),
    ],
)
def test_only_services_with_room_between_their_bounds_are_scaled(keys: dict[str, object], expected: bool) -> None:
    assert is_scaled(service(**keys)) is expected


def test_a_policy_is_what_was_declared() -> None:
    declared = service(
        replicas={"min": 0, "max": 5},
        threads=4,
        slo={"p99": "250ms"},
        scaling={"target_utilization": 0.6, "down_after": "2m"},
    )
    assert policy_of("web", declared) == ScalingPolicy("web", 1, 5, 4, 0.6, 0.25, 120.0)


def test_a_start_takes_what_the_last_ones_took() -> None:
    assert startup_s_of([READY, STARTING]) == pytest.approx(1.2)
    assert startup_s_of([]) == STARTUP_S_UNKNOWN
    adopted = replace(READY, started_at_s=11.2)
    assert startup_s_of([adopted]) == STARTUP_S_UNKNOWN


@pytest.mark.parametrize(
    ("missing", "now", "expected"),
    [(0, 20.0, 0.0), (1, 20.0, 2.0), (1, 20.5, 1.5), (3, 20.5, 3.5), (1, 30.0, 0.0)],
)
def test_those_that_start_two_at_a_time_are_ready_in_turn(missing: int, now: float, expected: float) -> None:
    assert ready_in_s([READY, STARTING], missing, 2.0, now, 2) == pytest.approx(expected)


def test_a_pattern_of_the_day_gives_a_floor() -> None:
    policy = ScalingPolicy("web", 1, 8, 2)
    now = 29_000_000
    history = dict.fromkeys(range(now - 2_000, now), 5.0)
    floor = forecast_floor(history, now, policy, 0.05)
    assert floor is not None
    assert (floor.replicas, floor.reason) == (4, "forecast")
    assert floor.message == (
        "at this time of the day 5.0 places were busy (over the last hour this told the load to 0%)"
    )
    assert forecast_floor(history, now, policy, 0.0) is None
    assert forecast_floor({}, now, policy, 0.05) is None
