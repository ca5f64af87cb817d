"""Which metrics the history keeps: all that are declared, but for these. Pure."""

from __future__ import annotations

from collections.abc import Set

from colonnade.observe.metrics import METRICS, Metric

NOT_KEPT: Set[str] = frozenset(
    {
        "colonnade_info",
        "colonnade_decisions_total",
        "colonnade_replica_request_duration_seconds",
    }
)
"""Says nothing; is kept as the events themselves; is nine series for each of 200 replicas, of which the services' are
the sum."""


def is_kept(metric: Metric) -> bool:
    # Points have seven digits, and a moment needs ten.
    return metric.name not in NOT_KEPT and not metric.name.endswith(("_time_seconds", "_timestamp_seconds"))


KEPT_NAMES: Set[str] = frozenset(name for metric in METRICS if is_kept(metric) for name in metric.sample_names())
