"""Kill: SIGKILL, as the kernel does it to whoever takes too much memory. Cannot be taken back; the system heals.

Of several all stand still before the first is gone, so that they die as at one moment. Of a database node its first
process is killed, as a crash does: what is left of it is the system's affair.
"""

from __future__ import annotations

import signal

from colonnade.drill.faults.fault import NotPossible, Surroundings
from colonnade.drill.faults.settings import known
from colonnade.drill.faults.targets import in_words, process_of, send, targets
from colonnade.drill.scenario import PlannedFault


class Kill:
    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        known(planned, {})
        self._targets = targets(planned.aim, around)
        self._paths = around.instance.paths
        self.subjects = tuple(target.name for target in self._targets)
        self.message = f"killed {in_words(self._targets)}"

    async def inject(self) -> None:
        found = [process_of(target, self._paths) for target in self._targets]
        victims = [process for process in found if process is not None]
        if len(victims) < len(found):
            raise NotPossible("target_is_gone", f"{in_words(self._targets)}: not there any more, before it was struck")
        if len(victims) > 1:
            send(victims, signal.SIGSTOP)
        send(victims, signal.SIGKILL)

    async def heal(self) -> None:
        """Nothing to take back."""
