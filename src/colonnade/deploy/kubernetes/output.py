"""What pods have written, or why that is not to be had: a container that has not started has no output, and the output
of a pod is kept by its node, which may be away. The API server answers both with an error, and neither may take the
place of what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from colonnade.core.errors import DriverError
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.objects import Object, container_at_work

LAST_LINES = 20


def lines_of(cluster: Cluster, pod: Object, *, lines: int, is_following: bool = False) -> Iterator[str]:
    """The last ones, and on with `is_following`; or one line that says why there are none."""
    try:
        yield from cluster.log(pod["metadata"]["name"], container_at_work(pod), lines=lines, is_following=is_following)
    except DriverError as error:
        yield f"no output: {error.message}"


def last_words(cluster: Cluster, pods: Sequence[Object]) -> str:
    return "\n".join(line for pod in pods for line in lines_of(cluster, pod, lines=LAST_LINES))
