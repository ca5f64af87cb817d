"""Which charts there are, and what of the history each is made of. Pure; `remembering.py` reads.

A chart is a metric by one of its labels (services, nodes, parts), summed over all others; latency is taken from
buckets, as Prometheus' `histogram_quantile` does it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from colonnade.observe.history.reader import Line

POINTS_MAX = 360
"""Of one line: a screen has no more."""

LINES_MAX = 12
"""Of one chart. With more services than this, the busiest are shown."""


@dataclass(frozen=True, slots=True)
class Chart:
    """`unit` is a word that the page knows how to write. With `quantiles` the metric is a histogram's buckets."""

    title: str
    unit: str
    metric: str
    by: str
    only: Mapping[str, str] = field(default_factory=dict)
    quantiles: tuple[float, ...] = ()


CHARTS = (
    Chart("Requests", "per_s", "colonnade_service_requests_total", "service"),
    Chart("Errors", "per_s", "colonnade_service_errors_total", "service"),
    Chart("Turned away", "per_s", "colonnade_service_rejected_total", "service"),
    Chart(
        "Time to answer",
        "s",
        "colonnade_service_request_duration_seconds_bucket",
        "service",
        quantiles=(0.5, 0.95, 0.99),
    ),
    Chart("Waiting in the queue", "number", "colonnade_service_queued_requests", "service"),
    Chart("In flight", "number", "colonnade_service_in_flight_requests", "service"),
    Chart("Replicas that serve", "number", "colonnade_service_replicas", "service", only={"state": "ready"}),
    Chart("Processors used", "number", "colonnade_process_cpu_seconds_total", "part"),
    Chart("Memory", "bytes", "colonnade_process_resident_memory_bytes", "part"),
    Chart("Standbys behind", "bytes", "colonnade_database_replication_lag_bytes", "node"),
)


class Reader(Protocol):
    """What is asked of a history."""

    def read(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        *,
        since_s: float,
        until_s: float,
        points_max: int,
    ) -> list[Line]: ...


def draw_all(reader: Reader, *, since_s: float, until_s: float) -> dict[str, Any]:
    """Every chart of which something is known, as JSON: lines of [at_s, mean, greatest]."""
    charts, step_s = [], 1
    for chart in CHARTS:
        lines = reader.read(chart.metric, chart.only, since_s=since_s, until_s=until_s, points_max=POINTS_MAX)
        drawn = list(_quantiles(chart, lines) if chart.quantiles else _sums(chart, lines))
        drawn = sorted((line for line in drawn if line["points"]), key=_weight, reverse=True)[:LINES_MAX]
        step_s = max([step_s, *(line.step_s for line in lines)])
        if drawn:
            drawn.sort(key=lambda line: str(line["label"]))
            charts.append({"title": chart.title, "unit": chart.unit, "lines": drawn})
    return {"since_s": since_s, "until_s": until_s, "step_s": step_s, "charts": charts}


def _weight(line: Mapping[str, Any]) -> float:
    return max(float(greatest) for _, _, greatest in line["points"])


def _by_label(chart: Chart, lines: Sequence[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[dict(line.series.labels).get(chart.by, "")].append(line)
    return found


def _sums(chart: Chart, lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for label, those in _by_label(chart, lines).items():
        if len(those) == 1:
            points = [[point.at_s, _short(point.mean), _short(point.max)] for point in those[0].points]
        else:
            # Of a sum the greatest value is not known; its mean is.
            means: dict[int, float] = defaultdict(float)
            for line in those:
                for point in line.points:
                    means[point.at_s] += point.mean
            points = [[at_s, _short(mean), _short(mean)] for at_s, mean in sorted(means.items())]
        yield {"label": label, "points": points}


def _quantiles(chart: Chart, lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for label, those in _by_label(chart, lines).items():
        counts: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for line in those:
            bound_s = float(dict(line.series.labels)["le"])
            for point in line.points:
                counts[point.at_s].append((bound_s, point.mean))
        for share in chart.quantiles:
            values = [(at_s, quantile(share, buckets)) for at_s, buckets in sorted(counts.items())]
            points = [[at_s, _short(value), _short(value)] for at_s, value in values if value is not None]
            yield {"label": f"{label} p{share * 100:g}", "points": points}


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """The time (s) within which this share of the answers came. `buckets`: (upper bound, how many up to it). Within a
    bucket they are taken as evenly spread, beyond the last bound as at it. None when there were none."""
    ordered = sorted(buckets)
    total = ordered[-1][1] if ordered else 0.0
    if total <= 0:
        return None
    wanted, below_s, below = share * total, 0.0, 0.0
    for bound_s, count in ordered:
        if count >= wanted:
            if bound_s == float("inf"):
                return below_s
            return below_s + (bound_s - below_s) * ((wanted - below) / (count - below) if count > below else 1.0)
        below_s, below = bound_s, count
    return below_s


def _short(value: float) -> float:
    """Seven digits are more than a chart shows, and a third of the bytes."""
    return float(f"{value:.5g}")
