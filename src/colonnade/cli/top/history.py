"""What is remembered of the looks so far: for rates of single replicas, and for the charts of the last minutes.
Bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

LOOKS_MAX = 180
"""Three minutes at one look a second."""

RECENT_MAX = 4
"""Rates of replicas are over three seconds: the gateway counts twice a second, so over one they would jump."""

ALL = "gateway"
"""The name of what comes in from outside."""


class History:
    def __init__(self) -> None:
        self._rates: dict[str, deque[float | None]] = {}
        self._recent: deque[tuple[float, object, Mapping[str, int]]] = deque(maxlen=RECENT_MAX)

    def note(self, picture: Mapping[str, Any]) -> None:
        """A new look."""
        services = [part for part in picture["parts"] if part["kind"] == "service"]
        now: dict[str, float | None] = {part["id"]: part["requests_per_s"] for part in services}
        now[ALL] = incoming(picture)
        for name in self._rates.keys() - now.keys():
            del self._rates[name]
        for name, rate in now.items():
            self._rates.setdefault(name, deque(maxlen=LOOKS_MAX)).append(rate)
        gateway = next((part["pid"] for part in picture["parts"] if part["id"] == ALL), None)
        # Nothing is counted of one that is out of the gateway; back in it, its count goes on where it was.
        replicas = [part for part in picture["parts"] if part["kind"] == "replica" and part["in_flight"] is not None]
        counted = {part["id"]: part["requests"] for part in replicas}
        self._recent.append((picture["at_s"], gateway, counted))

    def rates(self, name: str) -> Sequence[float | None]:
        """Of a service, or of all: the last minutes, oldest first."""
        return tuple(self._rates.get(name, ()))

    def replica_rate(self, replica: str) -> float | None:
        """Requests per second; None until there are two looks at the same gateway (a new one counts from 0)."""
        if not self._recent:
            return None
        at_s, gateway, counted = self._recent[-1]
        fit = [one for one in self._recent if one[1] == gateway and one[0] < at_s and replica in one[2]]
        if not fit or replica not in counted:
            return None
        earlier_s, _, earlier = fit[0]
        return max(0, counted[replica] - earlier[replica]) / (at_s - earlier_s)


def incoming(picture: Mapping[str, Any]) -> float | None:
    """Requests per second from outside."""
    rate: float | None = next((flow["per_s"] for flow in picture["flows"] if flow["from"] == "visitors"), None)
    return rate
