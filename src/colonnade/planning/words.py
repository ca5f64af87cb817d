"""Numbers of a plan as people read them: rates, times, shares. Pure; for the terminal and the page alike."""

from __future__ import annotations

import math

from colonnade.planning.limits import Limit
from colonnade.planning.steps import Times


def milliseconds(value_s: float) -> str:
    """ "12.3 ms", from a second on "1.23 s"."""
    return f"{value_s * 1000:.3g} ms" if value_s < 0.9995 else f"{value_s:.3g} s"


def duration(value_s: float) -> str:
    """Seconds, minutes from two of them on, hours likewise."""
    if value_s < 120:
        return f"{value_s:.3g} s"
    return f"{value_s / 60:.3g} min" if value_s < 7200 else f"{value_s / 3600:.3g} h"


def number(value: float) -> str:
    """Three digits, four from a thousand on: 1,240 or 0.53."""
    if value == 0 or math.isinf(value):
        return "0" if value == 0 else "∞"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    rounded = round(value, digits) if value < 1000 else float(f"{value:.4g}")
    return f"{rounded:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{rounded:,.0f}"


def share(value: float) -> str:
    """ "12 %", with digits where it is nearly all."""
    return f"{value:.0%}" if value <= 0.99 else f"{value * 100:.5f}".rstrip("0").rstrip(".") + "%"


def limit_name(limit: Limit) -> str:
    """ "places of backend", "objective p99 ≤ 250 ms"."""
    return f"{limit.kind} {limit.subject}" if limit.kind == "objective" else f"{limit.kind} of {limit.subject}"


def times_text(times: Times | None) -> str:
    if times is None:
        return "queues grow"
    shown = (("mean", times.mean_s), ("p50", times.p50_s), ("p95", times.p95_s), ("p99", times.p99_s))
    return ", ".join(f"{name} {milliseconds(value)}" for name, value in shown)
