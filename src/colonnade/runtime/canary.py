"""Is a new version worse than the old one? From what both answered in the same time. Pure.

Two questions, each with a margin (is the difference worth anything?) and a test (could it be chance?). Chance is
asked for by prediction: given what the old version did, how likely is it that as many of so few answers of an equal
version are bad? That is exact for small counts, needs no normal approximation, and allows for how little is known of
the old version, too. The question is asked at every look, twice a second, so `CHANCE_MAX` is small;
`tests/unit/runtime/test_canary.py` has what that gives: how often an equal version is undone, and a bad one is not.

That test takes answers for independent of each other, which latencies are not: a process that stands still for a second
makes everybody wait who comes meanwhile, and one that has just started is slow until its caches are full. So latency
needs a third thing: it has *lasted*, stretch of time by stretch of time.

Never decides how long to look: that is `rollout.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil, exp, lgamma

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

QUANTILES = (0.5, 0.95)
"""What is compared: who is slow for some requests only has a good median."""

STRETCHES = 5
"""So many in a row, the latest, in each of which the new version must be slower. Simulated with pauses of 0.3 to 1.5 s
every five seconds in each replica, or with eight cold answers, an equal version is undone in 2 of 1,000 canaries of ten
seconds. By chance alone, as if answers were independent, it was 5 to 60 of 100."""

STRETCH_S = 1.4
"""At least, which is three looks: longer than most pauses, and five of them fit into a canary of ten seconds."""

EXCESS_MIN = 0.5
"""The part of the difference over all stretches that must be there in each of them."""


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
class Stretch:
    """The latencies of both versions in the same time."""

    old: Histogram = field(default_factory=Histogram)
    new: Histogram = field(default_factory=Histogram)

    def plus(self, other: Stretch) -> Stretch:
        return Stretch(self.old.plus(other.old), self.new.plus(other.new))

    @property
    def answers(self) -> int:
        """Of the version that gave fewer."""
        return min(self.old.total(), self.new.total())


@dataclass(frozen=True, slots=True)
class Comparison:
    """What both versions answered while both served. `stretches` are the latest, oldest first, each STRETCH_S or longer
    and with its part of the answers that are asked for."""

    old: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)
    stretches: tuple[Stretch, ...] = ()
    present: Stretch = field(default_factory=Stretch)
    """The one that goes on."""
    present_since_s: float | None = None

    def with_answers(self, old: Tally, new: Tally, now: float, answers_min: int) -> Comparison:
        """With what was answered since the last call."""
        present = self.present.plus(Stretch(old.latency, new.latency))
        since_s = now if self.present_since_s is None else self.present_since_s
        more = replace(self, old=self.old.plus(old), new=self.new.plus(new), present=present, present_since_s=since_s)
        if now - since_s < STRETCH_S or present.answers < ceil(answers_min / STRETCHES):
            return more
        stretches = (*self.stretches, present)[-STRETCHES:]
        return replace(more, stretches=stretches, present=Stretch(), present_since_s=now)


@dataclass(frozen=True, slots=True)
class Judgement:
    is_worse: bool
    reason: str
    message: str
    is_complete: bool = True
    """There was enough to see errors and slowness by; otherwise more answers may change it."""


def judge(comparison: Comparison, answers_min: int) -> Judgement:
    """Errors are believed at any count; latency from `answers_min` answers of both versions on."""
    old, new = comparison.old, comparison.new
    if _errs_more(old, new):
        return Judgement(True, "more_errors", _errors(old, new))
    if len(comparison.stretches) == STRETCHES and (slower := _is_slower(comparison.stretches)):
        return Judgement(True, "slower", slower)
    if not old.answers and not new.answers:
        return Judgement(False, "nothing_asked", "nobody asked anything, so nothing was compared", is_complete=False)
    message = f"{_errors(old, new)}{_latencies(old, new)}"
    if min(old.answers, new.answers) < answers_min:
        message += f"; that is too few to be sure, {answers_min} are asked for"
        return Judgement(False, "too_few_answers", message, is_complete=False)
    if len(comparison.stretches) < STRETCHES:
        return Judgement(False, "too_short", f"{message}; too short a time to call it slower", is_complete=False)
    return Judgement(False, "no_worse", message)


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


def _is_slower(stretches: Sequence[Stretch]) -> str:
    """Why it is slower; empty when it is not."""
    both = Stretch()
    for stretch in stretches:
        both = both.plus(stretch)
    for quantile in QUANTILES:
        was_s, is_s = both.old.quantile_s(quantile) or 0.0, both.new.quantile_s(quantile) or 0.0
        if is_s < LATENCY_RATIO_MAX * was_s or is_s - was_s < LATENCY_MARGIN_S:
            continue
        bound = _bound(both.old, quantile)
        old_slow, new_slow = _above(both.old, bound), _above(both.new, bound)
        chance = chance_of(new_slow, both.new.total(), old_bad=old_slow, old_of=both.old.total())
        excess = _excess(both, bound)
        if chance < CHANCE_MAX and all(_excess(stretch, bound) >= EXCESS_MIN * excess for stretch in stretches):
            return (
                f"{quantile:.0%} of its answers take up to {is_s * 1000:.0f} ms, of the old version's "
                f"{was_s * 1000:.0f} ms (limit {LATENCY_RATIO_MAX} times), by {both.new.total()} and "
                f"{both.old.total()} answers, in each of {len(stretches)} stretches of time"
            )
    return ""


def _bound(old: Histogram, quantile: float) -> int:
    """The first bucket above which no more than the rest of the old version's answers are."""
    return next(index for index in range(BUCKETS_COUNT) if _above(old, index) <= (1 - quantile) * old.total())


def _excess(stretch: Stretch, bucket: int) -> float:
    """By how much greater the new version's share of answers above this bucket is."""
    return _above(stretch.new, bucket) / stretch.new.total() - _above(stretch.old, bucket) / stretch.old.total()


def _above(histogram: Histogram, bucket: int) -> int:
    return sum(histogram.counts[bucket + 1 :])


def _errors(old: Tally, new: Tally) -> str:
    return f"{new.errors} of {new.answers} answers were errors, of the old version {old.errors} of {old.answers}"


def _latencies(old: Tally, new: Tally) -> str:
    was_s, is_s = old.latency.quantile_s(0.5), new.latency.quantile_s(0.5)
    return "" if was_s is None or is_s is None else f", median {is_s * 1000:.0f} ms against {was_s * 1000:.0f} ms"
