"""A system that scales by itself: up under a load, down after it, pinned by hand, and the same after its controller."""

from __future__ import annotations

from typing import Any

import pytest

from .harness import Runner, Trickle, kill

pytestmark = pytest.mark.slow

WAITING_APP = """
import time

def app(environ, start_response):
    if environ["PATH_INFO"] != "/readyz":
        time.sleep(0.2)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""

SCALED = """
[services.web]
app = "waiting:app"
kind = "wsgi"
route = "/"
threads = 1
replicas = { min = 1, max = 4 }
[services.web.scaling]
down_after = "5s"
"""


def declare(runner: Runner) -> None:
    runner.declare(SCALED)
    runner.write("waiting.py", WAITING_APP)


def scaling(runner: Runner) -> dict[str, Any]:
    status = runner.status()
    found: dict[str, Any] = status["services"][0]["scaling"] if status and status["services"] else {}
    return found


def ready(runner: Runner) -> int:
    status = runner.status() or {"services": []}
    return sum(replica["state"] == "ready" for one in status["services"] for replica in one["replicas"])


def test_a_load_brings_replicas_and_rest_takes_them_away(runner: Runner) -> None:
    declare(runner)
    runner.up()
    reloads = runner.running()["gateway"]["reloads"]
    # Sixteen clients without a pause are sixteen places busy, of which there is one.
    with Trickle(runner, clients=16, interval_s=0.0) as trickle:
        runner.wait_until(lambda: ready(runner) == 4, "four replicas serve", timeout_s=75)
        grown = runner.events("service_scaled")
        assert {event.reason for event in grown} <= {"queue_grew", "load_rose"}
        assert "places" in grown[-1].message
        runner.wait_until(lambda: scaling(runner).get("reason") == "limit_max", "it says that it is at its maximum")
        trickle.wait_for_answers(20)
    assert trickle.failures == []
    held = runner.events("scaling_held")
    assert held
    assert held[0].reason == "limit_max"
    runner.wait_until(lambda: ready(runner) == 1, "one replica is left", timeout_s=75)
    assert runner.events("service_scaled")[-1].reason in ("load_fell", "at_rest")
    assert runner.running()["gateway"]["reloads"] == reloads


def test_a_number_given_by_hand_holds_until_auto_whatever_the_controller_does(runner: Runner) -> None:
    declare(runner)
    runner.up()
    assert runner.run("scale", "web=3").exit_code == 0
    runner.wait_until(lambda: ready(runner) == 3, "three replicas serve")
    assert scaling(runner)["mode"] == "pinned"
    before = runner.running()
    kill(before["controller_pid"])
    runner.wait_until(lambda: (runner.status() or before)["controller_pid"] != before["controller_pid"], "the next one")
    runner.running()
    assert scaling(runner)["mode"] == "pinned"
    assert ready(runner) == 3
    text = runner.run("status").out
    assert "pinned, 1–4" in text
    assert runner.run("scale", "web=auto").exit_code == 0
    assert scaling(runner)["mode"] == "auto"
    runner.wait_until(lambda: ready(runner) == 1, "its load decides again", timeout_s=75)


def test_a_fixed_service_cannot_be_left_to_its_load(runner: Runner) -> None:
    runner.declare()
    runner.up()
    ran = runner.run("scale", "web=auto")
    assert ran.exit_code != 0
    assert "fixed number" in ran.text
    assert "replicas = { min = 2, max = 8 }" in ran.text
    assert scaling(runner)["mode"] == "fixed"


def test_the_schedule_s_hours_have_their_replicas(runner: Runner) -> None:
    declare(runner)
    # From midnight to midnight: whatever the time is, it is within.
    runner.declare(SCALED + 'schedule = [{ from = "00:00", to = "00:00", min = 3 }]\n')
    runner.up()
    runner.wait_until(lambda: ready(runner) == 3, "three replicas serve")
    (event,) = runner.events("service_scaled")
    assert event.reason == "floor_schedule"
    assert event.message == "web goes from 1 to 3 replicas: the schedule of mon-sun 00:00–00:00 asks for 3"
