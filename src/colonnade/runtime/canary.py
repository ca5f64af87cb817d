"""Is a new version worse than the old one? From what both answered in the same time. Pure.

Two questions, each with a margin (is the difference worth anything?) and a test (could it be chance?). Chance is
asked for by prediction: given what the old version did, how likely is it that as many of so few answers of an equal
version are bad? That is exact for small counts, needs no normal approximation, and allows for how little is known of
the old version, too. The question is asked at every look, twice a second, so `CHANCE_MAX` is small;
`tests/unit/runtime/test_canary.py` has what that gives: how often an equal version is undone, and a bad one is not.

Never decides how long to look: that is `rollout.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, lgamma

from colonnade.core.histogram import BUCKETS_COUNT, Histogram

CHANCE_MAX = 1e-4
"""How likely as bad a result may be for an equal version, at one look. A canary of ten seconds has twenty looks."""

ERROR_SHARE_MARGIN = 0.005
"""A version that errs by less than this more often is let through: with enough requests any difference is significant,
and half a percent is what one notices."""

LATENCY_RATIO_MAX = 1.5
"""The median, or what 95 of 100 stay below, may be so many times the old one's. Replicas of equal versions differ by
a fifth, and one that has just started has cold caches."""

LATENCY_MARGIN_S = 0.005
"""… and it must be this much longer: nobody sees the difference between one millisecond and two."""

TAIL = 0.05
"""The slowest of the old version, by which the new one is measured: the twentieth part."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one version answered while both were in rotation."""

    answers: int = 0
    errors: int = 0
    """Statuses from 500 and replies that broke off."""
    latency: Histogram = field(default_factory=Histogram)

    def plus(self, other: Tally) -> Tally:
        return Tally(self.answers + other.answers, self.errors + other.errors, self.latency.plus(other.latency))

    def since(self, earlier: Tally) -> Tally:
        """What came after `earlier`, of counters that only grow; a smaller one was started anew."""
        if self.answers < earlier.answers or self.errors < earlier.errors:
            return self
        latency = self.latency.since(earlier.latency)
        return Tally(self.answers - earlier.answers, self.errors - earlier.errors, latency)


@dataclass(frozen=True, slots=True)
class Comparison:
    old: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class Judgement:
    is_worse: bool
    reason: str
    message: str


def judge(comparison: Comparison, answers_min: int) -> Judgement:
    """Errors are believed at any count; latency from `answers_min` answers of the new version on."""
    old, new = comparison.old, comparison.new
    if _errs_more(old, new):
        return Judgement(True, "more_errors", f"{_errors(new)} against {_errors(old)} of the old version")
    if min(new.latency.total(), old.latency.total()) >= answers_min and (
        slower := _is_slower(old.latency, new.latency)
    ):
        return Judgement(True, "slower", slower)
    if new.answers < answers_min:
        message = f"it gave {new.answers} answers, fewer than {answers_min}: too few for a comparison"
        return Judgement(False, "too_few_answers", message)
    return Judgement(
        False, "no_worse", f"{_errors(new)} against {_errors(old)} of the old version{_latencies(old, new)}"
    )


def chance_of(bad: int, of: int, *, old_bad: int, old_of: int) -> float:
    """Probability that an equal version has at least `bad` of `of`, given that the old one had `old_bad` of `old_of`.

    Beta-binomial with Jeffreys' prior (Jeffreys 1946): the predictive distribution of a count for an unknown share.
    """
    if bad <= 0:
        return 1.0
    a, b = old_bad + 0.5, old_of - old_bad + 0.5
    term = exp(_log_beta_binomial(bad, of, a, b))
    total = 0.0
    for count in range(bad, of + 1):
        total += term
        if term < total * 1e-9:
            break
        # The next term from this one: no logarithms of gamma functions in a loop of thousands.
        term *= (of - count) * (count + a) / ((count + 1) * (of - count - 1 + b))
    return min(1.0, total)


def _log_beta_binomial(count: int, of: int, a: float, b: float) -> float:
    choose = lgamma(of + 1) - lgamma(count + 1) - lgamma(of - count + 1)
    return choose + _log_beta(count + a, of - count + b) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _errs_more(old: Tally, new: Tally) -> bool:
    if not new.answers or new.errors / new.answers - old.errors / max(1, old.answers) < ERROR_SHARE_MARGIN:
        return False
    return chance_of(new.errors, new.answers, old_bad=old.errors, old_of=old.answers) < CHANCE_MAX


def _is_slower(old: Histogram, new: Histogram) -> str:
    """Why it is slower; empty when it is not."""
    for quantile in (0.5, 1 - TAIL):
        was_s, is_s = old.quantile_s(quantile) or 0.0, new.quantile_s(quantile) or 0.0
        if is_s < LATENCY_RATIO_MAX * was_s or is_s - was_s < LATENCY_MARGIN_S:
            continue
        bound = _bound_of_tail(old)
        old_slow, new_slow = _above(old, bound), _above(new, bound)
        chance = chance_of(new_slow, new.total(), old_bad=old_slow, old_of=old.total())
        if chance < CHANCE_MAX:
            return (
                f"{quantile:.0%} of its answers take up to {is_s * 1000:.0f} ms, of the old version's "
                f"{was_s * 1000:.0f} ms (limit {LATENCY_RATIO_MAX} times), by {new.total()} and {old.total()} answers"
            )
    return ""


def _bound_of_tail(old: Histogram) -> int:
    """The first bucket above which no more than the slowest of the old version are."""
    return next(index for index in range(BUCKETS_COUNT) if _above(old, index) <= TAIL * old.total())


def _above(histogram: Histogram, bucket: int) -> int:
    return sum(histogram.counts[bucket + 1 :])


def _errors(tally: Tally) -> str:
    return f"{tally.errors} of {tally.answers} answers were errors"


def _latencies(old: Tally, new: Tally) -> str:
    was_s, is_s = old.latency.quantile_s(0.5), new.latency.quantile_s(0.5)
    return "" if was_s is None or is_s is None else f", median {is_s * 1000:.0f} ms against {was_s * 1000:.0f} ms"
