"""What a drill asks of a cluster. Who speaks to one is given from outside (`deploy/kubernetes/breakable.py`).

Every method may raise DriverError for what the API server refuses, and DriverUnavailable when it does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar

Object = dict[str, Any]
"""As the API has it: kind, metadata, spec, status."""

Listed = list[Object]

P = ParamSpec("P")
T = TypeVar("T")


class ClusterApi(Protocol):
    """One namespace of a cluster, and its nodes."""

    namespace: str

    @property
    def context(self) -> str: ...

    @property
    def server(self) -> str:
        """Its address."""
        ...

    def version(self) -> str:
        """Of the API server: v1.32.1."""
        ...

    def get(self, kind: str, name: str) -> Object | None: ...

    def list(self, kind: str, labels: Mapping[str, str] | None = None) -> Listed: ...

    def merge(self, kind: str, name: str, patch: Mapping[str, Any]) -> None:
        """JSON merge patch: None takes a key out."""
        ...

    def delete(self, kind: str, name: str) -> None:
        """With the grace period of the object itself."""
        ...

    def set_replicas(self, deployment: str, replicas: int) -> None:
        """By the subresource `scale`, as autoscalers do."""
        ...

    def pods_on(self, node: str) -> Listed:
        """Of all namespaces."""
        ...

    def pod(self, namespace: str, name: str) -> Object | None: ...

    def evict(self, namespace: str, pod: str) -> tuple[str, float] | None:
        """None when it leaves, or is gone already; otherwise why it may not leave now (which budget, in the API
        server's words), and after how many seconds to ask again (0: not said)."""
        ...

    def may(self, verb: str, group: str, resource: str, subresource: str, *, is_everywhere: bool) -> bool:
        """Whether this user is allowed to; `is_everywhere`: in all namespaces, or for what is in none."""
        ...


async def ask(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call in a thread. What has begun is waited for even when this is cancelled: what it changed has to be there
    before it is put back."""
    task = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
