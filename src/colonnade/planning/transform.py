"""Percentiles of sums of times: a time as its Laplace transform, and the way back.

Times that follow each other add up; their transforms are multiplied, whatever their distributions. So a wait at one
station, the service after it and three calls to another are one product, and its percentile is found by inversion.

A transform is E[e^(−sX)] as a function of a complex s. What is inverted must have a smooth distribution: an atom at 0
is fine, one elsewhere (a service that always takes equally long) rings like a bell around it. `service` therefore never
has an scv below SCV_MIN.

Source: J. Abate, W. Whitt, "Numerical Inversion of Laplace Transforms of Probability Distributions" (1995), the
algorithm EULER; J. Abate, W. Whitt, "The Fourier-series method" (1992) for its errors.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable

Transform = Callable[[complex], complex]

SCV_MIN = 0.01
"""Of a service time: a standard deviation of a tenth of the mean. Nothing that computers do varies less."""

ROUND_OFF = 18.4
"""EULER's A: the discretisation error is e^(−A) = 1e−8."""

TERMS = 15
EULER_TERMS = 11
"""n and m of EULER, as its authors recommend them: so many terms of the series, and an average of so many more."""

QUANTILE_STEPS = 60
"""Halvings of an interval: more than a double has digits."""


def nothing(s: complex) -> complex:
    """Of a time that is always 0."""
    return 1.0


def exponential(mean_s: float) -> Transform:
    """1/(1 + s·m)."""
    return lambda s: 1.0 / (1.0 + s * mean_s)


def gamma(mean_s: float, scv: float) -> Transform:
    """(1 + s·m·scv)^(−1/scv), a gamma distribution; for scv = 0 e^(−s·m), which is always m."""
    if scv == 0:
        return lambda s: cmath.exp(-s * mean_s)
    return lambda s: (1.0 + s * mean_s * scv) ** (-1.0 / scv)


def service(mean_s: float, scv: float) -> Transform:
    """`gamma` with an scv of at least SCV_MIN, so that it may be inverted."""
    return gamma(mean_s, max(scv, SCV_MIN)) if mean_s > 0 else nothing


def delayed(probability: float, then: Transform) -> Transform:
    """0 but for a `probability`: a wait that not everybody has."""
    return lambda s: 1.0 - probability + probability * then(s)


def total(parts: Iterable[Transform]) -> Transform:
    """One after the other, independent of each other."""
    known = tuple(parts)

    def product(s: complex) -> complex:
        value: complex = 1.0
        for part in known:
            value *= part(s)
        return value

    return product


def repeated(part: Transform, count: float) -> Transform:
    """`count` times one after the other; 1.5 is once, and every other time twice."""
    whole, share = int(count), count - int(count)
    return lambda s: part(s) ** whole * (1.0 - share + share * part(s))


def mixture(parts: Iterable[tuple[float, Transform]]) -> Transform:
    """One of these, with its share; the shares are 1 together."""
    known = tuple(parts)
    return lambda s: sum(share * part(s) for share, part in known)


def waiting_of_mg1(arrival_rate: float, service_of: Transform, service_time_s: float) -> Transform:
    """W(s) = (1 − ρ)·s/(s − λ + λ·B(s)), the wait in M/G/1 (Pollaczek–Khinchine's transform); ρ < 1."""
    idle = 1.0 - arrival_rate * service_time_s
    if idle <= 0:
        raise ValueError(f"unstable: ρ = {1 - idle:.3f}")
    return lambda s: idle * s / (s - arrival_rate + arrival_rate * service_of(s))


def tail(transform: Transform, t_s: float) -> float:
    """P(X > t), to about 1e−7 where the distribution is smooth."""
    if t_s <= 0:
        return 1.0

    def of_tail(s: complex) -> complex:
        return (1.0 - transform(s)) / s

    step = math.pi / t_s
    real = ROUND_OFF / (2 * t_s)
    scale = math.exp(ROUND_OFF / 2) / t_s
    series = scale * of_tail(complex(real, 0.0)).real / 2
    sums = []
    for k in range(1, TERMS + EULER_TERMS + 1):
        series += (-1) ** k * scale * of_tail(complex(real, k * step)).real
        if k >= TERMS:
            sums.append(series)
    averaged: float = sum(math.comb(EULER_TERMS, k) * sums[k] for k in range(EULER_TERMS + 1)) / 2**EULER_TERMS
    return min(1.0, max(0.0, averaged))


def quantile_s(transform: Transform, quantile: float, mean_s: float) -> float:
    """The time that the share `quantile` stays within; `mean_s` is where the search begins."""
    if not 0 < quantile < 1:
        raise ValueError(f"expected a share between 0 and 1, got {quantile}")
    if mean_s <= 0:
        return 0.0
    wanted = 1 - quantile
    low, high = 0.0, mean_s
    while tail(transform, high) > wanted:
        low, high = high, high * 2
        if high > mean_s * 1e6:
            raise ValueError("has no such percentile: not a distribution with this mean")
    for _ in range(QUANTILE_STEPS):
        middle = (low + high) / 2
        if high - low <= 1e-6 * high:
            break
        low, high = (middle, high) if tail(transform, middle) > wanted else (low, middle)
    return (low + high) / 2


def mean_s(transform: Transform, scale_s: float) -> float:
    """E[X] = −f'(0), by a difference over a small step of 1/`scale_s`: a check of what was put together."""
    step = 1e-5 / scale_s
    return -((transform(complex(step)) - transform(complex(-step))) / (2 * step)).real
