"""A recorded load, from logs that are made with a known rate, shape and burstiness."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import pytest

from colonnade.core.errors import SpecError
from colonnade.planning.profile import burstiness, profile_of

BEGIN_S = datetime(2025, 10, 10, 12, 0, 0, tzinfo=UTC).timestamp()


def line(at_s: float, method: str = "GET", status: int = 200, took_s: float = 0.02) -> str:
    moment = datetime.fromtimestamp(int(BEGIN_S + at_s), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'10.0.0.1 - - [{moment}] "{method} /p HTTP/1.1" {status} 5 "-" "agent" {took_s:.3f}'


def poisson(rate: float, duration_s: float, random: Random) -> Iterator[float]:
    at_s = random.expovariate(rate)
    while at_s < duration_s:
        yield at_s
        at_s += random.expovariate(rate)


def test_a_steady_load_is_found_again() -> None:
    random = Random(1)
    lines = [line(at_s, "POST" if random.random() < 0.2 else "GET") for at_s in poisson(10, 600, random)]
    found = profile_of(lines, subject="x.log")
    assert found.rate_mean == pytest.approx(10, rel=0.1)
    assert found.rate_max[60] == pytest.approx(10, rel=0.4)
    assert found.rate_max[1] > found.rate_max[60] > found.rate_mean * 0.99
    assert 3600 not in found.rate_max
    assert found.write_share == pytest.approx(0.2, abs=0.03)
    assert found.failed_share == 0
    assert found.scv_arrivals == pytest.approx(1, abs=0.5)
    assert found.response_s == (0.02, 0.02, 0.02)
    assert found.routes == (("/p", 1.0),)
    assert sum(found.shape) / len(found.shape) == pytest.approx(1)


def test_visitors_who_come_in_groups_are_burstier_than_chance() -> None:
    random = Random(2)
    alone = [0] * 2_000
    for at_s in poisson(5, 2_000, random):
        alone[int(at_s)] += 1
    assert burstiness(alone) == pytest.approx(1, abs=0.35)
    assert burstiness([5 * count for count in alone]) == pytest.approx(5, abs=1.5)


def test_a_slow_rise_is_shape_and_not_burstiness() -> None:
    random = Random(3)
    counts = [0] * 3_000
    for at_s in poisson(20, 3_000, random):
        if random.random() < at_s / 3_000:
            counts[int(at_s)] += 1
    assert burstiness(counts) == pytest.approx(1, abs=0.35)


def test_too_little_says_nothing_about_burstiness() -> None:
    assert burstiness([1] * 50) == 1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["started", "ready"] * 100, "none of its 200 lines says when it was"),
        ([line(0), line(1)], "has 2 lines"),
        ([line(0)] * 500, "at different times"),
        ([], "has 0 lines"),
    ],
)
def test_a_log_without_times_is_refused_with_the_formats_that_are_known(lines: list[str], words: str) -> None:
    with pytest.raises(SpecError, match=words) as told:
        profile_of(lines, subject="x.log")
    assert "HAProxy" in told.value.hint
