"""Scale: a service gets more pods for a while, or fewer; then as many as before.

Where nobody else says how many there are, by the Deployment's `scale`. An autoscaler would set that back: it is
pinned to the number instead, within its own bounds, and gets them back.
"""

from __future__ import annotations

from colonnade.drill.cluster import marks
from colonnade.drill.cluster.api import Object, ask
from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.faults.restored import Restored
from colonnade.drill.cluster.faults.whom import deployment_meant
from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.settings import numbers
from colonnade.drill.scenario import PlannedFault
from colonnade.gateway.discovered import GATEWAYS_MAX
from colonnade.gateway.pools import slots_for


class Scale(Restored):
    """`factor`: of the pods that there are, those that there will be; rounded down, and one at least."""

    def __init__(self, planned: PlannedFault, around: ClusterSurroundings) -> None:
        self._factor = numbers(planned, factor=0.5)["factor"]
        self._name = deployment_meant(planned.aim, around)
        super().__init__(around)
        self.subjects = (self._name,)
        self.message = f"scaled {self._name}"

    async def inject(self) -> None:
        change = await ask(self._decide)
        before, after = change.before.get("replicas"), change.after.get("replicas", change.after.get("minReplicas"))
        pinned = "" if change.kind == marks.DEPLOYMENT else ", by pinning its autoscaler"
        self.message = f"scaled {self._name}{f' from {before}' if before else ''} to {after} pods{pinned}"
        self._change = change
        await ask(marks.make, self._around.api, change)

    def _decide(self) -> marks.Change:
        """Raises NotPossible where the number would be the same, and where a drill has changed it already."""
        api = self._around.api
        deployment = api.get(marks.DEPLOYMENT, self._name)
        if deployment is None:
            raise NotPossible("no_such_target", f"the Deployment {self._name} is gone")
        deployment = {**deployment, "kind": marks.DEPLOYMENT}
        before = deployment["spec"].get("replicas", 1)
        scalers = [each for each in api.list(marks.SCALER) if _is_of(each, self._name)]
        if len(scalers) > 1:
            raise NotPossible("two_autoscalers", f"{self._name} has {len(scalers)} autoscalers, which pull at it")
        if reason := next(filter(None, map(marks.why_not_changed, (deployment, *scalers))), ""):
            raise NotPossible("marked", reason)
        low, high = 1, self._slots()
        if scalers:
            low, high = scalers[0]["spec"].get("minReplicas", 1), scalers[0]["spec"]["maxReplicas"]
        after = min(max(int(before * self._factor), low, 1), high)
        if after == before:
            raise NotPossible(
                "nothing_to_scale", f"{self._name} has {before} pods and stays with them, between {low} and {high}"
            )
        if not scalers:
            return self._change_of(marks.DEPLOYMENT, self._name, {"replicas": before}, {"replicas": after})
        bounds, pinned = {"minReplicas": low, "maxReplicas": high}, {"minReplicas": after, "maxReplicas": after}
        return self._change_of(marks.SCALER, scalers[0]["metadata"]["name"], bounds, pinned)

    def _change_of(self, kind: str, name: str, before: dict[str, int], after: dict[str, int]) -> marks.Change:
        return marks.Change(kind, name, self._around.run_id, self._around.api.namespace, before, after)

    def _slots(self) -> int:
        """To more pods of a service the gateways do not send."""
        service = next((one["service"] for one in self._around.status["services"] if one["name"] == self._name), "")
        declared = self._around.spec.services.get(service)
        return slots_for(declared) if declared is not None else GATEWAYS_MAX


def _is_of(scaler: Object, deployment: str) -> bool:
    meant = scaler["spec"]["scaleTargetRef"]
    return bool(meant.get("kind") == "Deployment" and meant.get("name") == deployment)
