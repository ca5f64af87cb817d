"""Looks at a system in a cluster all the time, as `drill/sampler` does on one machine: two lists from the API
server."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError, HostError
from colonnade.drill.cluster.api import ClusterApi, ask
from colonnade.drill.cluster.state import PART_OF, sample_of, status_of
from colonnade.drill.record import Sample
from colonnade.spec.model import Spec

EVERY_S = 1.0
"""Between two looks. Recovery is told to a second: an API server belongs to everybody."""


class ClusterSampler:
    """Keeps every look, and the newest status as a whole."""

    def __init__(self, api: ClusterApi, spec: Spec, clock: Clock) -> None:
        self._api = api
        self._spec = spec
        self._clock = clock
        self.samples: list[Sample] = []
        self.status: Mapping[str, Any] = {}

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)

    async def look(self) -> Sample:
        """One look, also kept. An API server that does not answer is an answer too, and so is a login that fails for a
        moment: its program asks somebody else."""
        at = self._clock.monotonic()
        try:
            status: Mapping[str, Any] | None = await ask(self._ask)
        except (DriverError, HostError):
            status = None
        if status is not None:
            self.status = status
        sample = sample_of(at, status)
        insort(self.samples, sample, key=lambda each: each.at)
        return sample

    def _ask(self) -> Mapping[str, Any]:
        labels = {PART_OF: self._spec.system.name}
        return status_of(self._spec, self._api.list("Deployment", labels), self._api.list("Pod", labels))
