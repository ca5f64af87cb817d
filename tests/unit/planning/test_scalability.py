"""The universal scalability law: a published fit, and laws that are found again."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from colonnade.planning.scalability import Fit, Law, fit
from colonnade.planning.student import t_cdf, t_quantile

SPEC_SDM91 = ((1, 64.9), (18, 995.9), (36, 1652.4), (72, 1853.2), (108, 1828.9), (144, 1775.0), (216, 1702.2))
"""A SPARCcenter 2000 in the SPEC SDM 91 benchmark: users and scripts an hour, the example of R's package `usl`."""


def test_a_published_fit_is_found_again() -> None:
    """The package's own summary says σ = 0.0277285 ± 0.0091217 and κ = 0.0001044 ± 0.0000199 (standard errors; it calls
    them alpha and beta), and a peak at 96.5 users."""
    found = fit(SPEC_SDM91)
    assert found.law.contention == pytest.approx(0.0277285, abs=1e-7)
    assert found.law.coherency == pytest.approx(0.0001044, abs=1e-7)
    assert found.law.peak_users == pytest.approx(96.5, abs=0.05)
    assert found.contention is not None
    assert found.coherency is not None
    t = t_quantile(0.975, 4)
    assert (found.contention.high - found.contention.value) / t == pytest.approx(0.0091217, abs=1e-6)
    assert (found.coherency.high - found.coherency.value) / t == pytest.approx(0.0000199, abs=1e-7)


@given(st.floats(1, 1e5), st.floats(0, 0.5), st.floats(0, 0.01))
@settings(max_examples=50)
def test_an_exact_law_is_found_again(rate: float, contention: float, coherency: float) -> None:
    law = Law(rate, contention, coherency)
    found = fit([(n, law.throughput(n)) for n in (1, 2, 4, 8, 16, 32)])
    assert found.law.rate_of_one == pytest.approx(rate, rel=1e-4)
    assert found.law.contention == pytest.approx(contention, abs=1e-4)
    assert found.law.coherency == pytest.approx(coherency, abs=1e-5)
    assert found.error_max < 1e-3


@given(st.floats(0, 0.9), st.floats(0, 0.1), st.floats(1, 1_000))
def test_speed_never_exceeds_the_number(contention: float, coherency: float, users: float) -> None:
    law = Law(1.0, contention, coherency)
    assert law.speedup(users) <= users * (1 + 1e-9)
    assume(coherency > 1e-6)
    assert law.throughput(max(1.0, law.peak_users)) >= law.throughput(max(1.0, 2 * law.peak_users)) - 1e-9


def test_without_coherency_it_is_amdahl_s_law() -> None:
    assert Law(10.0, 0.05, 0.0).throughput_max == pytest.approx(200)
    assert Law(10.0, 0.05, 0.0).speedup(20) == pytest.approx(1 / (0.05 + 0.95 / 20))
    assert Law(10.0, 0.0, 0.0).throughput_max == math.inf


def test_what_seems_better_than_linear_has_no_negative_contention() -> None:
    found: Fit = fit([(1, 10.0), (2, 21.0), (4, 43.0), (8, 88.0)])
    assert (found.law.contention, found.law.coherency) == (0, 0)
    assert found.contention is not None
    assert found.contention.high == 0


def test_three_points_have_no_interval_and_two_no_law() -> None:
    found = fit([(1, 10.0), (4, 30.0), (8, 40.0)])
    assert found.contention is None
    with pytest.raises(ValueError, match="expected 3"):
        fit([(1, 10.0), (2, 20.0), (2, 21.0)])


@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (1e6, 1.960)]
)
def test_student_s_table(freedom: float, t: float) -> None:
    """The 97.5 % column of any table of the t distribution."""
    assert t_quantile(0.975, freedom) == pytest.approx(t, abs=0.0006)
    assert t_cdf(-t, freedom) == pytest.approx(0.025, abs=1e-4)
    assert t_quantile(0.025, freedom) == pytest.approx(-t, abs=0.0006)


def test_a_probability_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="probability"):
        t_quantile(1.0, 3)
