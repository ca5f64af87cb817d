"""How often somebody may try to log in. Pure: the time is passed in.

All callers are on this machine, so they are counted together. What is counted is failures; whoever has the right token
waits only while somebody else is guessing.
"""

from __future__ import annotations

from collections import deque

FAILURES_MAX = 10
WINDOW_S = 60.0
"""Ten failures a minute: more than any person needs, nothing to a guesser of 256 bits."""


class Attempts:
    """The failures of the last minute, FAILURES_MAX at most."""

    def __init__(self) -> None:
        self._failed_at_s: deque[float] = deque(maxlen=FAILURES_MAX)

    def wait_s(self, now: float) -> float:
        """How long nobody may try; 0 when one may."""
        if len(self._failed_at_s) < FAILURES_MAX:
            return 0.0
        return max(0.0, self._failed_at_s[0] + WINDOW_S - now)

    def failed(self, now: float) -> None:
        self._failed_at_s.append(now)
