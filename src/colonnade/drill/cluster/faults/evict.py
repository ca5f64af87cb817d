"""Eviction: pods are asked to leave, and the disruption budget is asked whether they may. With `extent = "all"` every
pod of a service is asked for at once, and the budget has to let them go one by one."""

from __future__ import annotations

from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.faults.evictions import evict_all, told_refusals
from colonnade.drill.cluster.faults.whom import pods_meant
from colonnade.drill.faults.settings import known
from colonnade.drill.faults.targets import in_words
from colonnade.drill.scenario import PlannedFault


class Evict:
    def __init__(self, planned: PlannedFault, around: ClusterSurroundings) -> None:
        known(planned, {})
        self._pods = pods_meant(planned.aim, around)
        self._api, self._clock = around.api, around.clock
        self.subjects = tuple(pod.name for pod in self._pods)
        self.message = f"evicted {in_words(self._pods)}"

    async def inject(self) -> None:
        pods = [(self._api.namespace, pod.name) for pod in self._pods]
        self.message += told_refusals(await evict_all(self._api, self._clock, pods))

    async def heal(self) -> None:
        """Nothing to take back: who left has a successor."""
