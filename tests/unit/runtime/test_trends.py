"""What is expected to fail: leaks and creeping latency, with seeded noise; and what only looks like it."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest

from colonnade.runtime.state import ReplicaId
from colonnade.runtime.trends import (
    FINE_S,
    SAMPLES_MAX,
    Expectation,
    History,
    Series,
    expect_death,
    expect_machine_full,
    expect_out_of_memory,
    expect_slowness,
    growth_of,
)

ID = ReplicaId("web", 2)
MB = 1e6
BOUND = 1000 * MB


def alarms(level: Callable[[float], float], duration_s: float, *, noise: float = 0.0, seed: int = 1) -> list[float]:
    """At which times a replica whose memory goes as `level` (share of the bound) would have been replaced."""
    return [at_s for at_s, _ in expectations(level, duration_s, noise=noise, seed=seed)]


def expectations(
    level: Callable[[float], float], duration_s: float, *, noise: float, seed: int
) -> list[tuple[float, Expectation]]:
    random = Random(seed)
    history = History()
    found = []
    for step in range(int(duration_s / FINE_S)):
        at_s = step * FINE_S
        history = history.with_sample(at_s, BOUND * (level(at_s) + random.uniform(-noise, noise)))
        if (one := expect_out_of_memory(ID, history, BOUND)) is not None:
            found.append((at_s, one))
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("minutes", [3, 20, 120])
def test_a_leak_is_seen_before_it_reaches_its_bound_and_not_long_before(minutes: int, seed: int) -> None:
    full_s = minutes * 60
    found = alarms(lambda at_s: 0.1 + 0.9 * at_s / full_s, full_s, noise=0.005, seed=seed)
    assert found
    assert full_s - 660 <= found[0] <= full_s - 10
    assert found[0] >= 0.4 * full_s


def test_a_leak_that_begins_late_is_seen_as_well() -> None:
    found = alarms(lambda at_s: 0.3 + max(0.0, at_s - 3600) * 0.7 / 600, 4200, noise=0.003)
    assert found
    assert 3600 < found[0] < 4190


def test_a_leak_below_a_saw_tooth_is_seen() -> None:
    found = alarms(lambda at_s: 0.1 + 0.8 * at_s / 1200 + 0.05 * (at_s % 20) / 20, 1200, noise=0.003)
    assert found


def saw_tooth(period_s: float, low: float, high: float) -> Callable[[float], float]:
    return lambda at_s: low + (high - low) * (at_s % period_s) / period_s


FALSE_ALARMS: dict[str, Callable[[float], float]] = {
    "flat": lambda _: 0.7,
    "flat, near its bound": lambda _: 0.9,
    "a saw-tooth of seconds": saw_tooth(7, 0.3, 0.9),
    "a saw-tooth of half a minute": saw_tooth(30, 0.3, 0.95),
    "a saw-tooth of ten minutes": saw_tooth(600, 0.2, 0.75),
    "a warm-up of half a minute": lambda at_s: 0.9 - 0.8 * math.exp(-at_s / 30),
    "a warm-up of five minutes": lambda at_s: 0.9 - 0.8 * math.exp(-at_s / 300),
    "steps that end": lambda at_s: min(0.7, 0.3 + 0.1 * (at_s // 100)),
    "one step": lambda at_s: 0.9 if at_s > 200 else 0.4,
    "a slow wave": lambda at_s: 0.6 + 0.2 * math.sin(at_s / 400),
    "a fall": lambda at_s: max(0.5, 0.95 - at_s / 1000),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FALSE_ALARMS)
def test_what_does_not_end_at_the_bound_gives_no_alarm(name: str, seed: int) -> None:
    assert alarms(FALSE_ALARMS[name], 1800, noise=0.005, seed=seed) == []


def test_a_higher_tooth_than_before_is_needed_once_it_came_down_by_itself() -> None:
    tooth = saw_tooth(600, 0.2, 0.9)
    # The first rise cannot be told from a leak; from the second one on it is known.
    assert all(at_s < 600 for at_s in alarms(tooth, 3600, noise=0.003))


def test_the_sentence_has_the_numbers() -> None:
    (_, one), *_ = expectations(lambda at_s: 0.1 + 0.9 * at_s / 600, 600, noise=0.0, seed=1)
    assert one.reason == "memory_grows"
    assert one.message == (
        "web/2 has an address space of 802 MB and grows by 90 MB a minute, for 8 min now: "
        "it reaches memory_max (1,000 MB) in 2 min"
    )


def leak(per_s: float, *, start: float = 0.0, samples: int = 120) -> History:
    history = History()
    for step in range(samples):
        history = history.with_sample(step * FINE_S, start + per_s * step * FINE_S)
    return history


def test_when_the_machine_fills_up_the_one_that_grows_most_is_named() -> None:
    used = leak(10 * MB, start=6_000 * MB)
    others = {ReplicaId("web", 1): leak(0.5 * MB), ID: leak(9 * MB)}
    one = expect_machine_full(used, 9_500 * MB, others)
    assert one is not None
    assert one.id == ID
    assert expect_machine_full(used, 9_500 * MB, {ID: leak(3 * MB)}) is None, "most of it grows elsewhere"
    assert expect_machine_full(used, 100_000 * MB, others) is None, "there is plenty"


def test_creeping_latency_is_seen_before_it_counts_as_slow() -> None:
    creeping, steady = History(), History()
    for step in range(120):
        creeping = creeping.with_sample(step * FINE_S, 1.0 + step / 70)
        steady = steady.with_sample(step * FINE_S, 2.7)
    one = expect_slowness(ID, creeping, 3.0)
    assert one is not None
    assert one.reason == "latency_creeps"
    assert expect_slowness(ID, steady, 3.0) is None


@pytest.mark.parametrize(
    ("lives_s", "age_s", "is_expected"),
    [
        ([600, 610, 590], 540, True),
        ([600, 610, 590], 500, False),
        ([600, 610, 590], 700, False),  # it has outlived them
        ([600, 610], 540, False),
        ([60, 600, 1800], 55, False),
        ([5, 5, 5], 4.8, False),
        ([30, 600, 610, 590], 540, True),
    ],
)
def test_who_always_dies_at_one_age_is_expected_to(lives_s: list[float], age_s: float, is_expected: bool) -> None:
    one = expect_death(ID, lives_s, age_s)
    assert (one is not None) is is_expected
    if one is not None:
        assert (one.reason, round(one.left_s)) == ("dies_at_this_age", 50)


def test_a_series_keeps_its_pace_and_its_bound() -> None:
    series = Series(10.0)
    for second in range(10_000):
        series = series.with_sample(float(second), 0.0)
    assert len(series.samples) == SAMPLES_MAX
    assert {late[0] - early[0] for early, late in zip(series.samples, series.samples[1:], strict=False)} == {9.0}


def test_with_little_known_nothing_is_said() -> None:
    assert growth_of(leak(1.0, samples=20)) is None
    assert growth_of(History()) is None
