"""The table of all metrics for people, made from their declaration. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from colonnade.observe.metrics import Metric


def metrics_table(metrics: Iterable[Metric]) -> str:
    """Markdown: a line for each metric, in the order given."""
    return "\n".join(["| metric | kind | labels | |", "|---|---|---|---|", *map(_row, metrics)]) + "\n"


def _row(metric: Metric) -> str:
    return f"| `{metric.name}` | {metric.kind.value} | {', '.join(_labels(metric))} | {metric.help} |"


def _labels(metric: Metric) -> Iterator[str]:
    return (f"`{label}`" for label in metric.labels)
