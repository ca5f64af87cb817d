"""How figures are quoted: n, median, worst."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def distribution(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Rounded; for no values only n, which is 0."""
    if not values:
        return {"n": 0}
    return {"n": len(values), "median": round(statistics.median(values), digits), "worst": round(max(values), digits)}
