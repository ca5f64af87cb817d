"""Node drain: one node that runs pods of the system is cordoned, and everything on it but DaemonSets is evicted, pods
of others as well; then it is let go again. As before maintenance of a node, and by the same calls as `kubectl
drain`."""

from __future__ import annotations

from colonnade.drill.cluster import marks
from colonnade.drill.cluster.api import Object, ask
from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.faults.evictions import evict_all, told_refusals, wait_until_gone
from colonnade.drill.cluster.faults.nodes import files_lost, is_ours, leaving, why_not_drained, why_not_evicted
from colonnade.drill.cluster.faults.restored import Restored
from colonnade.drill.cluster.faults.whom import pods_of
from colonnade.drill.cluster.state import GATEWAY
from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.settings import known
from colonnade.drill.scenario import Aim, PlannedFault, Role


class DrainNode(Restored):
    """Of `role = "system"` any node with pods of ours; of `replica` or `gateway` one that runs those."""

    def __init__(self, planned: PlannedFault, around: ClusterSurroundings) -> None:
        known(planned, {})
        self._aim = planned.aim
        super().__init__(around)
        self.subjects: tuple[str, ...] = ()
        self.message = "drained a node"

    async def inject(self) -> None:
        api, clock = self._around.api, self._around.clock
        node = await ask(self._choose)
        self._change = marks.Change(marks.NODE, node, self._around.run_id, api.namespace, {}, {})
        await ask(marks.make, api, self._change)
        # From here on no pod comes to it; one may have come since it was chosen.
        pods, reason = await ask(self._leaving, node)
        if reason:
            raise NotPossible("no_node_to_drain", f"{reason}; it came as {node} was cordoned")
        ours = sum(self._is_ours(pod) for pod in pods)
        self.subjects = (node, *(pod["metadata"]["name"] for pod in pods))
        self.message = f"drained {node}: {ours} pods of the system and {len(pods) - ours} of others"
        names = [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods]
        refused_count = await evict_all(api, clock, names)
        await wait_until_gone(api, clock, pods)
        self.message += told_refusals(refused_count)

    def _choose(self) -> str:
        """A node. Raises NotPossible with what speaks against each."""
        around, against = self._around, []
        nodes = around.api.list("Node")
        meant = self._nodes_meant()
        drawn = sorted((node for node in nodes if node["metadata"]["name"] in meant), key=_name)
        around.random.shuffle(drawn)
        for node in drawn:
            if reason := why_not_drained(node, nodes) or marks.why_not_changed(node):
                against.append(reason)
                continue
            _, reason = self._leaving(_name(node))
            if reason:
                against.append(f"{_name(node)}: {reason}")
                continue
            return _name(node)
        raise NotPossible("no_node_to_drain", "; ".join(against) or "no node runs pods that are meant")

    def _leaving(self, node: str) -> tuple[list[Object], str]:
        """What has to leave a node, and why it may not; empty when it may."""
        pods = leaving(self._around.api.pods_on(node))
        return pods, next(filter(None, map(self._why_not, pods)), "")

    def _is_ours(self, pod: Object) -> bool:
        return is_ours(pod, self._around.api.namespace, self._around.spec.system.name)

    def _why_not(self, pod: Object) -> str:
        """The system's own pods keep nothing on their node but scratch."""
        is_kept = self._is_ours(pod) or self._around.may_delete_local_data
        return why_not_evicted(pod) or ("" if is_kept else files_lost(pod))

    def _nodes_meant(self) -> set[str]:
        if self._aim.role not in (Role.SYSTEM, Role.REPLICA, Role.GATEWAY):
            raise NotPossible("no_pods_of_ours", f"{self._aim.role.value}: say system, replica or gateway")
        gateways = {pod.node for pod in pods_of(self._around.status, Aim(Role.GATEWAY))}
        if self._aim.role is Role.SYSTEM:
            found = {pod["node"] for entry in self._around.status["services"] for pod in entry["replicas"]}
        else:
            found = {pod.node for pod in pods_of(self._around.status, self._aim)}
        if self._around.is_forwarded and (found := found - gateways) <= {""}:
            raise NotPossible(
                "port_forwarded", f"each such node runs a {GATEWAY}, and a port-forward may end with it: say --url"
            )
        return found - {""}


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])
