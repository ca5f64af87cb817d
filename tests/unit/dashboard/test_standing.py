"""How the system stands: from looks to budgets and alerts, over restarts of the dashboard."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from colonnade.core.clock import SimulatedClock
from colonnade.core.histogram import BUCKETS_COUNT
from colonnade.dashboard.control import Control
from colonnade.dashboard.exposition import exposition
from colonnade.dashboard.recorder import Recorder
from colonnade.dashboard.standing import Standing
from colonnade.dashboard.watch import Watch
from colonnade.observe.alerts import Change
from colonnade.observe.history.levels import HISTORY_FILE
from colonnade.observe.history.reader import read_history
from colonnade.observe.metrics import ALERTS, HISTORY, OBJECTIVES

from ..observe.said import measurements, service, status


class System:
    """A dashboard without its process, and what is told to it."""

    def __init__(self, directory: Path, clock: SimulatedClock) -> None:
        self.clock = clock
        self.path = directory / HISTORY_FILE
        self.begin()

    def begin(self) -> None:
        """Another process takes over."""
        self.changes: list[Change] = []
        self.recorder = Recorder(self.path, self.clock)
        self.watch = Watch(Control(Path("/nowhere/control.sock")), self.clock)
        self.standing = Standing(self.recorder, self.clock, self.changes.append)
        self.watch.sources.append(self.standing.source)
        self.watch.consumers.append(self.recorder.take)

    def end(self) -> None:
        async def write() -> None:
            task = asyncio.create_task(self.recorder.run())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(write())

    def look(self, *, slow: int = 0, **about: Any) -> None:
        self.see(self.said(**about), slow)

    def said(self, *, requests: int = 0, errors: int = 0, is_writable: bool = True, **slo: float) -> dict[str, Any]:
        declared = {"p99_s": slo.get("p99_s"), "availability": slo.get("availability", 0.999)}
        one: dict[str, Any] = {**service(), "requests": requests, "errors": errors, "slo": declared}
        said = status(one)
        said["database"]["writable"] = is_writable
        return said

    def see(self, said: dict[str, Any], slow: int = 0) -> None:
        (one,) = said["services"]
        counts = [0] * BUCKETS_COUNT
        counts[0], counts[-1] = one["requests"] - slow, slow
        self.watch.take(said, measurements(one, counts=counts), [])
        self.clock.advance(1.0)


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path, SimulatedClock())


def test_a_budget_counts_from_the_first_look_on(system: System) -> None:
    for second in range(25):
        system.look(requests=5000 + 10 * second, errors=30 + second // 10, slow=second // 5, p99_s=0.25)
    availability, latency = system.standing.slo
    # The last assessment was at second 20; what was counted before anybody looked is nobody's.
    assert (availability["requests"], availability["bad"]) == (200, 2)
    assert (latency["objective"], latency["requests"], latency["bad"]) == ("latency_250ms", 200, 4)
    assert latency["budget_left_ratio"] == pytest.approx(1 - 4 / 2)


def test_a_gateway_that_counts_anew_makes_nobody_s_budget_smaller(system: System) -> None:
    for second in range(12):
        system.look(requests=1000 + 10 * second if second < 6 else 10 * (second - 5), errors=100 if second < 6 else 1)
    (availability,) = system.standing.slo
    assert (availability["requests"], availability["bad"]) == (50 + 50, 1)


def test_what_fires_is_told_once_even_by_another_process(system: System) -> None:
    for _ in range(20):
        system.look(is_writable=False)
    assert [change.new.state.value for change in system.changes if change.new] == ["pending", "firing"]
    system.end()
    system.begin()
    for _ in range(20):
        system.look(is_writable=False)
    assert system.changes == []
    assert [(alert["rule"], alert["state"]) for alert in system.standing.alerts] == [("no_primary", "firing")]
    for _ in range(40):
        system.look()
    assert [change.new.state.value for change in system.changes if change.new] == ["resolved"]


@pytest.mark.parametrize(
    "damage",
    [
        """UPDATE said SET json = '[null, {"rule": []}, {"rule": "no_primary"}]' WHERE topic = 'alerts'""",
        "UPDATE said SET json = '{\"rule\": 1}' WHERE topic = 'alerts'",
        "UPDATE said SET json = 'no JSON' WHERE topic = 'alerts'",
        "UPDATE said SET json = x'ff00' WHERE topic = 'alerts'",
        "UPDATE series SET labels = '[1]' WHERE id = 1",
        "UPDATE layout SET series = x'0102' WHERE id = 1",
        "UPDATE sight SET samples = x'01'",
        "UPDATE sight SET layout = 77",
        "DROP TABLE layout",
    ],
)
def test_what_others_wrote_into_the_history_stops_nobody(system: System, damage: str) -> None:
    for second in range(20):
        system.look(is_writable=False, requests=second)
    system.end()
    with closing(sqlite3.connect(system.path)) as file:
        file.execute(damage)
        file.commit()
    system.begin()
    for second in range(20):
        system.look(is_writable=False, requests=second)
    system.end()
    assert [(alert["rule"], alert["state"]) for alert in system.standing.alerts] == [("no_primary", "firing")]


def test_what_is_not_up_yet_is_not_wrong(system: System) -> None:
    for _ in range(60):
        system.see({**system.said(is_writable=False), "phase": "starting"})
    assert system.changes == []


def test_a_budget_goes_on_in_another_process(system: System) -> None:
    for second in range(21):
        system.look(requests=10 * second, errors=second)
    system.end()
    system.clock.advance(60.0)
    system.begin()
    # Nobody looked meanwhile; the gateway counted on.
    for second in range(11):
        system.look(requests=1000 + 10 * second, errors=21)
    (availability,) = system.standing.slo
    assert (availability["requests"], availability["bad"]) == (1000 + 100, 21)
    assert availability["covered_s"] == pytest.approx(81, abs=10)


def test_everything_that_is_told_is_declared_and_kept(system: System) -> None:
    for second in range(12):
        system.look(requests=1000 * second, errors=500 * second, slow=second, p99_s=0.25, is_writable=second < 2)
    assert system.watch.look is not None
    told_names = {sample.name for sample in system.watch.look.sight.samples}
    own = {metric.name for metric in (*OBJECTIVES, *ALERTS, *HISTORY)}
    # Whoever sends has the one, and of a file that is not there yet there is no size.
    assert own - told_names == {"colonnade_notifications_total", "colonnade_history_size_bytes"}
    text = exposition(system.watch.look.sight.samples).decode()
    assert 'colonnade_slo_target_ratio{objective="availability",service="web"} 0.999' in text
    assert 'colonnade_alert_firing{alert="slo_burn_fast",severity="page",subject="web availability"} 1.0' in text
    system.end()
    with read_history(system.path) as history:
        assert history is not None
        names = {each.name for each in history.series()}
        told = history.said("alerts")
    assert {"colonnade_slo_burn_rate", "colonnade_alert_firing", "colonnade_slo_requests_total"} <= names
    assert "colonnade_info" not in names
    assert told is not None
    assert {alert["rule"] for alert in told[1]} >= {"slo_burn_fast"}


def test_an_objective_that_is_declared_no_more_is_forgotten(system: System) -> None:
    for second in range(12):
        system.look(requests=10 * second, p99_s=0.25)
    for second in range(12, 24):
        system.look(requests=10 * second, p99_s=0.5)
    assert [each["objective"] for each in system.standing.slo] == ["availability", "latency_500ms"]
