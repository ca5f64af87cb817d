"""Line charts as plain data that a template draws as SVG: scales, ticks, paths. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 26.0, 42.0
"""Margins for the labels."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `css` is its class; `is_stepped`: it keeps its value until the next point."""

    name: str
    css: str
    points: Points
    is_stepped: bool = False
    is_dotted: bool = False
    """Its points are measurements: drawn as dots, not joined."""


@dataclass(frozen=True, slots=True)
class Guide:
    """A line across the chart, with words at its end."""

    at: float
    label: str
    css: str = "guide"


@dataclass(frozen=True, slots=True)
class Tick:
    position: float
    label: str


@dataclass(frozen=True, slots=True)
class DrawnLine:
    name: str
    css: str
    path: str
    dots: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class DrawnGuide:
    position: float
    label: str
    css: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything in the picture's own units, from the upper left."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[DrawnLine, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    verticals: tuple[DrawnGuide, ...]
    horizontals: tuple[DrawnGuide, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Axes:
    """What a chart says beside its lines. `y_max`: what is higher is cut off."""

    title: str
    x_label: str
    y_label: str
    y_max: float = math.inf
    verticals: tuple[Guide, ...] = ()
    horizontals: tuple[Guide, ...] = ()


def chart(series: Sequence[Series], axes: Axes) -> Chart:
    """Scales begin at 0. Raises ValueError without a point."""
    points = [point for each in series for point in each.points]
    if not points:
        raise ValueError("a chart needs a point")
    x_max = max([*(x for x, _ in points), *(guide.at for guide in axes.verticals)]) or 1.0
    y_top = max([*(y for _, y in points), *(guide.at for guide in axes.horizontals)])
    y_max = (min(y_top, axes.y_max) or 1.0) * 1.05
    x_scale = (WIDTH - LEFT - RIGHT) / x_max
    y_scale = (HEIGHT - TOP - BOTTOM) / y_max

    def at(x: float, y: float) -> tuple[float, float]:
        return round(LEFT + x * x_scale, 1), round(HEIGHT - BOTTOM - min(y, y_max * 1.02) * y_scale, 1)

    return Chart(
        title=axes.title,
        x_label=axes.x_label,
        y_label=axes.y_label,
        lines=tuple(_line(each, at, y_max) for each in series),
        x_ticks=tuple(Tick(at(value, 0)[0], label(value)) for value in ticks(x_max)),
        y_ticks=tuple(Tick(at(0, value)[1], label(value)) for value in ticks(y_max)),
        verticals=tuple(
            DrawnGuide(at(guide.at, 0)[0], guide.label, guide.css, "end" if guide.at > x_max * 0.6 else "start")
            for guide in axes.verticals
        ),
        horizontals=tuple(
            DrawnGuide(at(0, guide.at)[1], guide.label, guide.css) for guide in axes.horizontals if guide.at <= y_max
        ),
    )


def _line(series: Series, at: object, y_max: float) -> DrawnLine:
    assert callable(at)
    drawn = [at(x, y) for x, y in series.points]
    dots = tuple((x, y, f"{value:.4g}") for (x, y), (_, value) in zip(drawn, series.points, strict=True))
    if series.is_dotted:
        return DrawnLine(series.name, series.css, "", dots)
    path, before = "", None
    for (x, y), (_, value) in zip(drawn, series.points, strict=True):
        if not path:
            path = f"M{x:g} {y:g}"
        elif series.is_stepped and before is not None:
            path += f"H{x:g}V{y:g}"
        else:
            path += f"L{x:g} {y:g}"
        before = y
        if value > y_max:
            break
    return DrawnLine(series.name, series.css, path, ())


def ticks(most: float, count: int = 6) -> list[float]:
    """Round numbers from 0 to `most`, about `count` of them: steps of 1, 2 or 5 times a power of ten."""
    rough = most / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999)
    return [index * step for index in range(int(most / step + 1e-9) + 1)]


def label(value: float) -> str:
    """1,200 or 0.5."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.4g}"
