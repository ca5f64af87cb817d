"""A cluster through its API, by lightkube: objects as plain dictionaries, errors as ours. No decisions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

from colonnade.core.errors import DriverError, DriverUnavailable, HostError
from colonnade.deploy.kubernetes.kubeconfig import find_kubeconfig
from colonnade.deploy.kubernetes.objects import Object

FIELD_MANAGER = "colonnade"
ANSWER_S = 30.0

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

    def merge(self, kind: str, name: str, patch: Mapping[str, Any]) -> None:
        with translated(f"{kind} {name}"):
            client: Any = self._client
            where = {} if kind in _GLOBAL else {"namespace": self.namespace}
            client.patch({**_KINDS, **_GLOBAL}[kind], name, dict(patch), patch_type=PatchType.MERGE, **where)

    def replace(self, found: Object) -> None:
        """Put back an object as it was, whatever has become of it since."""
        kind, name = found["kind"], found["metadata"]["name"]
        metadata = {
            key: value for key, value in found["metadata"].items() if key not in ("resourceVersion", "managedFields")
        }
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
                try:
                    yield from self.list(kind, {"app.kubernetes.io/part-of": system})
                except DriverError as error:
                    # A kind of an operator that this cluster does not have.
                    if "404" not in error.message:
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


def _is_for_now(code: int) -> bool:
    """Whether the same request may be answered otherwise in a moment. 401: whoever knows the users is away. 409:
    somebody else wrote at the same time. 429: it is busy."""
    return code >= 500 or code in (401, 409, 429)


@contextmanager
def translated(subject: str) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if _is_for_now(error.status.code or 0):
            raise DriverUnavailable(
                f"the API server cannot do that now: {error.status.message or error} ({error.status.code})",
                subject=subject,
                hint="wait a moment and ask again; `kubectl get nodes` shows whether it is well",
            ) from error
        raise DriverError(
            f"the API server refuses: {error.status.message or error} ({error.status.code})",
            subject=subject,
            hint="`kubectl auth whoami` and `kubectl auth can-i --list` show who you are there and what you may",
        ) from error
    except ConfigError as error:
        # Found out at the first request: a way to log in that lightkube does not know.
        raise HostError(
            f"the kubeconfig's way to log in does not do: {error}",
            subject="kubeconfig",
            hint="with `kubectl create token` a user with a plain token can be made",
        ) from error
    except httpx2.HTTPError as error:
        raise DriverUnavailable(
            f"the API server does not answer: {error}", subject=subject, hint="does `kubectl get nodes` answer?"
        ) from error
