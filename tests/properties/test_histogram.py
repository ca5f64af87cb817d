"""What holds for every histogram: quantiles and shares agree with the counts, sums and differences with each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colonnade.core.histogram import BOUNDS_MS, BUCKETS_COUNT, Histogram

histograms = st.lists(st.integers(0, 10_000), min_size=BUCKETS_COUNT, max_size=BUCKETS_COUNT).map(
    lambda counts: Histogram(tuple(counts))
)
shares = st.floats(0, 1)


@given(histograms, shares, shares)
def test_a_larger_share_never_ends_earlier(histogram: Histogram, one: float, other: float) -> None:
    earlier, later = (histogram.quantile_s(q) for q in sorted((one, other)))
    assert (earlier is None) == (later is None) == (histogram.total() == 0)
    assert earlier is None or later is None or earlier <= later


@given(histograms, st.integers(0, BUCKETS_COUNT - 1))
def test_a_quantile_lies_in_the_bucket_that_holds_it(histogram: Histogram, bucket: int) -> None:
    total, count = histogram.total(), histogram.counts[bucket]
    if not count:
        return
    q = (sum(histogram.counts[:bucket]) + count / 2) / total
    found = histogram.quantile_s(q)
    lower_ms = (0, *BOUNDS_MS)[bucket]
    upper_ms = (*BOUNDS_MS, BOUNDS_MS[-1])[bucket]
    assert found is not None
    assert lower_ms / 1000 <= found <= upper_ms / 1000


@given(histograms, shares)
def test_share_and_quantile_are_each_others_inverse(histogram: Histogram, q: float) -> None:
    found = histogram.quantile_s(q)
    if found is None:
        assert histogram.share_within(1.0) is None
    elif found < BOUNDS_MS[-1] / 1000:
        share = histogram.share_within(found)
        assert share is not None
        assert share >= q - 1e-9


@given(histograms, histograms)
def test_what_was_added_is_what_came_since(before: Histogram, more: Histogram) -> None:
    after = before.plus(more)
    assert after == more.plus(before)
    assert after.total() == before.total() + more.total()
    assert after.since(before) == more
    assert after.since(Histogram()) == after
    assert before.since(before) == Histogram()


@given(histograms, histograms)
def test_since_is_never_negative_and_never_more_than_what_was_counted(now: Histogram, earlier: Histogram) -> None:
    since = now.since(earlier)
    assert all(0 <= part <= whole for part, whole in zip(since.counts, now.counts, strict=True))


@given(histograms, st.lists(st.floats(0, 60), min_size=2, max_size=2))
def test_a_longer_time_never_holds_a_smaller_share(histogram: Histogram, durations_s: list[float]) -> None:
    first, second = (histogram.share_within(duration_s) for duration_s in sorted(durations_s))
    if first is not None and second is not None:
        assert 0.0 <= first <= second <= 1.0
