"""What faults have in common that change one object and are healed by putting it back."""

from __future__ import annotations

from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.marks import Change
from colonnade.drill.cluster.restoring import restore


class Restored:
    """`_change`, once something is going to be changed, is what `heal` puts back."""

    message: str

    def __init__(self, around: ClusterSurroundings) -> None:
        self._around = around
        self._change: Change | None = None

    async def heal(self) -> None:
        """Raises DriverError when it could not be put back."""
        if self._change is None:
            return
        left = await restore(self._around.api, self._around.clock, self._change)
        self._change = None
        if left:
            self.message += f"; {left}"
