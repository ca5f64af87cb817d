"""What a dashboard beside a real system remembers and tells: objectives, an alert by webhook, and a history that
outlives it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from .harness import Runner, kill

pytestmark = pytest.mark.slow

SECRET = "hooks-0f3a9c-secret"

APP = """
def app(environ, start_response):
    status = "500 No" if environ["PATH_INFO"] == "/bad" else "200 OK"
    start_response(status, [("Content-Length", "2")])
    return [b"ok"]
"""

DECLARED = """
[services.web]
app = "moody:app"
route = "/"
replicas = 2
slo = { p99 = "250ms", availability = "99.9%" }

[dashboard]
enabled = true

[alerts]
env_file = "hooks.env"
webhooks = [{ url = "$HOOK", about = ["alerts", "decisions"] }]
"""


class Hook:
    """Refuses the first message for a moment, and all while it is away; then takes what comes."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.refused = 0
        self.is_away = False
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                is_refused = hook.refused == 0 or hook.is_away
                hook.refused += is_refused
                if not is_refused:
                    hook.bodies.append(body)
                self.send_response(503 if is_refused else 204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/{SECRET}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def scaled(self, number: int) -> int:
        """How often it was told of a scaling to so many."""
        events = [body["event"] for body in self.bodies if body["about"] == "decisions"]
        return len([each for each in events if each["kind"] == "service_scaled" and f" to {number}" in each["message"]])

    def told(self, rule: str) -> dict[str, Any] | None:
        alerts = (body["alert"] for body in self.bodies if body["about"] == "alerts")
        return next((alert for alert in alerts if alert["rule"] == rule), None)


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture(scope="module")
def shared(make_runner: Callable[[], Runner], hook: Hook) -> Runner:
    runner = make_runner()
    runner.write("moody.py", APP)
    runner.write("hooks.env", f"HOOK={hook.url}\n").chmod(0o600)
    runner.declare(DECLARED)
    runner.up()
    runner.wait_until(lambda: slo(runner, "web availability"), "the objective is assessed")
    return runner


def told(runner: Runner, *words: str) -> dict[str, Any]:
    ran = runner.run(*words, "--json")
    found: dict[str, Any] = json.loads(ran.out) if ran.exit_code == 0 else {}
    return found


def is_looking(runner: Runner) -> bool:
    """Whether the dashboard that answers has seen the system."""
    connection = HTTPConnection(urlsplit(runner.running()["dashboard"]["url"]).netloc, timeout=20)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def slo(runner: Runner, name: str) -> dict[str, Any] | None:
    found = told(runner, "slo").get("slo", [])
    return next((each for each in found if f"{each['service']} {each['objective']}" == name), None)


def bad(runner: Runner) -> float:
    """Requests that were not answered as promised."""
    found = slo(runner, "web availability")
    assert found is not None
    return float(found["bad"])


def requests(runner: Runner) -> list[list[float]]:
    series = told(runner, "history", "service_requests", "--since", "9m").get("series", [])
    return [point for each in series for point in each["points"]]


def test_errors_spend_the_budget_and_somebody_is_told(shared: Runner, hook: Hook) -> None:
    for _ in range(40):
        assert shared.get("/").status == 200
        assert shared.get("/bad").status == 500
    shared.wait_until(lambda: hook.told("slo_burn_fast"), "the webhook is told", 40)
    alert = hook.told("slo_burn_fast")
    assert alert is not None
    assert (alert["state"], alert["severity"], alert["subject"]) == ("firing", "page", "web availability")
    assert hook.refused == 1, "it was told again after it had refused"
    shared.wait_until(lambda: bad(shared) >= 40, "the commands say so as well")
    status = shared.run("status")
    assert "slo_burn_fast" in status.out
    assert {each["objective"] for each in told(shared, "status")["slo"]} == {"availability", "latency_250ms"}
    assert "slo_burn_fast" in shared.run("alerts").out


def test_the_webhook_s_address_is_nowhere_to_be_seen(shared: Runner) -> None:
    pid = shared.running()["dashboard"]["pid"]
    seen = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    root = shared.paths.root
    seen += [path.read_bytes() for place in ("logs", "events", "dashboard") for path in (root / place).rglob("*.*")]
    assert len(seen) > 5
    assert not [number for number, text in enumerate(seen) if SECRET.encode() in text]
    assert SECRET not in shared.run("status", "--json").out + shared.run("diff").out


def test_what_did_not_arrive_is_sent_by_the_next_dashboard_once(shared: Runner, hook: Hook) -> None:
    def kill_the_dashboard() -> None:
        kill(shared.running()["dashboard"]["pid"])

    hook.is_away, refused = True, hook.refused
    assert shared.run("scale", "web=3").exit_code == 0
    shared.wait_until(lambda: hook.refused > refused, "it is refused")
    kill_the_dashboard()
    hook.is_away = False
    shared.wait_until(lambda: hook.scaled(3), "the next one tells it")
    kill_the_dashboard()
    shared.wait_until(lambda: is_looking(shared), "there is another one, which tells what happens from now on")
    assert shared.run("scale", "web=2").exit_code == 0
    shared.wait_until(lambda: hook.scaled(2), "it tells as well")
    assert (hook.scaled(3), hook.scaled(2)) == (1, 1)


def test_a_killed_dashboard_loses_the_last_seconds_at_most(shared: Runner, hook: Hook) -> None:
    shared.wait_until(lambda: requests(shared), "something is kept")
    last_s = requests(shared)[-1][0]
    pid = shared.running()["dashboard"]["pid"]
    kill(pid)
    shared.wait_until(lambda: requests(shared)[-1][0] > last_s + 5, "the next one goes on")
    times_s = [point[0] for point in requests(shared)]
    assert times_s == sorted(set(times_s))
    assert last_s in times_s
    assert bad(shared) >= 40, "the budget that was spent stays spent"
    assert sum(body["about"] == "alerts" and body["alert"]["rule"] == "slo_burn_fast" for body in hook.bodies) == 1


def test_the_history_stays_when_the_system_is_down(shared: Runner) -> None:
    shared.run("down")
    assert "service requests/s" in shared.run("history").out
    assert "system_running" in shared.run("history", "events").out
    assert "99.9 % of the requests are answered" in shared.run("slo").out
    assert shared.paths.history.stat().st_mode & 0o777 == 0o600
