"""Whether a new version is worse: by tables, and by how often the judgement is wrong."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from random import Random
from typing import Any

import pytest

from colonnade.core.histogram import BOUNDS_MS, BUCKETS_COUNT, Histogram
from colonnade.runtime.canary import CHANCE_MAX, STRETCHES, Comparison, Tally, chance_of, judge

LOOKS = 20
"""Of a canary of ten seconds."""

LOOK_S = 0.5


def latencies(values_ms: list[float]) -> Histogram:
    counts = [0] * BUCKETS_COUNT
    for value in values_ms:
        counts[bisect_right(BOUNDS_MS, value)] += 1
    return Histogram(tuple(counts))


def tally(answers: int, errors: int, latency_ms: float = 20.0) -> Tally:
    return Tally(answers, errors, latencies([latency_ms] * answers))


def compared(old: Tally, new: Tally, answers_min: int = 50) -> Comparison:
    """The same share of both in each of so many looks that it is long enough."""

    def part(whole: Tally, index: int) -> Tally:
        def share(count: int) -> int:
            return count * (index + 1) // LOOKS - count * index // LOOKS

        return Tally(share(whole.answers), share(whole.errors), Histogram(tuple(map(share, whole.latency.counts))))

    comparison = Comparison()
    for index in range(LOOKS):
        comparison = comparison.with_answers(part(old, index), part(new, index), index * LOOK_S, answers_min)
    return comparison


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (tally(1500, 0), tally(500, 0), "no_worse"),
        (tally(1500, 0), tally(500, 25), "more_errors"),
        (tally(1500, 75), tally(500, 25), "no_worse"),  # both err: not the version's doing
        (tally(1500, 0), tally(500, 1), "no_worse"),  # one may be chance
        (tally(1500, 0), tally(10, 10), "more_errors"),  # few answers, but all bad
        (tally(30, 0), tally(10, 1), "too_few_answers"),
        (tally(0, 0), tally(0, 0), "nothing_asked"),
        (tally(1_500_000, 0), tally(500_000, 2_000), "no_worse"),  # certain, and too small to matter
        (tally(1500, 0, 20), tally(500, 0, 60), "slower"),
        (tally(1500, 0, 20), tally(500, 0, 25), "no_worse"),
        (tally(1500, 0, 1), tally(500, 0, 3), "no_worse"),  # three times as slow, and nobody sees it
        (tally(1500, 0, 20), tally(40, 0, 60), "too_few_answers"),
        (tally(40, 0, 20), tally(500, 0, 60), "too_few_answers"),  # nothing is known of the old version
    ],
)
def test_judgements(old: Tally, new: Tally, reason: str) -> None:
    judgement = judge(compared(old, new), answers_min=50)
    assert judgement.reason == reason, judgement
    assert judgement.is_worse == (reason in ("more_errors", "slower"))
    assert judgement.is_complete == (reason not in ("too_few_answers", "nothing_asked"))
    assert judgement.message


def test_a_slow_tail_is_seen_although_the_median_is_as_before() -> None:
    old = Tally(2000, 0, latencies([20.0] * 1960 + [150.0] * 40))
    new = Tally(500, 0, latencies([20.0] * 400 + [400.0] * 100))
    assert judge(compared(old, new), 50).reason == "slower"


def test_what_does_not_last_is_not_slower() -> None:
    """A pause of one replica delays all who come meanwhile: many answers, one cause."""
    calm, pause = Tally(20, 0, latencies([20.0] * 20)), Tally(20, 0, latencies([800.0] * 20))
    comparison = Comparison()
    for look in range(LOOKS):
        new = pause if look in (4, 5, 6) else calm
        comparison = comparison.with_answers(calm, new, look * LOOK_S, 50)
        assert not judge(comparison, 50).is_worse
    assert judge(comparison, 50).reason == "no_worse"


def test_many_answers_in_no_time_say_nothing_about_slowness() -> None:
    comparison = Comparison().with_answers(tally(1500, 0, 20), tally(500, 0, 60), 0.0, 50)
    assert judge(comparison, 50).reason == "too_short"
    assert not judge(comparison, 50).is_complete


def test_with_few_requests_a_stretch_is_longer() -> None:
    comparison = Comparison()
    for second in range(60):
        comparison = comparison.with_answers(tally(3, 0, 20), tally(1, 0, 60), float(second), 50)
        assert len(comparison.stretches) == min(STRETCHES, (second + 1) // 10)
    assert judge(comparison, 50).reason == "slower"


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


@dataclass(frozen=True)
class Replica:
    """What one replica answers. Latencies are lognormal, as most are. `pauses_per_s`: how often it stands still; who
    comes meanwhile waits for the end. `cold_answers`: so many first ones take longer."""

    answers_per_look: int
    slower: float = 1.0
    error_share: float = 0.0
    pauses_per_s: float = 0.0
    cold_answers: int = 0

    def looks(self, random: Random) -> Iterator[Tally]:
        pauses, at_s = [], 0.0
        while self.pauses_per_s and (at_s := at_s + random.expovariate(self.pauses_per_s)) < LOOKS * LOOK_S:
            pauses.append((at_s, at_s + random.uniform(0.3, 1.5)))
        cold_left = self.cold_answers
        for look in range(LOOKS):
            times = []
            for _ in range(self.answers_per_look):
                at_s = (look + random.random()) * LOOK_S
                waits_ms = sum((end - at_s) * 1000 for begin, end in pauses if begin <= at_s < end)
                times.append(self.slower * random.lognormvariate(3.0, 0.5) + waits_ms + 150.0 * (cold_left > 0))
                cold_left -= 1
            errors = sum(random.random() < self.error_share for _ in times)
            yield Tally(len(times), errors, latencies(times))


def share_undone(runs: int, old: Replica, new: Replica) -> float:
    """Of canaries of ten seconds beside three old replicas, judged at each look."""
    random = Random(5)
    return sum(is_undone(random, old, new) for _ in range(runs)) / runs


def is_undone(random: Random, old: Replica, new: Replica) -> bool:
    comparison = Comparison()
    olds = [old.looks(random) for _ in range(3)]
    for index, (more, *others) in enumerate(zip(new.looks(random), *olds, strict=True)):
        together = reduce(Tally.plus, others)
        comparison = comparison.with_answers(together, more, index * LOOK_S, 50)
        if judge(comparison, 50).is_worse:
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("answers", [60, 200, 500])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
def test_an_equal_version_is_hardly_ever_undone(answers: int, share: float) -> None:
    replica = Replica(answers // LOOKS, error_share=share)
    assert share_undone(150, replica, replica) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("answers", [60, 200, 500])
@pytest.mark.parametrize(
    ("pauses_per_s", "cold_answers"), [(0.1, 0), (0.2, 0), (0.4, 0), (0.0, 8), (0.0, 16), (0.2, 16)]
)
def test_an_equal_version_is_hardly_ever_undone_for_the_noise_of_the_machine(
    answers: int, pauses_per_s: float, cold_answers: int
) -> None:
    old = Replica(answers // LOOKS, pauses_per_s=pauses_per_s)
    new = replace(old, cold_answers=cold_answers)
    assert share_undone(150, old, new) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "what", "least"),
    [
        (500, {"error_share": 0.05}, 0.99),
        (200, {"error_share": 0.05}, 0.75),
        (500, {"slower": 3.0}, 0.99),
        (100, {"slower": 3.0}, 0.95),
        (500, {"slower": 2.0}, 0.95),
        (60, {"error_share": 0.3}, 0.99),
    ],
)
def test_a_bad_version_is_nearly_always_undone(answers: int, what: dict[str, Any], least: float) -> None:
    old = Replica(answers // LOOKS)
    assert share_undone(100, old, replace(old, **what)) >= least


@pytest.mark.slow
def test_a_version_that_errs_more_is_undone_although_the_old_one_errs_as_well() -> None:
    old = Replica(500 // LOOKS, error_share=0.01)
    assert share_undone(100, old, replace(old, error_share=0.06)) >= 0.80


@pytest.mark.slow
@pytest.mark.parametrize(("answers", "least"), [(100, 0.75), (500, 0.80)])
def test_a_slow_version_is_found_in_the_noise_of_the_machine(answers: int, least: float) -> None:
    old = Replica(answers // LOOKS, pauses_per_s=0.2)
    assert share_undone(100, old, replace(old, slower=3.0)) >= least


def test_chance_is_small_enough_for_many_looks() -> None:
    assert CHANCE_MAX * LOOKS <= 0.01
