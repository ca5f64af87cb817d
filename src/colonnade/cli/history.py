"""`colonnade history`, `slo` and `alerts`: what the dashboard wrote down, from its file, also when nothing runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from colonnade.cli.messages import event_line, out, print_json
from colonnade.cli.sparkline import sparkline
from colonnade.cli.standing import budget_text, share_text
from colonnade.core.clock import SystemClock
from colonnade.core.errors import HostError, SpecError
from colonnade.observe.alert_rules import Unit
from colonnade.observe.history.levels import Point
from colonnade.observe.history.quantile import quantile_points
from colonnade.observe.history.reader import HistoryReader, Line, read_history
from colonnade.spec.units import duration_text, parse_duration_s
from colonnade.system.target import Target

WIDTH = 48
"""Columns of a sparkline."""

EVENTS_SHOWN_MAX = 200

OVERVIEW = (
    "colonnade_service_requests_total",
    "colonnade_service_errors_total",
    "colonnade_service_rejected_total",
    "colonnade_service_queued_requests",
    "colonnade_service_replicas_desired",
    "colonnade_database_replication_lag_bytes",
    "colonnade_slo_error_budget_remaining_ratio",
)
"""What is shown when nothing is named, beside the latency of each service."""

DURATIONS = "colonnade_service_request_duration_seconds_bucket"

ALERT_STYLES = {"firing": "bold red", "pending": "yellow", "resolved": "green"}


def show_history(target: Target, what: str, *, since: str, as_json: bool) -> None:
    """Lines whose metric or labels have `what` in them; without it an overview; `events` for what happened."""
    now_s = SystemClock().wall()
    since_s = now_s - _duration_s(since)
    with _opened(target) as history:
        if what == "events":
            _show_events(history, since_s, now_s, as_json=as_json)
            return
        lines = [line for line in _lines(history, what, since_s, now_s) if line.points]
        latencies = _latencies(history, what, since_s, now_s)
    if as_json:
        print_json({"since_s": since_s, "until_s": now_s, "series": [_json(line) for line in lines]})
        return
    if not lines and not latencies:
        about = f" of {what!r}" if what else ""
        out.print(f"nothing is known{about} since {_moment(since_s)}; `colonnade history --json` has all names")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "of", "now", "least", "mean", "most"):
        table.add_column(column, no_wrap=True, justify="left" if column in ("", "of") else "right")
    table.add_column(f"{_moment(since_s)} to now", no_wrap=True)
    for name, about, points, unit in [*(_row(line) for line in lines), *latencies]:
        mean = sum(point.mean for point in points) / len(points)
        numbers = (points[-1].last, min(point.min for point in points), mean, max(point.max for point in points))
        texts = (unit.text(number) if unit else f"{number:.4g}" for number in numbers)
        table.add_row(name, escape(about), *texts, sparkline(points, since_s, now_s, WIDTH))
    out.print(table)


def show_slo(target: Target, *, as_json: bool) -> None:
    """Objectives, what is left of their budgets, and how fast it goes."""
    told = _told(target, "slo")
    if as_json:
        print_json(told)
        return
    at_s, objectives = told["at_s"], told["slo"]
    if not objectives:
        out.print('no service declares an objective; for example slo = { p99 = "250ms", availability = "99.9%" }')
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("service", "objective", "kept", "requests", "bad", "allowed", "budget left", "burn 1h", "6h", "3d"):
        table.add_column(column, no_wrap=column != "objective", justify="left" if column[0] in "so" else "right")
    for each in objectives:
        table.add_row(
            each["service"],
            each["sentence"],
            share_text(each["good_ratio"]),
            f"{each['requests']:.0f}",
            f"{each['bad']:.0f}",
            f"{each['budget_requests']:.1f}",
            budget_text(each["budget_left_ratio"]),
            *(_factor(each["burn_rates"][name]["long"]) for name in ("fast", "medium", "slow")),
        )
    out.print(table)
    covered_s = min(each["covered_s"] for each in objectives)
    days = f"{covered_s / 86400:.1f} days" if covered_s >= 86400 else f"{covered_s / 3600:.1f} hours"
    whole = duration_text(objectives[0]["window_s"])
    known = (
        f"of the last {whole}" if covered_s >= 0.99 * objectives[0]["window_s"] else f"of {days}, not yet of {whole}"
    )
    out.print(
        f"[dim]budgets are {known}; as of {_moment(at_s)}. A burn rate of 1 spends a budget exactly in its time[/]"
    )


def show_alerts(target: Target, *, as_json: bool) -> None:
    """What is pending, fires, or was over within the last hour."""
    told = _told(target, "alerts")
    if as_json:
        print_json(told)
        return
    for alert in told["alerts"]:
        style = ALERT_STYLES[alert["state"]]
        out.print(
            f"[{style}]{alert['state']:<9}[/] [dim]{alert['severity']:<6} since {_moment(alert['since_s'])}[/] "
            f"{alert['rule']}: {escape(alert['sentence'])}"
        )
    if not any(alert["state"] != "resolved" for alert in told["alerts"]):
        out.print(f"nothing is wrong that anybody would be told of [dim](as of {_moment(told['at_s'])})[/]")


@contextmanager
def _opened(target: Target) -> Iterator[HistoryReader]:
    with read_history(target.paths.history) as history:
        if history is None:
            raise HostError(
                "there is no history here yet",
                subject=str(target.paths.history),
                hint="the dashboard writes it: start the system with `colonnade up`, its dashboard not switched off",
            )
        yield history


def _told(target: Target, topic: str) -> dict[str, Any]:
    with _opened(target) as history:
        told = history.said(topic)
    return {"at_s": told[0] if told else SystemClock().wall(), topic: told[1] if told else []}


def _lines(history: HistoryReader, what: str, since_s: float, now_s: float) -> list[Line]:
    if not what:
        return [
            line for name in OVERVIEW for line in history.read(name, since_s=since_s, until_s=now_s, points_max=1500)
        ]
    wanted = [
        each
        for each in history.series()
        if what in each.name or any(what == value or value.startswith(f"{what}/") for _, value in each.labels)
    ]
    names = dict.fromkeys(each.name for each in wanted if not each.name.endswith(("_bucket", "_sum")))
    numbers = {each.number for each in wanted}
    lines = (line for name in names for line in history.read(name, since_s=since_s, until_s=now_s))
    return [line for line in lines if line.series.number in numbers]


Row = tuple[str, str, Sequence[Point], Unit | None]


def _latencies(history: HistoryReader, what: str, since_s: float, now_s: float) -> list[Row]:
    """The 99th percentile of each service that is meant."""
    found: list[Row] = []
    services = dict.fromkeys(dict(each.labels)["service"] for each in history.series(DURATIONS))
    for service in services:
        if what in ("", service) or what in DURATIONS:
            buckets = history.read(DURATIONS, {"service": service}, since_s=since_s, until_s=now_s, points_max=200)
            points = quantile_points(buckets, 0.99)
            if points:
                found.append(("service latency p99", service, points, Unit.SECONDS))
    return found


def _row(line: Line) -> Row:
    """(name for people, which one, points, unit)."""
    name = line.series.name.removeprefix("colonnade_")
    if line.series.is_counter:
        name = name.removesuffix("_total") + "/s"
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), None)
    about = " ".join(value for key, value in line.series.labels if key != "service" or len(line.series.labels) == 1)
    return name.replace("_", " "), about, line.points, unit


_UNITS = {"_bytes": Unit.BYTES, "_ratio": Unit.RATIO}


def _json(line: Line) -> dict[str, Any]:
    """Points as lists [at_s, min, max, mean, last], exactly as they are kept. Keys are a promise."""
    return {
        "name": line.series.name,
        "labels": dict(line.series.labels),
        "kind": "rate" if line.series.is_counter else "gauge",
        "step_s": line.step_s,
        "points": [list(point) for point in line.points],
    }


def _show_events(history: HistoryReader, since_s: float, until_s: float, *, as_json: bool) -> None:
    events = history.events(since_s=since_s, until_s=until_s, count_max=EVENTS_SHOWN_MAX)
    told = [
        {
            "seq": event.seq,
            "at_s": event.at_s,
            "kind": event.kind,
            "subject": event.subject,
            "reason": event.reason,
            "message": event.message,
            "data": dict(event.data),
        }
        for event in events
    ]
    if as_json:
        print_json({"since_s": since_s, "until_s": until_s, "events": told})
        return
    day = ""
    for event, value in zip(events, told, strict=True):
        if (today := datetime.fromtimestamp(event.at_s).strftime("%Y-%m-%d")) != day:  # noqa: DTZ006 — the user's zone
            day = today
            out.print(f"[bold]{day}[/]")
        out.print(event_line(value))


def _duration_s(text: str) -> float:
    try:
        value = parse_duration_s(text)
    except ValueError as error:
        raise SpecError(f"{error}, got {text!r}", subject="--since", hint="for example --since 6h") from None
    return max(1.0, float(str(value)))


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s).strftime("%m-%d %H:%M:%S")  # noqa: DTZ006 — the user's own time zone


def _factor(rate: float | None) -> str:
    return "—" if rate is None else f"{rate:.2f}"
