"""A cluster of the test's own, and the way to it."""

from __future__ import annotations

import json
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
    from tests.unit.deploy.kubernetes.api_server import serving

    from colonnade.deploy.kubernetes.cluster import Cluster

    with serving(fake) as url:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "config").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        yield Cluster.connect("", "shop")
