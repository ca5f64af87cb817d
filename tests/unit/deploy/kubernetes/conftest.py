"""A cluster of the test's own, and the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.deploy.kubernetes.api_server import FakeCluster

    from colonnade.deploy.kubernetes.cluster import Cluster

# What needs lightkube is imported by who asks for it: other tests here do without.


@pytest.fixture
def fake() -> FakeCluster:
    from tests.unit.deploy.kubernetes.api_server import FakeCluster

    return FakeCluster()


@pytest.fixture
def cluster(fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    from tests.unit.deploy.kubernetes.api_server import reached

    from colonnade.deploy.kubernetes.cluster import Cluster

    with reached(fake, tmp_path, monkeypatch):
        yield Cluster.connect("", "shop")
