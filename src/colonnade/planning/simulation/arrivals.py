"""When requests come: at a rate, along a trace of rates, or at the moments of a log.

Each gives ascending moments in seconds from 0, some without end; whoever asks stops at the end of the run. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from random import Random
from typing import Protocol

from colonnade.planning.model import Load
from colonnade.planning.simulation.distributions import stream, with_scv


class Arrivals(Protocol):
    """A way for requests to come."""

    def moments(self, random: Random) -> Iterator[float]: ...


@dataclass(frozen=True, slots=True)
class Steady:
    """At a constant rate. The times between two are independent, with `scv`: 1 is Poisson, 0 a metronome."""

    rate_per_s: float
    scv: float = 1.0

    def __post_init__(self) -> None:
        Load(self.rate_per_s, self.scv)

    def moments(self, random: Random) -> Iterator[float]:
        return accumulate(stream(with_scv(1 / self.rate_per_s, self.scv), random))


@dataclass(frozen=True, slots=True)
class Trace:
    """Arrivals a second at 0, `step_s`, 2·`step_s` …, straight lines between, the last one holding on."""

    rates: Sequence[float]
    step_s: float = 60.0

    def __post_init__(self) -> None:
        if len(self.rates) < 2 or not min(self.rates) >= 0 or not 0 < self.step_s < math.inf:
            raise ValueError(
                f"expected at least two rates of at least 0 and steps above 0, got {len(self.rates)} rates"
            )

    @property
    def duration_s(self) -> float:
        return (len(self.rates) - 1) * self.step_s

    def rate(self, at_s: float) -> float:
        index = int(at_s // self.step_s)
        if index >= len(self.rates) - 1:
            return self.rates[-1]
        share = at_s / self.step_s - index
        return self.rates[index] * (1 - share) + self.rates[index + 1] * share

    def moments(self, random: Random) -> Iterator[float]:
        """A Poisson process with this rate until the last step, by thinning (Lewis and Shedler, 1979), step by step, so
        that a quiet hour costs no more than it has arrivals."""
        expovariate, draw, step_s = random.expovariate, random.random, self.step_s
        for index in range(len(self.rates) - 1):
            begin, end = self.rates[index], self.rates[index + 1]
            bound = max(begin, end)
            if bound <= 0:
                continue
            slope = (end - begin) / step_s
            offset_s = expovariate(bound)
            while offset_s < step_s:
                if begin == end or draw() * bound < begin + slope * offset_s:
                    yield index * step_s + offset_s
                offset_s += expovariate(bound)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The moments of a log, as they were."""

    moments_s: Sequence[float]

    def __post_init__(self) -> None:
        if self.moments_s and (
            self.moments_s[0] < 0 or any(after < before for before, after in pairwise(self.moments_s))
        ):
            raise ValueError("expected ascending moments from 0 on: sort them, and subtract the first")

    def moments(self, random: Random) -> Iterator[float]:
        return iter(self.moments_s)
