"""Latencies counted in buckets: what HAProxy keeps, and what quantiles are read from. Pure."""

from __future__ import annotations

from dataclasses import dataclass

BOUNDS_MS: tuple[float, ...] = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000)
"""Upper bounds of the buckets; one more bucket is open."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bucket since HAProxy started; the last bucket is open."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_MS) + 1)

    def total(self) -> int:
        return sum(self.counts)

    def since(self, earlier: Histogram) -> Histogram:
        """What came after `earlier`. Never negative: a smaller count means that HAProxy was started anew."""
        if any(now < before for now, before in zip(self.counts, earlier.counts, strict=True)):
            return self
        return Histogram(tuple(now - before for now, before in zip(self.counts, earlier.counts, strict=True)))

    def plus(self, other: Histogram) -> Histogram:
        return Histogram(tuple(one + two for one, two in zip(self.counts, other.counts, strict=True)))

    def quantile_s(self, q: float) -> float | None:
        """Interpolated within its bucket; None when there is nothing."""
        left = q * self.total()
        if not self.total():
            return None
        for index, count in enumerate(self.counts):
            if count and left <= count:
                low = BOUNDS_MS[index - 1] if index else 0.0
                high = BOUNDS_MS[index] if index < len(BOUNDS_MS) else low
                return (low + (high - low) * left / count) / 1000
            left -= count
        return BOUNDS_MS[-1] / 1000
