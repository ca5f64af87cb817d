"""Pod deletion: with the pod's own grace period, and without asking the disruption budget. Its owner starts another
one."""

from __future__ import annotations

from colonnade.drill.cluster.api import ask
from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.faults.whom import pods_meant
from colonnade.drill.faults.settings import known
from colonnade.drill.faults.targets import in_words
from colonnade.drill.scenario import PlannedFault


class DeletePod:
    def __init__(self, planned: PlannedFault, around: ClusterSurroundings) -> None:
        known(planned, {})
        self._pods = pods_meant(planned.aim, around)
        self._api = around.api
        self.subjects = tuple(pod.name for pod in self._pods)
        self.message = f"deleted {in_words(self._pods)}"

    async def inject(self) -> None:
        for pod in self._pods:
            await ask(self._api.delete, "Pod", pod.name)

    async def heal(self) -> None:
        """Nothing to take back."""
