"""Freeze: everything of a part stands still, keeps its sockets and its memory, and answers nobody: a gray failure.

The system may well kill what is frozen and replace it; then nothing is left to wake.
"""

from __future__ import annotations

import signal

from colonnade.core.processes import ProcessId
from colonnade.drill.faults.fault import NotPossible, Surroundings
from colonnade.drill.faults.settings import known
from colonnade.drill.faults.targets import in_words, send, targets, tree_of
from colonnade.drill.scenario import PlannedFault

ROUNDS_MAX = 20
"""Looks for who was forked between the look before and the freeze; the second finds nobody, as a rule."""


class Freeze:
    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        known(planned, {})
        self._targets = targets(planned.aim, around)
        self._paths = around.instance.paths
        self._frozen: dict[ProcessId, None] = {}
        self.subjects = tuple(target.name for target in self._targets)
        self.message = f"froze {in_words(self._targets)}"

    async def inject(self) -> None:
        for _ in range(ROUNDS_MAX):
            trees = [tree_of(target, self._paths) for target in self._targets]
            if not self._frozen and not all(trees):
                raise NotPossible("target_is_gone", f"{in_words(self._targets)}: not there any more")
            new = [process for tree in trees for process in tree if process not in self._frozen]
            if not new:
                break
            # Noted first: what is interrupted between the two is woken as well.
            self._frozen |= dict.fromkeys(new)
            send(new, signal.SIGSTOP)
        self.message = f"froze {in_words(self._targets)}, {len(self._frozen)} processes"

    async def heal(self) -> None:
        frozen, self._frozen = self._frozen, {}
        send(frozen, signal.SIGCONT)
