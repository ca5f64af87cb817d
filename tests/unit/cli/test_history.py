"""`colonnade history`, `slo`, `alerts`: from a file that a dashboard left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from colonnade.cli.main import app
from colonnade.cli.sparkline import sparkline
from colonnade.core.clock import SystemClock
from colonnade.core.events import Event
from colonnade.observe.history.levels import Point
from colonnade.observe.history.quantile import quantile_points
from colonnade.observe.history.reader import Line, SeriesInfo
from colonnade.observe.history.writer import HistoryWriter
from colonnade.observe.sample import Sample, Sight
from colonnade.system.paths import StatePaths

SERVICE = (("service", "web"),)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = StatePaths(tmp_path / "state").history
    path.parent.mkdir(parents=True)
    writer = HistoryWriter(path)
    now_s = int(SystemClock().wall())
    for second in range(60):
        samples = [
            Sample("colonnade_service_requests_total", SERVICE, 12.0 * second),
            Sample("colonnade_replica_in_flight_requests", (*SERVICE, ("replica", "web/1")), second % 7),
            *(
                Sample("colonnade_service_request_duration_seconds_bucket", (*SERVICE, ("le", le)), share * second)
                for le, share in (("0.1", 6.0), ("0.2", 12.0), ("+Inf", 12.0))
            ),
        ]
        writer.add(Sight(now_s - 60 + second, tuple(samples)))
    writer.add_event(Event(1, now_s - 30, "service_scaled", "web", "busy", "from 2 to 3: 0.91 is above 0.75"))
    burning = {"long": 2.0, "short": None}
    slo = {"service": "web", "objective": "availability", "sentence": "99.9 % of …", "target": 0.999, "limit_s": None}
    slo |= {"window_s": 2_592_000.0, "covered_s": 7200.0, "requests": 1000, "bad": 1, "good_ratio": 0.999}
    slo |= {
        "budget_requests": 1.0,
        "budget_left_ratio": 0.0,
        "burn_rates": dict.fromkeys(("fast", "medium", "slow"), burning),
    }
    writer.tell("slo", now_s, [slo])
    alert = {"rule": "no_primary", "state": "firing", "severity": "page", "since_s": now_s, "sentence": "database: no"}
    writer.tell("alerts", now_s, [alert])
    writer.commit(now_s)
    writer.close()
    return tmp_path / "state"


def run(state: Path, *words: str) -> str:
    (state.parent / "colonnade.toml").write_text('[services.web]\napp = "x:y"\nroute = "/"\n')
    result = CliRunner().invoke(app, [*words, "--state-dir", str(state), "--file", str(state.parent)])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_an_overview_has_rates_and_latency(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, state, "history")
    assert "service requests/s" in text
    assert "service latency p99" in text
    assert "█" in text


def test_one_service_has_its_replicas(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "replica in flight requests  web/1" in said(capsys, state, "history", "web")
    assert "nothing is known of 'nobody'" in said(capsys, state, "history", "nobody")


def test_json_has_every_point_as_it_was(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(said(capsys, state, "history", "in_flight", "--since", "5m", "--json"))
    (series,) = value["series"]
    assert (series["name"], series["kind"], series["labels"]["replica"]) == (
        "colonnade_replica_in_flight_requests",
        "gauge",
        "web/1",
    )
    assert [point[4] for point in series["points"]] == [second % 7 for second in range(60)]


def test_events_come_with_their_why(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "from 2 to 3: 0.91 is above 0.75" in said(capsys, state, "history", "events")
    (event,) = json.loads(said(capsys, state, "history", "events", "--json"))["events"]
    assert (event["kind"], event["reason"]) == ("service_scaled", "busy")


def test_objectives_say_of_how_much_they_are(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, state, "slo")
    assert "of 2.0 hours, not yet of 30d" in text
    assert "2.00" in text
    assert json.loads(said(capsys, state, "slo", "--json"))["slo"][0]["bad"] == 1


def test_alerts_are_told(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no_primary: database: no" in said(capsys, state, "alerts")


def test_without_a_history_it_says_who_would_write_it(tmp_path: Path) -> None:
    (tmp_path / "colonnade.toml").write_text('[services.web]\napp = "x:y"\nroute = "/"\n')
    result = CliRunner().invoke(app, ["history", "--state-dir", str(tmp_path / "none"), "--file", str(tmp_path)])
    assert "there is no history here yet" in str(result.exception)


def said(capsys: pytest.CaptureFixture[str], state: Path, *words: str) -> str:
    return run(state, *words) + capsys.readouterr().out


def points(*values: float) -> list[Point]:
    return [Point(at_s, value, value, value, value) for at_s, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "text"),
    [((0, 1, 2, 4), "▁▃▅█"), ((0, 0, 0, 0), "▁▁▁▁"), ((), "    "), ((-1, 3), "▁█  ")],
)
def test_a_sparkline_is_as_high_as_its_values(values: tuple[float, ...], text: str) -> None:
    assert sparkline(points(*values), 0, 4, 4) == text


def test_quantiles_come_from_buckets_step_by_step() -> None:
    def bucket(le: str, *values: float) -> Line:
        return Line(SeriesInfo(1, "x_bucket", (("le", le),), True), 1, tuple(points(*values)))

    buckets = [bucket("+Inf", 10, 10, 0), bucket("0.1", 5, 10, 0), bucket("0.2", 9, 10, 0)]
    found: list[Any] = [(point.at_s, round(point.mean, 4)) for point in quantile_points(buckets, 0.9)]
    assert found == [(0, 0.2), (1, 0.09)]
    assert quantile_points(buckets, 0.99)[0].mean == 0.2  # the open bucket: at least this
