"""The whole answer: on a system whose numbers can be checked by hand, and as a page."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from colonnade.planning.answer import Answer, answer
from colonnade.planning.capacity import Objective, knee
from colonnade.planning.curves import latency_curve, size_curve
from colonnade.planning.declared import PartWork, declared_model
from colonnade.planning.errors import Impossible
from colonnade.planning.load_shape import find_shape
from colonnade.planning.model import Load, Work
from colonnade.planning.question import Machine, Prices, Question
from colonnade.planning.report import Pictured, to_html
from colonnade.planning.report.plot import Axes, Series, chart, ticks
from colonnade.planning.sizing import Policy
from colonnade.planning.words import duration, milliseconds, number, share
from colonnade.spec.model import Spec

from .calibrated import calibration

SPEC = Spec.model_validate(
    {
        "services": {
            "web": {"app": "m:a", "route": "/", "uses": ["api"], "replicas": 2},
            "api": {"app": "m:b", "uses": ["database"], "replicas": 2, "balance": "least-connections"},
        },
        "database": {},
    }
)
OBJECTIVE = Objective(0.99, 0.25)

WORKS = {
    "web": PartWork(Work(0.005), memory_bytes=50_000_000),
    "api": PartWork(Work(0.02), memory_bytes=100_000_000),
    "database": PartWork(Work(0.001, 1.0, 0.5)),
    "gateway": PartWork(Work(0.0001)),
}


def question(rate: float = 100, objective: Objective = OBJECTIVE) -> Question:
    return Question(
        declared=declared_model(SPEC, WORKS),
        load=Load(rate),
        objective=objective,
        policy=Policy(spares=1),
        machine=Machine(4, 1_000_000_000),
        connections_max=100,
        availability=0.999,
    )


@pytest.fixture(scope="module")
def found() -> Answer:
    return answer(question())


def test_replicas_follow_from_the_utilization(found: Answer) -> None:
    """100/s · 20 ms = 2 cores of api: 3 replicas at 75 %, and one to spare; web is half a core: one, and one."""
    needed = {each.name: (each.replicas_needed, each.replicas) for each in found.services}
    assert needed == {"web": (1, 2), "api": (3, 4)}
    assert found.memory_needed_bytes == 2 * 50_000_000 + 4 * 100_000_000
    assert found.cores_busy == pytest.approx(100 * (0.005 + 0.02 + 0.0005 + 2 * 0.0001))
    assert found.cores_needed == 4


def test_what_is_declared_is_judged_on_this_machine(found: Answer) -> None:
    assert found.now is None
    assert "processors of api" in found.now_problem
    assert found.now_limits[0].rate_per_s <= 100
    assert answer(question(50)).now_problem == ""


def test_the_binding_constraint_is_the_first_hard_limit(found: Answer) -> None:
    assert found.binding is not None
    assert found.binding.subject == "machine"
    assert found.binding.rate_per_s == pytest.approx(4 / 0.0257)


def test_a_spare_is_enough_for_one_failure_and_not_for_two(found: Answer) -> None:
    carried = {each.what: each.rate_per_s for each in found.failures}
    assert carried["one replica of api gone"] >= 100
    assert carried["2 replicas of api gone"] < 100


def test_ways_to_carry_more_are_compared(found: Answer) -> None:
    rates = {each.what: each.rate_per_s for each in found.steps}
    assert rates["one more replica of api"] > rates["as declared"]
    assert rates["twice the threads of api"] == pytest.approx(rates["as declared"]), "one core is one core"
    assert rates["twice the cores"] == pytest.approx(rates["as declared"], rel=0.05), "replicas bind, not cores"
    assert rates["cores twice as fast"] > 1.9 * rates["as declared"]


def test_the_machine_has_an_end(found: Answer) -> None:
    assert found.one_machine is not None
    assert found.one_machine.because == "cores"
    assert found.one_machine.rate_per_s <= 4 * 0.75 / 0.0257 * 1.001
    small = replace(question(), machine=Machine(4, 150_000_000))
    limited = answer(small).one_machine
    assert limited is not None
    assert limited.because == "memory"


def test_connections_and_budget(found: Answer) -> None:
    assert found.database_pools == 4 * 10
    assert found.database_busy_mean == pytest.approx(100 * 0.001, rel=0.2)
    assert found.in_flight_mean == pytest.approx(100 * found.planned.mean_s)
    assert found.budget is not None
    assert found.budget.budget_s == pytest.approx(2592)


def test_a_cost_is_told_where_prices_are_given(found: Answer) -> None:
    assert found.cost_month is None
    priced = answer(replace(question(), prices=Prices(0.04, 0.005)))
    assert priced.cost_month == pytest.approx(730 * (4 * 0.04 + 0.5 * 0.005))


def test_warnings_say_what_the_plan_does_not_fit_into() -> None:
    told = " ".join(answer(question(1_000)).warnings)
    assert "cores are needed" in told
    assert "connections" in told
    assert "MB are free" in told


def test_a_day_is_planned_slice_by_slice() -> None:
    shape = find_shape("shop")
    asked = replace(question(20 * shape.peak), relative=shape.relative(), period_s=shape.period_s, rate_mean=20.0)
    day = answer(asked).day
    assert day is not None
    assert day.following_replica_hours < day.peak_replica_hours
    assert max(sum(each.replicas.values()) for each in day.slices) <= day.peak_replica_hours / 24


def test_an_objective_below_the_work_has_no_answer() -> None:
    with pytest.raises(Impossible, match="cannot be reached"):
        answer(question(objective=Objective(0.99, 0.03)))


def test_the_page_is_whole_and_escapes_what_it_is_given(found: Answer) -> None:
    asked = question()
    pictured = Pictured(
        now=latency_curve(asked.declared.model),
        planned=latency_curve(asked.declared.model),
        sizes=size_curve(asked, 200),
        knee_per_s=knee(asked.declared.model),
        objective_s=0.25,
        simulated=[(50.0, 0.1)],
        calibration=calibration(),
    )
    page = to_html(found, pictured, title="<b>shop & co", source="colonnade plan --rate '100' <x>")
    tree = ElementTree.fromstring(page.partition("\n")[2])  # noqa: S314 — our own page
    assert len(tree.findall(".//svg")) == 3
    assert "capacity that was predicted then was +5.0 % off" in page
    assert "<b>shop" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_a_chart_without_a_point_is_refused_and_ticks_are_round() -> None:
    with pytest.raises(ValueError, match="point"):
        chart([Series("a", "a", [])], Axes("t", "x", "y"))
    assert ticks(1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(730) == pytest.approx([0, 200, 400, 600])


def test_numbers_as_people_read_them() -> None:
    assert [number(each) for each in (0, 0.0531, 3, 12.34, 999.4, 1234.5, 1_000_000)] == [
        *("0", "0.0531", "3", "12.3", "999", "1,234", "1,000,000")
    ]
    assert (milliseconds(0.0123), milliseconds(1.5), duration(90), duration(600), duration(86_400)) == (
        *("12.3 ms", "1.5 s", "90 s", "10 min", "24 h"),
    )
    assert (share(0.5), share(0.9995)) == ("50%", "99.95%")
