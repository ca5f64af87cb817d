"""What is going to happen, in the order of its moments; the only clock of a run by events."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Happening = Callable[[Any], None]
"""Called with its subject: a visit, a request, a replica."""


class Timeline:
    """Happenings at the same moment happen in the order in which they were planned. None can be taken back: each looks
    whether it still applies."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._planned: list[tuple[float, int, Happening, Any]] = []
        self._number = 0

    def after(self, delay_s: float, happening: Happening, subject: Any = None) -> None:
        self.at(self.now_s + delay_s, happening, subject)

    def at(self, moment_s: float, happening: Happening, subject: Any = None) -> None:
        self._number = number = self._number + 1
        heappush(self._planned, (moment_s, number, happening, subject))

    def run(self) -> None:
        """Until nothing is planned any more."""
        planned = self._planned
        while planned:
            self.now_s, _, happening, subject = heappop(planned)
            happening(subject)
