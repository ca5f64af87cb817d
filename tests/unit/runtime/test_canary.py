"""Whether a new version is worse: by tables, and by how often the judgement is wrong."""

from __future__ import annotations

from bisect import bisect_right
from random import Random

import pytest

from colonnade.core.histogram import BOUNDS_MS, BUCKETS_COUNT, Histogram
from colonnade.runtime.canary import CHANCE_MAX, Comparison, Tally, chance_of, judge

LOOKS = 20
"""Of a canary of ten seconds."""


def latencies(values_ms: list[float]) -> Histogram:
    counts = [0] * BUCKETS_COUNT
    for value in values_ms:
        counts[bisect_right(BOUNDS_MS, value)] += 1
    return Histogram(tuple(counts))


def tally(answers: int, errors: int, latency_ms: float = 20.0) -> Tally:
    return Tally(answers, errors, latencies([latency_ms] * answers))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (tally(1500, 0), tally(500, 0), "no_worse"),
        (tally(1500, 0), tally(500, 25), "more_errors"),
        (tally(1500, 75), tally(500, 25), "no_worse"),  # both err: not the version's doing
        (tally(1500, 0), tally(500, 1), "no_worse"),  # one may be chance
        (tally(1500, 0), tally(10, 10), "more_errors"),  # few answers, but all bad
        (tally(30, 0), tally(10, 1), "too_few_answers"),
        (tally(0, 0), tally(0, 0), "too_few_answers"),
        (tally(1_500_000, 0), tally(500_000, 2_000), "no_worse"),  # certain, and too small to matter
        (tally(1500, 0, 20), tally(500, 0, 60), "slower"),
        (tally(1500, 0, 20), tally(500, 0, 25), "no_worse"),
        (tally(1500, 0, 1), tally(500, 0, 3), "no_worse"),  # three times as slow, and nobody sees it
        (tally(1500, 0, 20), tally(40, 0, 60), "too_few_answers"),
        (tally(40, 0, 20), tally(500, 0, 60), "no_worse"),  # nothing is known of the old version
    ],
)
def test_judgements(old: Tally, new: Tally, reason: str) -> None:
    judgement = judge(Comparison(old, new), answers_min=50)
    assert judgement.reason == reason, judgement
    assert judgement.is_worse == (reason in ("more_errors", "slower"))
    assert judgement.message


def test_a_slow_tail_is_seen_although_the_median_is_as_before() -> None:
    old = Tally(2000, 0, latencies([20.0] * 1960 + [150.0] * 40))
    new = Tally(500, 0, latencies([20.0] * 400 + [400.0] * 100))
    assert judge(Comparison(old, new), 50).reason == "slower"


@pytest.mark.parametrize(
    ("bad", "of", "old_bad", "old_of", "expected"),
    [
        (0, 100, 0, 100, 1.0),
        (1, 1, 0, 0, 0.5),  # nothing is known: as likely as not
        (2, 2, 0, 0, 0.375),  # Jeffreys' prior: 3/8
    ],
)
def test_the_chance_is_that_of_the_predictive_distribution(
    bad: int, of: int, old_bad: int, old_of: int, expected: float
) -> None:
    assert chance_of(bad, of, old_bad=old_bad, old_of=old_of) == pytest.approx(expected)


def test_the_chance_falls_with_each_error_and_rises_with_each_of_the_old_version() -> None:
    falling = [chance_of(bad, 100, old_bad=2, old_of=300) for bad in range(20)]
    rising = [chance_of(10, 100, old_bad=bad, old_of=300) for bad in range(20)]
    assert falling == sorted(falling, reverse=True)
    assert rising == sorted(rising)
    assert chance_of(50_000, 100_000, old_bad=50_000, old_of=100_000) == pytest.approx(0.5, abs=0.01)


def is_undone(random: Random, *, answers: int, error_share: float, old_error_share: float, slower: float) -> bool:
    """A canary of ten seconds beside three old replicas, judged at each look. Latencies are lognormal, as most are."""
    comparison = Comparison()
    for _ in range(LOOKS):
        more = []
        for count, share, factor in (
            (3 * answers // LOOKS, old_error_share, 1.0),
            (answers // LOOKS, error_share, slower),
        ):
            times = latencies([factor * random.lognormvariate(3.0, 0.5) for _ in range(count)])
            more.append(Tally(count, sum(random.random() < share for _ in range(count)), times))
        comparison = Comparison(comparison.old.plus(more[0]), comparison.new.plus(more[1]))
        if judge(comparison, 50).is_worse:
            return True
    return False


def share_undone(runs: int, **what: float) -> float:
    random = Random(5)
    answers = int(what.pop("answers"))
    given = {"error_share": 0.0, "old_error_share": 0.0, "slower": 1.0, **what}
    return sum(is_undone(random, answers=answers, **given) for _ in range(runs)) / runs


@pytest.mark.slow
@pytest.mark.parametrize("answers", [60, 200, 500])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
def test_an_equal_version_is_hardly_ever_undone(answers: int, share: float) -> None:
    assert share_undone(150, answers=answers, error_share=share, old_error_share=share) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "what", "least"),
    [
        (500, {"error_share": 0.05}, 0.99),
        (200, {"error_share": 0.05}, 0.75),
        (500, {"error_share": 0.06, "old_error_share": 0.01}, 0.80),
        (500, {"slower": 3.0}, 0.99),
        (100, {"slower": 3.0}, 0.95),
        (60, {"error_share": 0.3}, 0.99),
    ],
)
def test_a_bad_version_is_nearly_always_undone(answers: int, what: dict[str, float], least: float) -> None:
    assert share_undone(100, answers=answers, **what) >= least


def test_chance_is_small_enough_for_many_looks() -> None:
    assert CHANCE_MAX * LOOKS <= 0.01
