"""Percentiles from transforms, against distributions whose percentiles are known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.planning import transform

times = st.floats(min_value=1e-4, max_value=100.0)
shares = st.floats(min_value=0.01, max_value=0.999)


@given(times, shares)
@settings(max_examples=30)
def test_an_exponential_has_its_closed_form(mean_s: float, share: float) -> None:
    found = transform.quantile_s(transform.exponential(mean_s), share, mean_s)
    assert found == pytest.approx(-mean_s * math.log(1 - share), rel=1e-4)


@pytest.mark.parametrize(("stages", "t", "tail"), [(2, 3.0, 0.19915), (5, 5.0, 0.44049), (10, 15.0, 0.06985)])
def test_sums_of_exponentials_are_erlang(stages: int, t: float, tail: float) -> None:
    """P(Erlang(n) > t) = P(Poisson(t) < n): any table of the Poisson distribution."""
    together = transform.total([transform.exponential(1.0)] * stages)
    assert transform.tail(together, t) == pytest.approx(tail, abs=1e-5)
    assert transform.tail(transform.service(stages, 1 / stages), t) == pytest.approx(tail, abs=1e-5)
    assert transform.tail(transform.repeated(transform.exponential(1.0), stages), t) == pytest.approx(tail, abs=1e-5)


def test_a_wait_that_not_everybody_has_is_an_atom_at_nothing() -> None:
    wait = transform.delayed(0.3, transform.exponential(2.0))
    assert transform.tail(wait, 1.0) == pytest.approx(0.3 * math.exp(-0.5), abs=1e-6)
    assert transform.mean_s(wait, 2.0) == pytest.approx(0.6, rel=1e-4)


def test_a_count_and_a_half_is_once_and_every_other_time_twice() -> None:
    half = transform.repeated(transform.exponential(1.0), 1.5)
    mixed = transform.mixture(
        [(0.5, transform.exponential(1.0)), (0.5, transform.total([transform.exponential(1.0)] * 2))]
    )
    assert transform.tail(half, 2.0) == pytest.approx(transform.tail(mixed, 2.0))


def test_a_service_that_hardly_varies_is_where_it_should_be() -> None:
    assert transform.quantile_s(transform.service(1.0, 0.0), 0.5, 1.0) == pytest.approx(1.0, abs=0.01)


def test_what_has_no_percentile_is_refused() -> None:
    assert transform.quantile_s(transform.nothing, 0.99, 0.0) == 0.0
    with pytest.raises(ValueError, match="share"):
        transform.quantile_s(transform.exponential(1.0), 1.0, 1.0)
    with pytest.raises(ValueError, match="no such percentile"):
        transform.quantile_s(lambda s: 0.5, 0.9, 1.0)
    with pytest.raises(ValueError, match="unstable"):
        transform.waiting_of_mg1(2.0, transform.exponential(1.0), 1.0)
