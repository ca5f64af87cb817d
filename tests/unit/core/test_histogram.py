"""Counts by bucket, with numbers."""

from __future__ import annotations

import pytest

from colonnade.core.histogram import BOUNDS_MS, BUCKETS_COUNT, Histogram


def counted(**by_bound: int) -> Histogram:
    """`ms20=5`: five below 20 ms and not below the bound before."""
    counts = [0] * BUCKETS_COUNT
    for name, count in by_bound.items():
        counts[BOUNDS_MS.index(int(name.removeprefix("ms")))] = count
    return Histogram(tuple(counts))


@pytest.mark.parametrize(
    ("q", "expected_ms"),
    [(0.0, 60), (0.25, 80), (0.5, 100), (0.6, 137.5), (1.0, 300)],
)
def test_a_quantile_is_read_within_its_bucket_as_if_that_were_evenly_filled(q: float, expected_ms: float) -> None:
    found = counted(ms100=10, ms175=4, ms300=6).quantile_s(q)
    assert found == pytest.approx(expected_ms / 1000, rel=1e-6)


def test_nothing_counted_has_no_quantile_and_no_share() -> None:
    assert Histogram().quantile_s(0.99) is None
    assert Histogram().share_within(1.0) is None


def test_of_the_open_bucket_only_its_beginning_is_known() -> None:
    endless = Histogram((*(0,) * (BUCKETS_COUNT - 1), 3))
    assert endless.quantile_s(0.5) == 30.0
    assert endless.share_within(60.0) == 0.0


@pytest.mark.parametrize(("within_s", "expected"), [(0.06, 0.0), (0.08, 0.25), (0.1, 0.5), (0.3, 1.0), (99.0, 1.0)])
def test_a_share_is_read_within_its_bucket_too(within_s: float, expected: float) -> None:
    assert counted(ms100=10, ms300=10).share_within(within_s) == pytest.approx(expected, rel=1e-6)


def test_a_count_that_became_smaller_began_anew() -> None:
    before = counted(ms20=50, ms100=7)
    assert counted(ms20=60, ms100=7).since(before) == counted(ms20=10)
    assert counted(ms20=4, ms100=9).since(before) == counted(ms20=4, ms100=9)
