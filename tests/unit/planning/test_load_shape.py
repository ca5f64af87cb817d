"""Load shapes: those that come along are good and say where they come from; what is wrong with one is told."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.core.errors import SpecError
from colonnade.planning.load_shape import Burst, find_shape, shape_from, shape_names

SMALL: dict[str, Any] = {"title": "t", "period": "1h", "write_share": 0.1, "points": [["0m", 1], ["60m", 1]]}


def test_the_four_of_the_brief_are_there() -> None:
    assert shape_names() == ("shop", "social", "teaching", "trading")


@pytest.mark.parametrize("name", shape_names())
def test_each_has_a_mix_an_objective_and_sources(name: str) -> None:
    shape = find_shape(name)
    assert 0 < shape.write_share < 1
    assert shape.objective is not None
    assert shape.availability is not None
    assert sum(bool(source.work) for source in shape.sources) >= 1
    assert shape.peak > 2


@pytest.mark.parametrize("name", shape_names())
@pytest.mark.parametrize("slices", [1, 24, 120, 1440])
def test_its_relative_rates_are_one_on_average(name: str, slices: int) -> None:
    relative = find_shape(name).relative(slices)
    assert len(relative) == slices
    assert math.fsum(relative) / slices == pytest.approx(1)
    assert min(relative) >= 0


def test_what_makes_each_kind_what_it_is() -> None:
    """Trading is strict, writes most and has the highest spike; social writes least; a shop's sale is at eight."""
    shapes = {name: find_shape(name) for name in shape_names()}
    assert max(shapes, key=lambda name: shapes[name].peak) == "trading"
    assert max(shapes, key=lambda name: shapes[name].write_share) == "trading"
    assert min(shapes, key=lambda name: shapes[name].write_share) == "social"
    assert min(shapes, key=lambda name: objective_s(shapes[name])) == "trading"
    shop = shapes["shop"].relative(24)
    assert shop.index(max(shop)) == 20


def objective_s(shape: Any) -> float:
    return float(shape.objective.within_s)


@given(st.floats(0, 100), st.floats(0.1, 20))
def test_a_burst_rises_stays_and_falls(at_s: float, times: float) -> None:
    burst = Burst(10, 5, 20, 15, times)
    low, high = sorted((1.0, times))
    assert low - 1e-9 <= burst.factor(at_s) <= high + 1e-9
    assert burst.factor(20) == times
    assert burst.factor(9.9) == burst.factor(50) == 1


def test_points_are_joined_by_straight_lines_and_periods_follow_each_other() -> None:
    shape = shape_from({**SMALL, "points": [["0m", 1], ["30m", 3], ["60m", 1]]}, name="x", subject="x")
    assert shape.rate(15 * 60) == pytest.approx(2)
    assert shape.rate(75 * 60) == pytest.approx(2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": [["0m", 1], ["50m", 1]]}, "from 0 to the period"),
        ({"points": [["0m", 1], ["40m", 1], ["30m", 1], ["60m", 1]]}, "ascend"),
        ({"points": [["0m", 0], ["60m", 0]]}, "above 0"),
        ({"points": [["0m", 1], ["60m", -1]]}, "points"),
        ({"write_share": 2}, "write_share"),
        ({"period": "60"}, "period"),
        ({"burst": [{"at": "1m", "rise": "1s", "lasts": "1s", "falls": "1s", "times": 0}]}, "times"),
        ({"speed": 1}, "speed"),
    ],
)
def test_what_is_wrong_with_a_shape_is_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        shape_from({**SMALL, **change}, name="x", subject="x.toml")


def test_a_name_that_is_none_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match="no such load shape") as told:
        find_shape("tradeing")
    assert "trading" in told.value.hint
