"""What is valid no more before its time: sessions that were ended, codes that were used. In a file, so that a dashboard
that is started anew knows it too; each is forgotten once it would be over anyway. Bounded.
"""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path

from colonnade.core.clock import Clock
from colonnade.core.files import write_json_durably

SPENT_MAX = 1000
"""Remembered at most, those that last longest. Whoever is not logged in cannot add any."""

FILE_BYTES_MAX = 256 * 1024
"""A thousand of them are 50 kB."""


class Spent:
    """The names of what is spent, and until when that has to be known."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._until_s = _read(path)

    def __contains__(self, name: object) -> bool:
        return name in self._until_s

    def add(self, name: str, valid_for_s: float) -> None:
        """Not valid from now on. Raises HostError when the disk refuses: then only this process knows."""
        now_s = self._clock.wall()
        self._until_s[name] = now_s + valid_for_s
        left = [(until_s, each) for each, until_s in self._until_s.items() if until_s > now_s]
        self._until_s = {each: until_s for until_s, each in sorted(left)[-SPENT_MAX:]}
        write_json_durably(self._path, self._until_s, mode=0o600)


def _read(path: Path) -> dict[str, float]:
    """Empty where there is no such file, or none of ours: whoever may write it may also remove it."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return {}
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: at_s for name, at in value.items() if (at_s := _time(at)) is not None}


def _time(value: object) -> float | None:
    """None for what is none: a whole number in JSON may be larger than any float."""
    try:
        return float(value) if isinstance(value, int | float) and isfinite(value) else None
    except OverflowError:
        return None
