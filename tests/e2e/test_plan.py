"""Plans against reality: the article's first example as a plan foresees it, and a calibration of a running system.

Bounds are wide: it is the plan's shape that has to hold on any machine (a queue that grows, and one that does not). How
near predictions are is measured by hand, on a machine at rest (docs/plan.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from colonnade.drill.calibration.examples import recommended
from colonnade.drill.calibration.measure import SHARES
from colonnade.planning.calibration import calibration_from

from .harness import Runner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ONE_PAGE = """
[drill]
reads = [{ path = "/" }]
"""


def test_the_article_s_examples_go_as_the_plan_says(work_dir: Path, free_port: Callable[[], int]) -> None:
    """Five servers at twice what they can serve: the queue grows by 50 a second. With as many as the plan recommends it
    does not. A chain takes the sum of its times, and runs at the pace of its slowest."""
    ran = Runner(work_dir, free_port()).run("plan", "--article", "--measure", "--stretch", "4", "--json", timeout_s=380)
    assert ran.exit_code == 0, ran.text
    figures = {each["name"]: each["figures"] for each in json.loads(ran.out)["measured"]}
    assert figures["response time behind a balancer"]["growth_per_s"] == pytest.approx(50, abs=25)
    planned = figures["response time behind a balancer, as planned"]
    assert planned["servers"] == recommended() > 10
    assert planned["p99_s"] < 5.0, "a queue that grew would make the last wait for seconds"
    assert figures["throughput when scaled out"]["rate_per_s"] == pytest.approx(50, abs=20)
    assert 0.35 <= figures["response time of a decomposed system"]["mean_s"] < 1.5
    assert figures["throughput of a decomposed system"]["rate_per_s"] == pytest.approx(20, abs=10)


def test_a_running_system_is_measured_and_later_plans_go_by_it(runner: Runner) -> None:
    runner.take_example("01-hello-flask")
    declaration = runner.directory / "colonnade.toml"
    declaration.write_text(declaration.read_text() + ONE_PAGE)
    assert runner.run("plan", "--measure").exit_code != 0, "nothing runs yet"
    runner.up()
    runner.running()
    ran = runner.run("plan", "--measure", "--stretch", "2", "--rounds", "2", "--json", timeout_s=300)
    assert ran.exit_code == 0, ran.text + runner.story()
    found = calibration_from(json.loads(ran.out))
    assert {route.name for route in found.routes} == {"GET /"}
    for route in found.routes:
        assert route.entry == "hello"
        assert route.mean_s > 0
        assert route.cpu_s["hello"] > 0
    assert found.memory_bytes["hello"] > 5_000_000
    assert len(found.verified) == len(SHARES)
    assert found.capacity_measured
    for each in found.verified:
        assert len(each.means_s) == 2
        assert 0.1 < each.share_of_capacity < 1.2, "of what all rounds say"
        assert each.routes is None or each.routes["mean"] > 0
    assert any(each.routes for each in found.verified)
    assert all(each.measured_rate > 0 for each in found.verified)
    later = runner.run("plan", "--rate", "20", "--slo", "p99=2s", "--json")
    assert later.exit_code == 0, later.text
    assert "as measured on" in json.loads(later.out)["assumptions"][0]
