"""A cluster through its API, by lightkube: objects as plain dictionaries, errors as ours. No decisions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import httpx2
from lightkube import ApiError, Client
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import (
    GenericGlobalResource,
    GenericNamespacedResource,
    create_global_resource,
    create_namespaced_resource,
)
from lightkube.types import CascadeType, PatchType

from colonnade.core.errors import HostError
from colonnade.deploy.kubernetes.answers import NotServed, WrittenMeanwhile, translated
from colonnade.deploy.kubernetes.kubeconfig import find_kubeconfig
from colonnade.deploy.kubernetes.objects import Object
from colonnade.deploy.kubernetes.owners import FIELD_MANAGER
from colonnade.deploy.kubernetes.pruning import OF_OPERATORS, PRUNED

ANSWER_S = 30.0
WRITES_MAX = 5
"""How often a change is tried while others write to the same object."""

NAMESPACED = (
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Event", "events"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("batch", "v1", "Job", "jobs"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    ("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    ("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
    ("postgresql.cnpg.io", "v1", "Cluster", "clusters"),
    ("postgresql.cnpg.io", "v1", "Pooler", "poolers"),
    ("postgresql.cnpg.io", "v1", "ScheduledBackup", "scheduledbackups"),
)
GLOBAL = (("Namespace", "namespaces"), ("Node", "nodes"))
"""All kinds that are ever written or read, so that nothing has to be asked about the API."""

_KINDS: dict[str, type[GenericNamespacedResource]] = {
    kind: create_namespaced_resource(group, version, kind, plural, verbs=None)
    for group, version, kind, plural in NAMESPACED
}
_GLOBAL: dict[str, type[GenericGlobalResource]] = {
    kind: create_global_resource("", "v1", kind, plural) for kind, plural in GLOBAL
}

KEPT_AT_THE_END = ("Secret", "Cluster", "Pod", "Event", "ReplicaSet")
"""Not deleted by `down`: what the user made, what holds data, and what goes with its owner."""

DATABASES = ("Cluster", "Pooler", "ScheduledBackup")


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    @classmethod
    def connect(cls, context: str, namespace: str) -> Self:
        """By KUBECONFIG, ~/.kube/config or the pod's account, as kubectl does. Raises HostError."""
        try:
            config = find_kubeconfig(os.environ).get(context or None)
            client = Client(
                config=config, namespace=namespace, field_manager=FIELD_MANAGER, timeout=httpx2.Timeout(ANSWER_S)
            )
        except (ConfigError, OSError, KeyError, ValueError) as error:
            raise HostError(
                f"no way to the cluster is known: {error}",
                subject=context or "kubeconfig",
                hint="`kubectl config get-contexts` shows those that are; say --context",
            ) from error
        # lightkube has no way to say so, and looks at the type of every error's answer: one without any is no KeyError.
        http: Any = client._client._client
        http.event_hooks = {"response": [lambda answer: answer.headers.setdefault("Content-Type", "")]}
        return cls(client, namespace)

    @property
    def context(self) -> str:
        """Its name in the kubeconfig."""
        return str(self._client.config.context_name)

    @property
    def server(self) -> str:
        return str(self._client.config.cluster.server)

    def get(self, kind: str, name: str) -> Object | None:
        with translated(f"{kind} {name}"):
            try:
                if kind in _GLOBAL:
                    return dict(self._client.get(_GLOBAL[kind], name))
                return dict(self._client.get(_KINDS[kind], name, namespace=self.namespace))
            except ApiError as error:
                if error.status.code == 404:
                    return None
                raise

    def has_namespace(self) -> bool:
        """Also where one may not look: whoever may only do things in a namespace has been given one."""
        try:
            return self.get("Namespace", self.namespace) is not None
        except NotServed:
            return True

    def list(self, kind: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        with translated(kind):
            found: Any
            if kind in _GLOBAL:
                found = self._client.list(_GLOBAL[kind], labels=dict(labels or {}))
            else:
                found = self._client.list(_KINDS[kind], namespace=self.namespace, labels=dict(labels or {}))
            return [{"kind": kind, **dict(each)} for each in found]

    def apply(self, wanted: Object, *, is_tried: bool = False) -> Object:
        """Server-side apply; what others set in these fields is taken over. With `is_tried` only the answer is had."""
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        with translated(f"{kind} {name}"):
            client: Any = self._client
            if kind in _GLOBAL:
                done = client.apply(_made(_GLOBAL[kind], wanted), force=True, dry_run=is_tried)
            else:
                done = client.apply(_made(_KINDS[kind], wanted), namespace=self.namespace, force=True, dry_run=is_tried)
            return dict(done)

    def on_newest(self, kind: str, name: str, write: Callable[[Object], None]) -> None:
        """`write` is given the object as it is, and writes with its version; again when somebody else wrote in
        between. Raises NotServed when it is gone, WrittenMeanwhile when others do not stop."""
        for tries_left in reversed(range(WRITES_MAX)):
            live = self.get(kind, name)
            if live is None:
                raise NotServed("it is gone", subject=f"{kind} {name}", hint="`colonnade status` shows what is there")
            try:
                write(live)
                return
            except WrittenMeanwhile:
                if not tries_left:
                    raise

    def merge(self, kind: str, name: str, patch: Mapping[str, Any], *, based_on: Object | None = None) -> None:
        """JSON merge patch: None takes a key out. With `based_on` only if nobody wrote since; else WrittenMeanwhile."""
        if based_on is not None:
            version = {"resourceVersion": based_on["metadata"]["resourceVersion"]}
            patch = {**patch, "metadata": {**patch.get("metadata", {}), **version}}
        with translated(f"{kind} {name}"):
            client: Any = self._client
            where = {} if kind in _GLOBAL else {"namespace": self.namespace}
            client.patch({**_KINDS, **_GLOBAL}[kind], name, dict(patch), patch_type=PatchType.MERGE, **where)

    def replace(self, found: Object, *, based_on: Object) -> None:
        """The whole of it. Raises WrittenMeanwhile if somebody wrote since `based_on`."""
        kind, name = found["kind"], found["metadata"]["name"]
        metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
        metadata["resourceVersion"] = based_on["metadata"]["resourceVersion"]
        with translated(f"{kind} {name}"):
            self._client.replace(_made(_KINDS[kind], {**found, "metadata": metadata}))

    def delete(self, kind: str, name: str) -> None:
        """What is gone already is fine."""
        with translated(f"{kind} {name}"):
            try:
                # Pods of a Job would otherwise be left.
                self._client.delete(_KINDS[kind], name, namespace=self.namespace, cascade=CascadeType.BACKGROUND)
            except ApiError as error:
                if error.status.code != 404:
                    raise

    def owned(self, system: str) -> Iterator[Object]:
        """Everything of a system that `down` ends."""
        for kind in _KINDS:
            if kind not in KEPT_AT_THE_END:
                yield from self._found(kind, system)

    def prunable(self, system: str) -> Iterator[Object]:
        """What has the system's label, of the kinds that a deployment may take away."""
        for kind in PRUNED:
            yield from self._found(kind, system)

    def _found(self, kind: str, system: str) -> Sequence[Object]:
        try:
            return self.list(kind, {"app.kubernetes.io/part-of": system})
        except NotServed:
            # A kind of an operator that this cluster does not have, or that is not for this user, who made none.
            if kind in (*OF_OPERATORS, *DATABASES):
                return []
            raise

    def log(self, pod: str, container: str, *, lines: int, is_following: bool) -> Iterator[str]:
        with translated(f"Pod {pod}"):
            yield from self._client.log(
                pod,
                namespace=self.namespace,
                container=container,
                follow=is_following,
                tail_lines=lines,
                newlines=False,
            )


def kind_of(kind: str) -> type[GenericNamespacedResource]:
    return _KINDS[kind]


def _made(kind: Any, found: Object) -> Any:
    """lightkube's generic objects are dictionaries, which its types do not say."""
    return kind.from_dict(found)
