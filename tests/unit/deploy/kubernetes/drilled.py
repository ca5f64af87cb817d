"""The API server's fake as a drill needs it: several nodes, a pod for each replica, successors for those that leave,
and a disruption budget that refuses as often as it is told."""

from __future__ import annotations

import copy
from itertools import count
from typing import Any

from tests.unit.deploy.kubernetes.api_server import FakeCluster, Object, failure

NAMESPACE = "/api/v1/namespaces/shop"


class DrilledCluster(FakeCluster):
    """Pods are ready at once, and go to the schedulable node with the fewest."""

    def __init__(self, *nodes: str) -> None:
        super().__init__()
        self.refusals_left = 0
        self.denied: set[tuple[str, str]] = set()
        """(verb, resource or resource/subresource)."""
        self.evicted: list[str] = []
        self._numbers = count(1)
        for name in nodes or ("node-1", "node-2", "node-3"):
            self.objects[f"/api/v1/nodes/{name}"] = {
                "kind": "Node",
                "metadata": {"name": name},
                "spec": {},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "nodeInfo": {"kubeletVersion": "v1.32.1"},
                },
            }

    def node(self, name: str) -> Object:
        return self.objects[f"/api/v1/nodes/{name}"]

    def pods(self, deployment: str = "") -> dict[str, Object]:
        """Of one Deployment, or all of ours."""
        found = {path: value for path, value in self.objects.items() if path.startswith(f"{NAMESPACE}/pods/")}
        return {path: value for path, value in found.items() if deployment in ("", _name(value))}

    def foreign(self, name: str, node: str, **more: Any) -> Object:
        """A pod of somebody else on a node."""
        owner = {"kind": "ReplicaSet", "name": "theirs", "controller": True, "uid": "t"}
        pod: Object = {
            "metadata": {"name": name, "namespace": "theirs", "uid": name, "labels": {}, "ownerReferences": [owner]},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": "Running"},
        }
        pod["metadata"] |= more.pop("metadata", {})
        pod["spec"] |= more
        self.objects[f"/api/v1/namespaces/theirs/pods/{name}"] = pod
        return pod

    def may(self, attributes: Object) -> bool:
        below = f"/{attributes['subresource']}" if attributes.get("subresource") else ""
        return (attributes["verb"], f"{attributes['resource']}{below}") not in self.denied

    def evict(self, path: str) -> tuple[int, Object]:
        if self.refusals_left:
            self.refusals_left -= 1
            cause = {
                "reason": "DisruptionBudget",
                "message": "The disruption budget web needs 2 healthy pods and has 2",
            }
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            return 429, failure(429, "TooManyRequests", message, {"causes": [cause]})
        self.evicted.append(path.rpartition("/")[2])
        return super().evict(path)

    def remove(self, path: str) -> Object | None:
        found = super().remove(path)
        if found is not None and path.startswith(f"{NAMESPACE}/pods/"):
            self._fill(_name(found))
        return found

    def _roll(self, path: str, value: Object, old: Object | None) -> None:
        super()._roll(path, value, old)
        name = value["metadata"]["name"]
        is_new = old is None or old["spec"]["template"] != value["spec"]["template"]
        for path, pod in self.pods(name).items():
            # The base has made one pod that stands for all; it has no uid.
            if is_new or "uid" not in pod["metadata"]:
                del self.objects[path]
        self._fill(name, value)

    def _fill(self, name: str, deployment: Object | None = None) -> None:
        value = deployment or self.at("deployments", name)
        wanted, there = value["spec"].get("replicas", 1), list(self.pods(name))
        for extra in there[wanted:]:
            del self.objects[extra]
        for _ in range(wanted - len(there)):
            number = next(self._numbers)
            pod = f"{name}-{number}"
            owner = {"kind": "ReplicaSet", "name": name, "controller": True, "uid": name}
            self.objects[f"{NAMESPACE}/pods/{pod}"] = {
                "metadata": {
                    "name": pod,
                    "namespace": "shop",
                    "uid": f"uid-{number}",
                    "labels": copy.deepcopy(value["spec"]["template"]["metadata"]["labels"]),
                    "ownerReferences": [owner],
                },
                "spec": {"containers": value["spec"]["template"]["spec"]["containers"], "nodeName": self._free()},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            }

    def _free(self) -> str:
        nodes = [each for path, each in self.objects.items() if path.startswith("/api/v1/nodes/")]
        names = [each["metadata"]["name"] for each in nodes if not each["spec"].get("unschedulable")]
        placed = [each["spec"].get("nodeName") for each in self.pods().values()]
        return str(min(names, key=lambda name: (placed.count(name), name)))


def _name(pod: Object) -> str:
    return str(pod["metadata"]["labels"]["app.kubernetes.io/name"])
