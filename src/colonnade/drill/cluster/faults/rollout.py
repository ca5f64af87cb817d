"""Rollout: the same version once more, in new pods, by an annotation on the pods' template, as `kubectl rollout
restart` does it. The annotation stays: taking it off would be another rollout."""

from __future__ import annotations

from datetime import UTC, datetime

from colonnade.drill.cluster.api import ask
from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.faults.whom import deployment_meant
from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.settings import known
from colonnade.drill.scenario import PlannedFault

RESTARTED = "kubectl.kubernetes.io/restartedAt"


class Rollout:
    def __init__(self, planned: PlannedFault, around: ClusterSurroundings) -> None:
        known(planned, {})
        self._name = deployment_meant(planned.aim, around)
        self._api = around.api
        self._at = datetime.fromtimestamp(around.clock.wall(), UTC).isoformat(timespec="seconds")
        self.subjects = (self._name,)
        self.message = f"replaced all pods of {self._name} by new ones of the same version"

    async def inject(self) -> None:
        found = await ask(self._api.get, "Deployment", self._name)
        if found is None or found["spec"].get("paused"):
            what = "is gone" if found is None else "is paused"
            raise NotPossible("cannot_roll", f"the Deployment {self._name} {what}")
        template = {"metadata": {"annotations": {RESTARTED: self._at}}}
        await ask(self._api.merge, "Deployment", self._name, {"spec": {"template": template}})

    async def heal(self) -> None:
        """Nothing to take back."""
