"""What is drawn: durations, arrivals and keys, all from the seed."""

from __future__ import annotations

import math
import statistics
from itertools import islice, pairwise, takewhile
from random import Random

import pytest

from colonnade.planning.simulation.arrivals import Recorded, Steady, Trace
from colonnade.planning.simulation.distributions import (
    CHUNK,
    Constant,
    Distribution,
    Exponential,
    Gamma,
    Lognormal,
    Sample,
    stream,
    with_scv,
)
from colonnade.planning.simulation.scenario import Keys
from colonnade.planning.simulation.streams import Streams


@pytest.mark.parametrize(
    ("distribution", "scv"),
    [
        (Constant(0.2), 0.0),
        (Exponential(0.2), 1.0),
        (Gamma(0.2, 0.25), 0.25),
        (Gamma(0.2, 3.0), 3.0),
        (Lognormal(0.2, 1.5), 1.5),
        (Sample((0.1, 0.1, 0.4)), 0.5),
    ],
    ids=lambda each: type(each).__name__,
)
def test_mean_and_variation_are_as_declared(distribution: Distribution, scv: float) -> None:
    values = distribution.draw(Random(1), 40_000)
    assert min(values) >= 0
    mean_s = statistics.fmean(values)
    assert distribution.mean_s == pytest.approx(0.2)
    assert mean_s == pytest.approx(0.2, rel=0.03)
    assert statistics.pvariance(values) / mean_s**2 == pytest.approx(scv, rel=0.2, abs=1e-12)


def test_one_family_for_every_variation() -> None:
    assert [with_scv(1.0, scv) for scv in (0, 1, 0.5)] == [Constant(1.0), Exponential(1.0), Gamma(1.0, 0.5)]
    assert Gamma(0.0, 2.0).draw(Random(1), 3) == [0.0] * 3


def test_a_stream_goes_on_where_a_list_ends() -> None:
    first = list(islice(stream(Exponential(1.0), Random(3)), CHUNK + 10))
    assert first == Exponential(1.0).draw(Random(3), CHUNK + 10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-1.0),
        lambda: Exponential(math.nan),
        lambda: Gamma(1.0, 0.0),
        lambda: Lognormal(0.0, 1.0),
        lambda: Sample(()),
        lambda: Sample((1.0, -1.0)),
        lambda: Sample((math.inf,)),
        lambda: Steady(0.0),
        lambda: Trace((1.0,)),
        lambda: Trace((1.0, -1.0)),
        lambda: Trace((1.0, 1.0), 0.0),
        lambda: Recorded((1.0, 0.5)),
        lambda: Recorded((-1.0, 0.5)),
    ],
)
def test_what_is_no_duration_and_no_arrival_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"expected|not a"):
        make()


@pytest.mark.parametrize("scv", [0.0, 0.5, 1.0, 4.0])
def test_steady_arrivals_have_their_rate_and_variation(scv: float) -> None:
    moments = list(takewhile(lambda at_s: at_s < 400.0, Steady(100.0, scv).moments(Random(2))))
    assert len(moments) == pytest.approx(40_000, rel=0.03)
    gaps = [after - before for before, after in pairwise(moments)]
    assert min(gaps) >= 0
    assert statistics.pvariance(gaps) / statistics.fmean(gaps) ** 2 == pytest.approx(scv, rel=0.1, abs=1e-9)


def test_arrivals_follow_a_trace() -> None:
    trace = Trace([0.0, 100.0, 100.0, 0.0], 50.0)
    found = list(trace.moments(Random(3)))
    assert found == sorted(found)
    by_part = [sum(begin <= at < begin + 50 for at in found) for begin in (0, 50, 100)]
    assert by_part == pytest.approx([2500, 5000, 2500], rel=0.08)
    assert (trace.rate(25.0), trace.rate(75.0), trace.rate(999.0), trace.duration_s) == (50.0, 100.0, 0.0, 150.0)


def test_recorded_arrivals_come_as_they_were() -> None:
    assert list(Recorded((0.0, 0.5, 0.5, 2.0)).moments(Random(1))) == [0.0, 0.5, 0.5, 2.0]


def test_keys_are_as_wanted_as_zipf_says() -> None:
    places = list(islice(Streams(1).keys("web", Keys(count=3, skew=1.0)), 33_000))
    counts = sorted((places.count(place) for place in set(places)), reverse=True)
    assert counts == pytest.approx([18_000, 9_000, 6_000], rel=0.05)
    assert len(set(islice(Streams(1).keys("web", Keys()), 1_000))) == 1_000


def test_streams_of_one_seed_know_nothing_of_each_other() -> None:
    streams = Streams(7)
    assert streams.of("a").random() == Streams(7).of("a").random()
    assert len({streams.of("a").random(), streams.of("b").random(), Streams(8).of("a").random()}) == 3
