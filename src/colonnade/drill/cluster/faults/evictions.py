"""Evicts pods as `kubectl drain` does: all are asked for at once, and who is refused is asked again later.

The API server refuses (429) what a disruption budget does not allow at that moment; that is the budget at work and no
error, unless it never allows it.
Read next: `evict`, `drain_node`.
"""

from __future__ import annotations

from collections.abc import Sequence

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverUnavailable
from colonnade.drill.cluster.api import ClusterApi, Object, ask

RETRY_S = 2.0
"""Between two requests for the same pod. kubectl waits five seconds; a replica here is ready in less."""

PATIENCE_S = 240.0
"""For the last eviction to be allowed: each pod before it needs its grace period, and its successor a start."""

POLL_S = 1.0


async def evict_all(api: ClusterApi, clock: Clock, pods: Sequence[tuple[str, str]]) -> int:
    """Until each of these (namespace, name) leaves. Returns how often one was refused. Raises DriverUnavailable."""
    deadline = clock.monotonic() + PATIENCE_S
    pending, refused_count = list(pods), 0
    while True:
        refused: dict[tuple[str, str], tuple[str, float]] = {}
        for pod in pending:
            answer = await ask(api.evict, *pod)
            if answer is not None:
                refused[pod] = answer
        refused_count += len(refused)
        pending = list(refused)
        if not pending:
            return refused_count
        if clock.monotonic() >= deadline:
            (namespace, name), (why, _) = next(iter(refused.items()))
            count = f"{len(pending)} of {len(pods)} evictions"
            raise DriverUnavailable(
                f"{count} were still refused after {PATIENCE_S:.0f} s: {why}",
                subject=f"{namespace}/{name}",
                hint=f"`kubectl -n {namespace} get poddisruptionbudgets` shows what they allow",
            )
        await clock.sleep(max(RETRY_S, *(after_s for _, after_s in refused.values())))


async def wait_until_gone(api: ClusterApi, clock: Clock, pods: Sequence[Object]) -> None:
    """Until none of these is there any more; another pod of the same name is another pod. Raises DriverUnavailable."""
    deadline = clock.monotonic() + PATIENCE_S
    pending = list(pods)
    while pending:
        pending = [pod for pod in pending if await ask(_is_there, api, pod)]
        if pending and clock.monotonic() >= deadline:
            raise DriverUnavailable(
                f"{len(pending)} of {len(pods)} evicted pods have not ended after {PATIENCE_S:.0f} s",
                subject=str(pending[0]["metadata"]["name"]),
                hint="its grace period may be longer than a drill waits",
            )
        if pending:
            await clock.sleep(POLL_S)


def _is_there(api: ClusterApi, pod: Object) -> bool:
    found = api.pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
    return found is not None and found["metadata"].get("uid") == pod["metadata"].get("uid")


def told_refusals(count: int) -> str:
    if not count:
        return "; the budget allowed each at once"
    return f"; the budget held back {count} request{'s' if count > 1 else ''} until it could"
