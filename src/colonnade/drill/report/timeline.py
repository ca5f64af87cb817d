"""The picture of a run over time: rate, failures and latency one above the other, each fault a band through all three,
each decision a tick below. Computes positions only; the markup is `templates/timeline.svg`.

Operations stand where they were meant to be sent, so a stalled system shows as slow answers to those who came then, and
not as a load that went away.
Read next: `html`, which draws it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from colonnade.core.events import Event
from colonnade.drill.checkers.phases import fault_names
from colonnade.drill.load.ledger import OWN_ERRORS, Operation, Outcome
from colonnade.drill.load.summary import percentile
from colonnade.drill.record import Record
from colonnade.system.episodes import Role, role_of

WIDTH, LEFT, RIGHT = 1160.0, 52.0, 1138.0
"""Of the drawing, in its own units: about pixels on a laptop."""
ROW_HEIGHT = 17.0
CHARACTER_WIDTH = 6.3
"""Of a label at its size, on average; labels are given room by it."""
PANEL_GAP = 22.0
BINS_MAX = 600
"""Columns: a second each up to ten minutes, wider ones beyond."""
TICKS_MAX = 500
"""Events drawn; a crash loop has thousands, and this many fill the line already."""
LATENCY_MS_MIN = 1.0
"""Bottom of the logarithmic scale: faster answers are all the same to a person."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One strip with a scale of its own."""

    name: str
    top: float
    height: float

    @property
    def bottom(self) -> float:
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of a scale, with what it says."""

    position: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Band:
    """A fault: where it lies, and where its name stands."""

    name: str
    title: str
    x: float
    width: float
    label_x: float
    label_y: float
    healed_x: float | None
    """Where it was taken back; what follows is the recovery."""


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    kind: str
    """`cause`, `step`, `end` or `aside`: what the event is in the story of its subject."""
    title: str


@dataclass(frozen=True, slots=True)
class Timeline:
    width: float
    height: float
    left: float
    right: float
    rate: Panel
    errors: Panel
    latency: Panel
    ticks_y: float
    seconds: tuple[Mark, ...]
    rate_marks: tuple[Mark, ...]
    error_marks: tuple[Mark, ...]
    latency_marks: tuple[Mark, ...]
    intended_path: str
    ok_path: str
    p50_path: str
    p99_path: str
    bars: tuple[Bar, ...]
    bands: tuple[Band, ...]
    ticks: tuple[Tick, ...]
    bin_s: float


@dataclass(frozen=True, slots=True)
class _Bin:
    intended: int
    ok: int
    failed: int
    unknown: int
    p50_ms: float | None
    p99_ms: float | None


def timeline_of(record: Record) -> Timeline:
    """Lay out the whole picture."""
    history = record.history
    duration_s = max(history.ended_at - history.started_at, 1.0)
    bin_s = float(max(1, math.ceil(duration_s / BINS_MAX)))
    bins = _bins(history.operations, history.started_at, duration_s, bin_s)

    def x_of(offset_s: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(max(offset_s / duration_s, 0.0), 1.0)

    bands, rows = _bands(record, duration_s)
    rate = Panel("requests per second", rows * ROW_HEIGHT + 24.0, 96.0)
    errors = Panel("failed per second", rate.bottom + PANEL_GAP, 52.0)
    latency = Panel("latency", errors.bottom + PANEL_GAP, 112.0)
    rate_top = _nice(max((each.intended / bin_s for each in bins), default=1.0))
    error_top = _nice(max((each.failed + each.unknown) / bin_s for each in bins) if bins else 1.0)
    latency_top = 10.0 ** math.ceil(math.log10(max([10.0, *(each.p99_ms or 0.0 for each in bins)])))

    def latency_y(value_ms: float) -> float:
        share = math.log10(max(value_ms, LATENCY_MS_MIN)) / math.log10(latency_top)
        return latency.bottom - latency.height * min(share, 1.0)

    middles = [x_of((number + 0.5) * bin_s) for number in range(len(bins))]
    return Timeline(
        width=WIDTH,
        height=latency.bottom + 58.0,
        left=LEFT,
        right=RIGHT,
        rate=rate,
        errors=errors,
        latency=latency,
        ticks_y=latency.bottom + 12.0,
        seconds=tuple(Mark(x_of(s), f"{s:g} s") for s in _round_steps(duration_s)),
        rate_marks=_scale(rate, rate_top),
        error_marks=_scale(errors, error_top),
        latency_marks=tuple(
            Mark(latency_y(10.0**power), f"{10**power} ms" if power < 3 else f"{10 ** (power - 3)} s")
            for power in range(round(math.log10(latency_top)) + 1)
        ),
        intended_path=_path(middles, [rate.bottom - rate.height * b.intended / bin_s / rate_top for b in bins]),
        ok_path=_area(middles, [rate.bottom - rate.height * b.ok / bin_s / rate_top for b in bins], rate.bottom),
        p50_path=_path(middles, [None if b.p50_ms is None else latency_y(b.p50_ms) for b in bins]),
        p99_path=_path(middles, [None if b.p99_ms is None else latency_y(b.p99_ms) for b in bins]),
        bars=tuple(_error_bars(bins, bin_s, errors, error_top, duration_s)),
        bands=bands,
        ticks=tuple(_ticks(record, duration_s)),
        bin_s=bin_s,
    )


def _bins(operations: Iterable[Operation], started_at: float, duration_s: float, bin_s: float) -> list[_Bin]:
    sorted_in: list[list[Operation]] = [[] for _ in range(math.ceil(duration_s / bin_s))]
    for operation in operations:
        number = int((operation.intended_at - started_at) / bin_s)
        if 0 <= number < len(sorted_in) and operation.error not in OWN_ERRORS:
            sorted_in[number].append(operation)
    while sorted_in and not sorted_in[-1]:  # the run's tail, in which only answers were waited for
        sorted_in.pop()
    return [_bin(those) for those in sorted_in]


def _bin(operations: Sequence[Operation]) -> _Bin:
    took_ms = sorted(each.latency_s * 1e3 for each in operations if each.outcome is Outcome.OK)
    return _Bin(
        intended=len(operations),
        ok=len(took_ms),
        failed=sum(each.outcome is Outcome.FAILED for each in operations),
        unknown=sum(each.outcome is Outcome.UNKNOWN for each in operations),
        p50_ms=percentile(took_ms, 0.5) if took_ms else None,
        p99_ms=percentile(took_ms, 0.99) if took_ms else None,
    )


def _bands(record: Record, duration_s: float) -> tuple[tuple[Band, ...], int]:
    """One for each fault that came to pass, and how many rows their names take."""
    started_at, scale = record.history.started_at, (RIGHT - LEFT) / duration_s
    row_ends: list[float] = []
    found = []
    for name, fault in zip(fault_names(record.faults), record.faults, strict=True):
        if fault.injected_at is None:
            continue
        begin = LEFT + (fault.injected_at - started_at) * scale
        over_at = fault.whole_at if fault.whole_at is not None else record.history.ended_at
        end = min(LEFT + (over_at - started_at) * scale, RIGHT)
        label_width = len(name) * CHARACTER_WIDTH + 10
        label_x = min(begin, RIGHT - label_width)
        row = next((each for each, taken in enumerate(row_ends) if taken <= label_x), len(row_ends))
        row_ends[row:] = [label_x + label_width, *row_ends[row + 1 :]]
        healed_x = None if fault.healed_at is None else LEFT + (fault.healed_at - started_at) * scale
        whole = "never whole again" if fault.whole_at is None else f"whole at {fault.whole_at - started_at:.2f} s"
        title = f"{name}, at {fault.injected_at - started_at:.2f} s: {fault.message}; {whole}"
        found.append(Band(name, title, begin, max(end - begin, 2.0), label_x, row * ROW_HEIGHT + 14.0, healed_x))
    return tuple(found), len(row_ends)


def _error_bars(bins: Sequence[_Bin], bin_s: float, panel: Panel, top: float, duration_s: float) -> Iterable[Bar]:
    width = (RIGHT - LEFT) * bin_s / duration_s
    for number, each in enumerate(bins):
        bottom = panel.bottom
        for kind, count in (("failed", each.failed), ("unknown", each.unknown)):
            if count:
                height = panel.height * count / bin_s / top
                title = f"{count} {kind}, intended from {number * bin_s:g} to {(number + 1) * bin_s:g} s"
                bar_width = max(width - 0.5, 0.5)
                yield Bar(LEFT + number * width, bottom - height, bar_width, height, kind, title)
                bottom -= height


def _ticks(record: Record, duration_s: float) -> Iterable[Tick]:
    began_s = record.history.started_at + record.wall_offset_s
    within = [event for event in record.events if 0 <= event.at_s - began_s <= duration_s]
    telling = [event for event in within if role_of(event) is not Role.ASIDE]
    for event in telling[:TICKS_MAX]:
        offset_s = event.at_s - began_s
        x = LEFT + (RIGHT - LEFT) * offset_s / duration_s
        yield Tick(x, role_of(event).value, f"{offset_s:.2f} s · {_told(event)}")


def _told(event: Event) -> str:
    return f"{event.kind.replace('_', ' ')} ({event.subject}): {event.message}"


def _scale(panel: Panel, top: float) -> tuple[Mark, ...]:
    return tuple(Mark(panel.bottom - panel.height * part, f"{top * part:g}") for part in (0.0, 0.5, 1.0))


def _nice(value: float) -> float:
    """The smallest of 1, 2, 4 or 10 times a power of ten that is not below the value: a scale with a round middle."""
    if value <= 0:
        return 2.0
    power = 10.0 ** math.floor(math.log10(value))
    return max(2.0, next(power * step for step in (1, 2, 4, 10) if power * step >= value))


def _round_steps(duration_s: float) -> list[float]:
    """Seconds to write below the picture, at most twelve."""
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
    step = next((each for each in steps if duration_s / each <= 12), 3600)
    return [float(number * step) for number in range(int(duration_s / step) + 1)]


def _path(xs: Sequence[float], ys: Sequence[float | None]) -> str:
    """A line through the points; it is interrupted where there is no value."""
    pieces, is_down = [], False
    for x, y in zip(xs, ys, strict=True):
        if y is not None:
            # A point alone becomes a dash, or it would not be seen.
            pieces.append(f"L{x:.1f} {y:.1f}" if is_down else f"M{x:.1f} {y:.1f} h0.5")
        is_down = y is not None
    return " ".join(pieces)


def _area(xs: Sequence[float], ys: Sequence[float], bottom: float) -> str:
    if not xs:
        return ""
    return f"{_path(xs, ys)} L{xs[-1]:.1f} {bottom:.1f} L{xs[0]:.1f} {bottom:.1f} Z"
