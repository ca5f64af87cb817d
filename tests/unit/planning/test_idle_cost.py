"""What a request costs by how busy the machine is: a line through two readings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.planning.calibrated import PAGE

from colonnade.planning.calibration import costs_at
from colonnade.planning.idle_cost import IDLE_COST_MAX, factor, idle_cost_of, utilization_at


def test_the_line_is_found_again() -> None:
    cost = {u: 0.004 * factor(0.6, u) for u in (0.35, 0.7)}
    assert idle_cost_of([((0.35, cost[0.35]), (0.7, cost[0.7]))]) == pytest.approx(0.6)


def test_noise_that_says_anything_is_kept_within_bounds() -> None:
    assert idle_cost_of([]) == 0
    assert idle_cost_of([((0.3, 0.004), (0.7, 0.005))]) == 0, "dearer when busy is contention, which is not meant here"
    assert idle_cost_of([((0.60, 0.006), (0.61, 0.004))]) == IDLE_COST_MAX
    assert idle_cost_of([((0.5, 0.006), (0.5, 0.004))]) == 0, "two readings at one load tell nothing"


@pytest.mark.parametrize("idle_cost", [0.0, 0.4, 1.0])
def test_a_machine_is_busier_than_its_share_of_the_capacity_says(idle_cost: float) -> None:
    for share in (0.0, 0.2, 0.5, 0.9):
        u = utilization_at(idle_cost, share)
        assert u == pytest.approx(share * factor(idle_cost, u))
        assert share <= u <= 1
    assert utilization_at(idle_cost, 1.0) == pytest.approx(1)
    assert utilization_at(idle_cost, 3.0) == 1


def test_costs_read_at_one_load_are_told_for_another() -> None:
    (idle,) = costs_at([PAGE], 0.5, 0.0)
    assert idle.cpu_s["web"] == pytest.approx(PAGE.cpu_s["web"] * 1.5), "PAGE was read on a busy machine"
    assert costs_at([idle], 0.5, 1.0)[0].cpu_s == pytest.approx(PAGE.cpu_s)
    assert costs_at([PAGE], 0.0, 0.1)[0].cpu_s == PAGE.cpu_s


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.002, 0.05))
def test_what_computes_less_is_done_as_much_earlier_and_waits_as_long(
    idle_cost: float, one: float, other: float, mean_s: float
) -> None:
    (there,) = costs_at([replace(PAGE, mean_s=mean_s, utilization=one)], idle_cost, other)
    computing_s = sum(PAGE.cpu_s.values())
    waiting_s = max(0.0, mean_s - computing_s)
    if mean_s >= computing_s:
        assert there.mean_s - sum(there.cpu_s.values()) == pytest.approx(waiting_s, abs=1e-9)
    assert there.mean_s > 0
    (back,) = costs_at([there], idle_cost, one)
    assert back.cpu_s == pytest.approx(PAGE.cpu_s)
    assert back.mean_s == pytest.approx(mean_s)
