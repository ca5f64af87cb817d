"""From measured costs to a model and back: what was put in comes out, for mixes that nobody measured."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.core.errors import SpecError
from colonnade.planning.by_routes import capacity_of, mixing_of, variety_of
from colonnade.planning.calibration import (
    VISITORS,
    Mix,
    calibration_from,
    costs_at,
    measured_mix,
    measured_model,
    winsorized,
    without_waiting,
)
from colonnade.planning.declared import STANDBYS
from colonnade.planning.limits import capacity
from colonnade.planning.model import Load
from colonnade.planning.predict import predict

from .calibrated import PAGE, READ, ROUTES, SPEC, WRITE, calibration


def test_shares_follow_weights_and_the_share_of_writes() -> None:
    shares = Mix.of(ROUTES, 0.2).shares
    assert shares == pytest.approx({"GET /": 0.6, "GET /api": 0.2, "POST /api": 0.2})
    assert Mix.of(ROUTES[:2], 0.2).shares == pytest.approx({"GET /": 0.75, "GET /api": 0.25})
    assert Mix.of([WRITE], 0.2).shares == {"POST /api": 1.0}


def test_a_request_that_meets_nobody_takes_what_it_took() -> None:
    for each in ROUTES:
        declared = measured_model(SPEC, ROUTES, Mix({each.name: 1.0}), cores=2.0, replicas={}, visitors=True)
        assert predict(declared.model, Load(1e-4)).mean_s == pytest.approx(each.mean_s, rel=1e-3)


def test_without_the_generator_its_own_time_is_left_out() -> None:
    declared = measured_model(SPEC, ROUTES, Mix({"GET /": 1.0}), cores=2.0, replicas={}, visitors=False)
    assert VISITORS not in [station.name for station in declared.model.stations]
    assert predict(declared.model, Load(1e-4)).mean_s == pytest.approx(0.012 - 0.0005, rel=1e-3)


def test_the_capacity_of_a_mix_is_what_its_requests_cost_together() -> None:
    mix = Mix.of(ROUTES, 0.2)
    declared = measured_model(SPEC, ROUTES, mix, cores=2.0, replicas={"web": 2, "api": 3}, visitors=True)
    cost_s = sum(mix.shares[each.name] * sum(each.cpu_s.values()) for each in ROUTES)
    assert capacity(declared.model) == pytest.approx(2.0 / cost_s)
    assert declared.services == ("web", "api")


def test_what_a_route_does_not_touch_is_not_on_its_way() -> None:
    declared = measured_model(SPEC, [READ], Mix({"GET /api": 1.0}), cores=2.0, replicas={}, visitors=False)
    assert [station.name for station in declared.model.stations] == ["gateway", "api", "database"]


def test_mixed_requests_cost_more_of_each_part_and_take_as_much_longer() -> None:
    (alone,) = costs_at([PAGE], 0.0, 1.0)
    (mixed,) = costs_at([PAGE], 0.0, 1.0, dearer=0.1)
    assert mixed.cpu_s == pytest.approx({name: 1.1 * value for name, value in alone.cpu_s.items()})
    assert mixed.mean_s == pytest.approx(alone.mean_s + 0.1 * sum(alone.cpu_s.values()))


def test_waiting_at_a_low_load_is_taken_off() -> None:
    """What was measured at 30 % of a core is put in with the waiting that the model says, and found again without."""
    true = replace(PAGE, rate_per_s=60.0)
    declared = measured_model(SPEC, [true], Mix({"GET /": 1.0}), cores=2.0, replicas={}, visitors=True)
    seen_s = predict(declared.model, Load(true.rate_per_s)).mean_s
    assert seen_s > 1.03 * true.mean_s
    (found,), notes = without_waiting(SPEC, [replace(true, mean_s=seen_s)], cores=2.0, replicas={})
    assert notes == ()
    assert found.mean_s == pytest.approx(true.mean_s, rel=0.02)


def test_a_page_that_should_cost_more_than_the_machine_has_keeps_what_it_waited() -> None:
    """As one of 0.35 s does at 2/s, when an idle machine is reckoned to take four times as long for it."""
    cpu_s = {name: value * 300 for name, value in PAGE.cpu_s.items()}
    heavy = replace(PAGE, name="GET /report", cpu_s=cpu_s, mean_s=0.4, rate_per_s=2.0)
    assert sum(cpu_s.values()) * heavy.rate_per_s > 2.0
    (kept, light), (note,) = without_waiting(SPEC, [heavy, PAGE], cores=2.0, replicas={})
    assert kept == heavy
    assert light.mean_s <= PAGE.mean_s
    assert note.startswith("GET /report: by what it should cost on an idle machine")
    assert "at 2/s already" in note


def test_a_few_stalls_do_not_make_a_service_vary() -> None:
    random = Random(1)
    calm = [random.gammavariate(20, 0.0005) for _ in range(2_000)]
    mean_s, scv = winsorized([*calm, *[0.5] * 10])
    assert mean_s == pytest.approx(0.01, rel=0.02)
    assert scv == pytest.approx(0.05, rel=0.15)
    with pytest.raises(SpecError, match="no request was answered"):
        winsorized([])


def test_what_is_remembered_is_read_back() -> None:
    found = calibration_from(json.loads(json.dumps(calibration().to_data())))
    assert found == calibration()
    with pytest.raises(ValueError, match="version 0"):
        calibration_from({**calibration().to_data(), "version": 0})


def test_errors_are_relative_to_what_was_measured() -> None:
    found = calibration()
    assert found.capacity_error == pytest.approx(0.05)
    assert found.verified[0].error("theory", "mean") == pytest.approx(0.1)
    assert found.verified[0].error("routes", "mean") == pytest.approx(-0.05)
    assert found.verified[0].error("simulated", "mean") is None
    assert found.verified[1].error("theory", "mean") is None
    assert replace(found, capacity_measured=None).capacity_error is None


def test_costs_of_a_mix_are_compared_over_all_parts_that_are_predicted() -> None:
    one = replace(
        calibration().verified[0],
        cpu_s={"web": 0.003, VISITORS: 0.001, "upkeep": 0.002, STANDBYS: 0.00004},
        cpu_s_predicted={"web": 0.004, VISITORS: 0.001},
    )
    assert one.cost_error == pytest.approx(0.25)
    assert one.compared_s == pytest.approx(0.004)
    assert calibration().verified[0].cost_error is None, "an older calibration does not say"


def test_a_mix_is_predicted_by_its_routes_where_each_of_them_was_measured() -> None:
    routes = calibration().routes
    (one,) = measured_mix(routes, Mix({PAGE.name: 1.0}))
    assert (one.share, one.capacity_per_s, one.seen) == (1.0, 200.0, routes[0].seen)
    assert measured_mix(routes, Mix.of(routes, 0.2)) == ()
    (alone,) = measured_mix(routes, Mix({PAGE.name: 1.0}), mixing=0.25)
    assert alone.capacity_per_s == 200.0, "of one kind nothing is mixed"


def test_mixing_costs_as_often_as_kinds_meet_others() -> None:
    """By hand: kinds of 100/s and 300/s alone are 200/s where each has half of the machine and mixing costs nothing;
    with 160/s it costs a quarter, and they meet each other every second time. Where one of them has three quarters of
    the machine, they do so in 2 · 3/4 · 1/4 of all times."""
    alone = {PAGE.name: 100.0, READ.name: 300.0}
    even = {PAGE.name: 0.25, READ.name: 0.75}
    assert mixing_of(alone, even, 200.0) == pytest.approx(0.0)
    mixing = mixing_of(alone, even, 160.0)
    assert mixing == pytest.approx(0.25 / 0.5)
    assert mixing_of(alone, even, 230.0) == 0, "more than alone is no gain of mixing"
    assert mixing_of(alone, {PAGE.name: 1.0}, 90.0) == 0, "of one kind nothing is mixed"
    routes = [
        replace(each, capacity_per_s=alone[each.name], seen=calibration().routes[0].seen) for each in (PAGE, READ)
    ]
    assert capacity_of(measured_mix(routes, Mix(even), mixing)) == pytest.approx(160.0)
    found = measured_mix(routes, Mix({PAGE.name: 0.5, READ.name: 0.5}), mixing)
    assert capacity_of(found) == pytest.approx(150 / (1 + 0.5 * 3 / 8))


@given(works=st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_kinds_meet_others_the_most_where_all_are_the_same_work(works: list[float]) -> None:
    shares = {str(index): work / sum(works) for index, work in enumerate(works)}
    variety = variety_of(dict.fromkeys(shares, 10.0), shares)
    assert -1e-9 <= variety <= 1 - 1 / len(works) + 1e-9
    even = dict.fromkeys(shares, 1 / len(works))
    assert variety_of(dict.fromkeys(shares, 10.0), even) == pytest.approx(1 - 1 / len(works))


@given(primary_s=st.floats(0.0002, 0.01), standbys_s=st.floats(0.0002, 0.01))
def test_reads_ask_the_nodes_that_they_cost_and_the_machine_carries_the_same(
    primary_s: float, standbys_s: float
) -> None:
    """What is not the primary's is the standbys', each a queue of its own; the cores they share are the same."""
    cpu_s = {**READ.cpu_s, "database": primary_s, STANDBYS: standbys_s}
    apart = replace(READ, cpu_s=cpu_s, mean_s=0.03)
    together = replace(apart, cpu_s={**READ.cpu_s, "database": primary_s + standbys_s})
    models = [
        measured_model(SPEC, [each], Mix({READ.name: 1.0}), cores=2.0, replicas={}, visitors=True).model
        for each in (apart, together)
    ]
    nodes = {each.name: each.replicas for each in models[0].stations if each.name in ("database", STANDBYS)}
    assert nodes == {"database": 1, STANDBYS: 2}
    assert models[1].station("database").replicas == 3
    waits_at = max(nodes, key=lambda name: models[0].work(name).mean_s - models[0].work(name).cpu_s)
    assert waits_at == ("database" if primary_s >= standbys_s else STANDBYS) or primary_s == standbys_s
    assert capacity(models[0]) == pytest.approx(capacity(models[1]))
    assert predict(models[0], Load(1e-4)).mean_s == pytest.approx(0.03, rel=1e-3)


@given(primary_s=st.floats(0.0002, 0.01), standbys_s=st.floats(0.0002, 0.01))
def test_a_write_waits_at_the_primary_whatever_it_costs_those_that_follow(primary_s: float, standbys_s: float) -> None:
    written = replace(WRITE, cpu_s={**WRITE.cpu_s, "database": primary_s, STANDBYS: standbys_s}, mean_s=0.03)
    model = measured_model(SPEC, [written], Mix({WRITE.name: 1.0}), cores=2.0, replicas={}, visitors=True).model
    waited_s = {name: model.work(name).mean_s - model.work(name).cpu_s for name in ("database", STANDBYS)}
    assert waited_s["database"] > 0.005
    assert waited_s[STANDBYS] == pytest.approx(0)
