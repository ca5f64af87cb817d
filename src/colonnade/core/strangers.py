"""Which processes of the machine are none of ours: those who look for ours again and again need not look at all.

Only remembers. What is looked at in a process, and how, is for `memory.py` and `usage.py`.
"""

from __future__ import annotations

from collections.abc import Collection

import psutil

PASSES = 30
"""After so many everybody is looked at again: a pid may have got another holder."""


class Strangers:
    """One for each question that is asked again and again."""

    def __init__(self) -> None:
        self._strangers: set[int] = set()
        self._candidates: set[int] = set()
        self._roots: frozenset[int] = frozenset()
        self._passes = 0

    def candidates(self, roots: Collection[int]) -> set[int]:
        """Pids that may belong to `roots`: all of the machine, but those that did not at the passes before. Everybody,
        when it is asked for others than before."""
        self._passes = (self._passes + 1) % PASSES
        if not self._passes or self._roots != frozenset(roots):
            self._roots = frozenset(roots)
            self._strangers = set()
        pids = set(psutil.pids())
        self._strangers &= pids
        self._candidates = pids - self._strangers
        return self._candidates

    def note(self, ours: Collection[int]) -> None:
        """Of the candidates these were the ones."""
        self._strangers |= self._candidates.difference(ours)
