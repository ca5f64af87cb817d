"""The shares of `balance = "adaptive"` as they are set in a system, for a simulated service.

Never decides anything itself. Read next: `adaptive.py`; `planning/simulation/scenario.py` (`Adapting`), which is given
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from colonnade.core.histogram import Histogram
from colonnade.gateway.adaptive import ANSWERS_MIN, Measured, mean_s, next_factors
from colonnade.planning.simulation.scenario import Heard

SPANS_S = (5.0, 20.0, 60.0)
"""How far back is looked, the shortest with enough answers: as `system/sickness.py` does, with the spans of
`runtime/outliers.py`, which this layer cannot name."""


class SimulatedShares:
    """What the simulator calls at each step: it is told how each replica answers, and says which part of its weight
    each gets."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, dict[int, Histogram]]] = []
        self._heard_at_s: dict[int, float] = {}

    def __call__(self, now_s: float, heard: Sequence[Heard]) -> Mapping[int, float]:
        self._looks = [look for look in self._looks if look[0] >= now_s - SPANS_S[-1]]
        measured = [self._measured(now_s, one) for one in heard]
        self._looks.append((now_s, {one.replica: one.latency for one in heard}))
        return next_factors(measured)

    def _measured(self, now_s: float, one: Heard) -> Measured:
        time_s = self._time_s(now_s, one)
        known_since_s = self._heard_at_s.setdefault(one.replica, now_s)
        if time_s is not None:
            known_since_s = self._heard_at_s[one.replica] = now_s
        return Measured(one.replica, one.factor, time_s, now_s - known_since_s)

    def _time_s(self, now_s: float, one: Heard) -> float | None:
        for span_s in SPANS_S:
            earlier = next((seen for at_s, seen in self._looks if at_s >= now_s - span_s), {})
            recent = one.latency.since(earlier.get(one.replica, Histogram()))
            if recent.total() >= ANSWERS_MIN:
                return mean_s(recent)
        return None
