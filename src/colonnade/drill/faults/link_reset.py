"""Link reset: all connections over it are reset at this moment, as by a firewall that forgot them. New ones come in."""

from __future__ import annotations

from colonnade.drill.faults.fault import Surroundings
from colonnade.drill.faults.on_links import in_words, links_meant
from colonnade.drill.faults.settings import known
from colonnade.drill.faults.ways import subjects_of
from colonnade.drill.scenario import PlannedFault


class LinkReset:
    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        known(planned, {})
        self._links, self._ways = links_meant(planned, around)
        self.subjects = subjects_of(self._ways, around.status)
        self.message = f"reset the connections on {in_words(self._ways)}"

    async def inject(self) -> None:
        count = await self._links.reset(self._ways)
        self.message = f"reset {count} connections on {in_words(self._ways)}"

    async def heal(self) -> None:
        """Nothing to take back."""
