"""The page: what the answer says, with latency against load, replicas against load, ways to carry more, and the day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from colonnade.planning.answer import Answer
from colonnade.planning.calibration import Calibration
from colonnade.planning.curves import LatencyPoint, SizePoint
from colonnade.planning.over_time import Day
from colonnade.planning.report.plot import Axes, Chart, Guide, Series, chart
from colonnade.planning.words import duration, limit_name, milliseconds, number, share

CSS_OF_SERVICES = ("a", "b", "c", "d", "e")
"""Classes of lines; with more services they begin anew."""

LATENCY_TOP = 3.0
"""Times the objective, or the median at half load, at which the axis ends: beyond, curves only go up."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """What the pictures are drawn from."""

    now: Sequence[LatencyPoint]
    planned: Sequence[LatencyPoint]
    sizes: Sequence[SizePoint]
    knee_per_s: float
    """Of the plan: where a request takes twice as long as alone."""
    objective_s: float | None = None
    simulated: Sequence[tuple[float, float]] = ()
    """(rate, p99 in seconds) of the plan, by simulation."""
    calibration: Calibration | None = None
    """What the service times rest on, where they were measured."""


def to_html(answer: Answer, pictured: Pictured, *, title: str, source: str) -> str:
    """The text of the page. `source` is the command that made it."""
    return (
        _environment()
        .get_template("plan.html")
        .render(
            answer=answer,
            title=title,
            source=source,
            charts=charts(answer, pictured),
            calibration=pictured.calibration,
            steps_max=max((each.rate_per_s for each in answer.steps), default=1.0),
        )
    )


def charts(answer: Answer, pictured: Pictured) -> list[Chart]:
    """Latency, replicas, and the day where there is one."""
    found = []
    if pictured.planned:
        found.append(_latency(answer, pictured))
    if pictured.sizes:
        found.append(_sizes(answer, pictured.sizes))
    if pictured.calibration is not None and pictured.calibration.verified:
        found.append(_verified(pictured.calibration))
    if answer.day is not None:
        found += [_day_rate(answer.day), _day_replicas(answer.day)]
    return found


def _latency(answer: Answer, pictured: Pictured) -> Chart:
    def line(points: Sequence[LatencyPoint], name: str, css: str, field: str) -> Series:
        return Series(name, css, [(each.rate_per_s, getattr(each.times, field) * 1000) for each in points])

    series = [
        line(pictured.planned, "plan, mean", "mean", "mean_s"),
        line(pictured.planned, "plan, p95", "p95", "p95_s"),
        line(pictured.planned, "plan, p99", "p99", "p99_s"),
        line(pictured.now, "as declared, p99", "now", "p99_s"),
    ]
    if pictured.simulated:
        dots = [(rate, value_s * 1000) for rate, value_s in pictured.simulated]
        series.append(Series("plan, p99 simulated", "p99", dots, is_dotted=True))
    middle = pictured.planned[len(pictured.planned) // 2].times.p99_s
    top_s = LATENCY_TOP * (pictured.objective_s or 2 * middle)
    objective = (Guide(pictured.objective_s * 1000, answer.objective, "promise"),) if pictured.objective_s else ()
    return chart(
        [each for each in series if each.points],
        Axes(
            "Latency against load",
            "requests a second",
            "milliseconds",
            y_max=top_s * 1000,
            verticals=(
                Guide(answer.rate_per_s, f"asked: {number(answer.rate_per_s)}/s", "asked"),
                Guide(pictured.knee_per_s, f"knee: {number(pictured.knee_per_s)}/s", "knee"),
            ),
            horizontals=objective,
        ),
    )


def _sizes(answer: Answer, sizes: Sequence[SizePoint]) -> Chart:
    series = [
        Series(
            each.name,
            CSS_OF_SERVICES[index % len(CSS_OF_SERVICES)],
            [(point.rate_per_s, float(point.replicas[each.name])) for point in sizes],
            is_stepped=True,
        )
        for index, each in enumerate(answer.services)
    ]
    series.append(
        Series("cores", "cores", [(point.rate_per_s, float(point.cores)) for point in sizes], is_stepped=True)
    )
    return chart(
        series,
        Axes(
            "Replicas and cores against load",
            "requests a second",
            "replicas, cores",
            verticals=(Guide(answer.rate_per_s, f"asked: {number(answer.rate_per_s)}/s", "asked"),),
            horizontals=(Guide(answer.cores_have, f"cores of this machine: {answer.cores_have:g}", "promise"),),
        ),
    )


def _verified(calibration: Calibration) -> Chart:
    """Measured as dots, predicted as lines."""
    steady = [each for each in calibration.verified if each.routes is not None or each.theory is not None]
    kind = "routes" if any(each.routes for each in steady) else "theory"

    def points(kind: str, name: str) -> list[tuple[float, float]]:
        return [
            (each.rate_per_s, 1000 * figures[name])
            for each in steady
            if (figures := getattr(each, kind)) is not None and name in figures
        ]

    series = [
        Series("mean, predicted", "mean", points(kind, "mean")),
        Series("mean, measured", "mean", points("measured", "mean"), is_dotted=True),
        Series("p95, predicted", "p95", points(kind, "p95")),
        Series("p95, simulated", "now", points("simulated", "p95")),
        Series("p95, measured", "p95", points("measured", "p95"), is_dotted=True),
    ]
    return chart(
        [each for each in series if each.points],
        Axes(
            f"Predicted and measured on {calibration.at}",
            "requests a second",
            "milliseconds",
            verticals=(
                Guide(calibration.capacity_predicted, f"capacity: {number(calibration.capacity_predicted)}/s", "asked"),
            ),
        ),
    )


def _day_rate(day: Day) -> Chart:
    points = [(each.at_s / 3600, each.rate_per_s) for each in day.slices]
    return chart(
        [Series("requests a second", "mean", points)], Axes("The load over time", "hours", "requests a second")
    )


def _day_replicas(day: Day) -> Chart:
    names = list(day.slices[0].replicas)
    series = [
        Series(
            name,
            CSS_OF_SERVICES[index % len(CSS_OF_SERVICES)],
            [(each.at_s / 3600, float(each.replicas[name])) for each in day.slices],
            is_stepped=True,
        )
        for index, name in enumerate(names)
    ]
    return chart(series, Axes("Replicas that follow it", "hours", "replicas"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("colonnade.planning.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ms": milliseconds,
        "rate": number,
        "span": duration,
        "share": share,
        "limit_name": limit_name,
        "json": lambda value: json.dumps(value, indent=1, default=str),
    }
    return environment
