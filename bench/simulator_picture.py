"""A picture of tails: which share of the requests takes longer than so many milliseconds, both in powers of ten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 960, 540, 84, 84, 270, 64

COLOURS = ("#0969da", "#1a7f37", "#bf3989", "#bc4c00", "#8250df", "#59636e")
"""Readable on white and on black."""


@dataclass(frozen=True, slots=True)
class Curve:
    """(milliseconds, share of the requests that take longer), the share falling."""

    name: str
    points: Sequence[tuple[float, float]]


def tails(title: str, note: str, curves: Sequence[Curve]) -> str:
    """An SVG that stands alone."""
    times = [time_ms for curve in curves for time_ms, _ in curve.points]
    scale = _Scale(math.log10(min(times)), math.log10(max(times)), math.log10(curves[0].points[-1][1]))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            'aria-labelledby="title description">',
            f'  <title id="title">{escape(title)}</title>',
            f'  <desc id="description">{escape(note)}. {escape(_in_words(curves))}</desc>',
            _STYLE,
            f'  <rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
            f'  <text class="name" x="{LEFT}" y="34">{escape(title)}</text>',
            f'  <text class="note" x="{LEFT}" y="56">{escape(note)}</text>',
            *_grid(scale),
            *_lines(scale, curves),
            "</svg>\n",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From powers of ten to places."""

    left: float
    right: float
    bottom: float

    def x(self, power: float) -> float:
        return round(LEFT + (power - self.left) / (self.right - self.left) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, power: float) -> float:
        return round(TOP + power / self.bottom * (HEIGHT - TOP - BOTTOM), 1)


def _grid(scale: _Scale) -> list[str]:
    found = []
    low, high = TOP, HEIGHT - BOTTOM
    for power in range(math.ceil(scale.left), math.floor(scale.right) + 1):
        x = scale.x(power)
        found.append(f'  <path class="grid" d="M{x} {low}V{high}"/>')
        found.append(f'  <text class="note middle" x="{x}" y="{high + 20}">{_time(power)}</text>')
    for power in range(0, math.ceil(scale.bottom) - 1, -1):
        y = scale.y(power)
        found.append(f'  <path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        share = f"{100 * 10.0**power:.{max(0, -power - 2)}f} %"
        found.append(f'  <text class="note end" x="{LEFT - 8}" y="{y + 4}">{share}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    found.append(f'  <text class="note middle" x="{middle}" y="{high + 44}">take longer than</text>')
    return found


def _lines(scale: _Scale, curves: Sequence[Curve]) -> list[str]:
    found = []
    # Names one below the other, the quickest first.
    order = sorted(range(len(curves)), key=lambda index: curves[index].points[-1][0])
    for place, index in enumerate(order):
        curve, colour = curves[index], COLOURS[index % len(COLOURS)]
        points = " ".join(f"{scale.x(math.log10(time))},{scale.y(math.log10(left))}" for time, left in curve.points)
        found.append(f'  <polyline class="curve" stroke="{colour}" points="{points}"/>')
        y = TOP + 14 + 24 * place
        found.append(f'  <path class="curve" stroke="{colour}" d="M{WIDTH - RIGHT + 14} {y}h18"/>')
        slowest = f"{curve.points[-1][0]:,.0f} ms"
        found.append(
            f'  <text class="note" x="{WIDTH - RIGHT + 38}" y="{y + 4}">{escape(curve.name)}: {slowest}</text>'
        )
    return found


def _time(power: int) -> str:
    return f"{10**power:g} ms" if power < 3 else f"{10 ** (power - 3):g} s"


def _in_words(curves: Sequence[Curve]) -> str:
    share = curves[0].points[-1][1]
    each = "; ".join(f"{curve.name} {curve.points[-1][0]:,.1f} ms" for curve in curves)
    return f"The slowest {100 * share:.4f} % take longer than: {each}."


_STYLE = """  <style>
    svg { font-family: ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
    .ground { fill: #ffffff; }
    .name { fill: #1f2328; font-size: 18px; font-weight: 600; }
    .note { fill: #59636e; font-size: 12px; }
    .middle { text-anchor: middle; }
    .end { text-anchor: end; }
    .grid { stroke: #d1d9e0; stroke-width: 1; fill: none; }
    .curve { stroke-width: 2.2; fill: none; }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117; }
      .name { fill: #f0f6fc; }
      .note { fill: #9198a1; }
      .grid { stroke: #3d444d; }
    }
  </style>"""
