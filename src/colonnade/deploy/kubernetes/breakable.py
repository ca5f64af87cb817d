"""What drills ask of a cluster beyond the verbs, call by call: evictions, the scale of a Deployment, pods of all
namespaces, what one may. No decisions: those are in `drill/cluster`, which is given this.
"""

from __future__ import annotations

from typing import Any

import httpx2
from lightkube import ApiError
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import DeploymentScale
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.core_v1 import PodEviction
from lightkube.types import PatchType

from colonnade.deploy.kubernetes.answers import translated
from colonnade.deploy.kubernetes.cluster import Cluster, kind_of
from colonnade.deploy.kubernetes.objects import Object

ALL_NAMESPACES = "*"
"""As lightkube has it."""


class BreakableCluster(Cluster):
    """One namespace of a cluster, and its nodes."""

    def version(self) -> str:
        with translated("version"):
            # lightkube has no call for what belongs to no resource.
            http: Any = self._client._client._client
            answer = http.get("version")
            answer.raise_for_status()
            return str(answer.json()["gitVersion"])

    def set_replicas(self, deployment: str, replicas: int) -> None:
        """PATCH …/deployments/NAME/scale."""
        with translated(f"Deployment {deployment}"):
            patch = {"spec": {"replicas": replicas}}
            self._client.patch(DeploymentScale, deployment, patch, namespace=self.namespace, patch_type=PatchType.MERGE)

    def pods_on(self, node: str) -> list[Object]:
        with translated(f"Node {node}"):
            found = self._client.list(kind_of("Pod"), namespace=ALL_NAMESPACES, fields={"spec.nodeName": node})
            return [{"kind": "Pod", **dict(each)} for each in found]

    def pod(self, namespace: str, name: str) -> Object | None:
        with translated(f"Pod {namespace}/{name}"):
            try:
                return dict(self._client.get(kind_of("Pod"), name, namespace=namespace))
            except ApiError as error:
                if error.status.code == 404:
                    return None
                raise

    def evict(self, namespace: str, pod: str) -> tuple[str, float] | None:
        """POST …/pods/NAME/eviction. None when the pod leaves, or is gone; otherwise why it may not leave now, and
        after how many seconds to ask again (0: not said). That is the answer 429, of a disruption budget or of a
        server that is busy; any other raises DriverError."""
        with translated(f"Pod {namespace}/{pod}"):
            wanted = PodEviction(metadata=ObjectMeta(name=pod, namespace=namespace))
            try:
                self._client.create(wanted, pod, namespace=namespace)
            except ApiError as error:
                if error.status.code == 404:
                    return None
                if error.status.code != 429:
                    raise
                details = error.status.details
                causes = [cause.message or "" for cause in (details.causes if details else None) or ()]
                after_s = float((details.retryAfterSeconds if details else None) or 0)
                return " ".join([error.status.message or "refused", *causes]), after_s
            except httpx2.HTTPStatusError as error:
                # A server that is busy says so in plain text, before it has understood what was asked.
                if error.response.status_code != 429:
                    raise
                after = error.response.headers.get("Retry-After", "")
                return "the API server is busy", float(after) if after.isdigit() else 0.0
            return None

    def may(self, verb: str, group: str, resource: str, subresource: str, *, is_everywhere: bool) -> bool:
        """By the API server's own word: a SelfSubjectAccessReview. Without a namespace it is about all of them, and
        about what is in none."""
        with translated("what you may"):
            asked = ResourceAttributes(
                verb=verb,
                group=group,
                resource=resource,
                subresource=subresource,
                namespace="" if is_everywhere else self.namespace,
            )
            review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=asked))
            status = self._client.create(review).status
            return status is not None and bool(status.allowed)
