"""How long things take at random: service times, starts, lives, repairs, pauses. Given, or read from a measured sample.

Draws come in lists, because one call for a thousand numbers costs a tenth of a thousand calls. Pure: the generator is
passed in. What draws which of these is in `scenario.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from random import Random
from typing import Protocol

CHUNK = 1_024
"""Numbers drawn at a time: enough that the call does not count, little enough to stay in the processor's cache."""


class Distribution(Protocol):
    """Of a duration in seconds, never negative."""

    @property
    def mean_s(self) -> float: ...

    def draw(self, random: Random, count: int) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same."""

    mean_s: float

    def __post_init__(self) -> None:
        _check(self, self.mean_s >= 0)

    def draw(self, random: Random, count: int) -> list[float]:
        return [self.mean_s] * count


@dataclass(frozen=True, slots=True)
class Exponential:
    """Without memory: what has lasted long is as far from its end as what has just begun."""

    mean_s: float

    def __post_init__(self) -> None:
        _check(self, self.mean_s >= 0)

    def draw(self, random: Random, count: int) -> list[float]:
        scale, uniform, log = -self.mean_s, random.random, math.log
        # 1 − U is never 0.
        return [scale * log(1.0 - uniform()) for _ in repeat(None, count)]


@dataclass(frozen=True, slots=True)
class Gamma:
    """Any squared coefficient of variation above 0: an exponential at 1, nearly constant near 0."""

    mean_s: float
    scv: float

    def __post_init__(self) -> None:
        _check(self, self.mean_s >= 0 and 0 < self.scv < math.inf)

    def draw(self, random: Random, count: int) -> list[float]:
        gamma, shape, scale_s = random.gammavariate, 1 / self.scv, self.mean_s * self.scv
        if scale_s == 0:
            return [0.0] * count
        return [gamma(shape, scale_s) for _ in repeat(None, count)]


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Many small and few large ones, with a tail heavier than exponential: what measured service times look like."""

    mean_s: float
    scv: float

    def __post_init__(self) -> None:
        _check(self, self.mean_s > 0 and 0 < self.scv < math.inf)

    def draw(self, random: Random, count: int) -> list[float]:
        variance = math.log(1 + self.scv)
        mu, sigma = math.log(self.mean_s) - variance / 2, math.sqrt(variance)
        lognormal = random.lognormvariate
        return [lognormal(mu, sigma) for _ in repeat(None, count)]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured, each value as likely as the others (the empirical distribution)."""

    values_s: Sequence[float]

    def __post_init__(self) -> None:
        if not self.values_s or min(self.values_s) < 0 or not math.isfinite(sum(self.values_s)):
            raise ValueError("expected a sample of at least one duration, all of them finite and at least 0")

    @property
    def mean_s(self) -> float:
        return math.fsum(self.values_s) / len(self.values_s)

    def draw(self, random: Random, count: int) -> list[float]:
        return random.choices(self.values_s, k=count)


def with_scv(mean_s: float, scv: float) -> Distribution:
    """One family for every mean and squared coefficient of variation: the gamma, with its two limits drawn faster."""
    if scv == 0:
        return Constant(mean_s)
    return Exponential(mean_s) if scv == 1 else Gamma(mean_s, scv)


def stream(distribution: Distribution, random: Random) -> Iterator[float]:
    """Numbers without end."""
    return chain.from_iterable(distribution.draw(random, CHUNK) for _ in repeat(None))


def _check(distribution: object, is_right: bool) -> None:
    if not is_right:
        raise ValueError(f"not a distribution of durations: {distribution}")
