"""Student's t: how far a mean of few measurements may be off. Pure.

Source: M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions" (26.7.1 and 26.5.8); the incomplete beta function
by the continued fraction of Lentz, as in W. Press and others, "Numerical Recipes" (6.4).
"""

from __future__ import annotations

import math

STEPS_MAX = 300
"""Of the continued fraction; it needs about √max(a, b)."""

TINY = 1e-300


def t_quantile(probability: float, freedom: float) -> float:
    """t with P(T ≤ t) = `probability`, for ν = `freedom` degrees (above 0). By bisection on the distribution."""
    if not 0 < probability < 1 or freedom <= 0:
        raise ValueError(f"expected a probability and degrees of freedom above 0, got {probability} and {freedom}")
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability:
        low, high = high, 2 * high
    while high - low > 1e-10 * max(1.0, high):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def t_cdf(t: float, freedom: float) -> float:
    """P(T ≤ t) = 1 − I_x(ν/2, 1/2)/2 with x = ν/(ν + t²), for t ≥ 0."""
    half = incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2
    return 1 - half if t >= 0 else half


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), regularised: 0 at x = 0 and 1 at x = 1."""
    if not 0 <= x <= 1:
        raise ValueError(f"expected x between 0 and 1, got {x}")
    if x in (0.0, 1.0):
        return x
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast only on this side of the mean; the other is the mirror image.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, _away_from_0(1 - (a + b) * x / (a + 1))
    d = 1 / d
    value = d
    for m in range(1, STEPS_MAX + 1):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_0(1 + term * d)
            c = _away_from_0(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            return value
    return value


def _away_from_0(value: float) -> float:
    return value if abs(value) > TINY else TINY
