from __future__ import annotations

import pytest

from colonnade.planning.cluster import cluster_needs

GB = 10**9


@pytest.mark.parametrize(
    ("cores_busy", "memory_bytes", "nodes", "because"),
    [
        (0.5, None, 3, "quorum"),
        (7.0, None, 3, "cores"),  # 2 of 3.5 usable cores, and one that may be gone
        (7.1, None, 4, "cores"),
        (1.0, 14 * GB, 3, "memory"),  # 2 of 7.2 usable GB, and one that may be gone
        (1.0, 22 * GB, 5, "memory"),
    ],
)
def test_the_load_is_carried_with_one_node_gone(
    cores_busy: float, memory_bytes: int | None, nodes: int, because: str
) -> None:
    found = cluster_needs({"web": 4}, cores_busy, memory_bytes, 4, 8 * GB)
    assert found is not None
    assert (found.nodes, found.because) == (nodes, because)
    assert found.pods == {"web": 4, "gateway": 2}


def test_what_is_no_node_is_not_counted_in() -> None:
    assert cluster_needs({"web": 1}, 1.0, None, 0.5, GB) is None
