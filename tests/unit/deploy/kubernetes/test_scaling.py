"""`colonnade scale` against an API server of the test's own, and what deployments leave of it."""

from __future__ import annotations

import copy

import pytest

pytest.importorskip("lightkube")

from tests.unit.deploy.kubernetes.api_server import FakeCluster
from tests.unit.deploy.kubernetes.field_owners import updated
from tests.unit.deploy.kubernetes.shop import deploy, plan

from colonnade.core.errors import DriverUnavailable, SpecError
from colonnade.deploy.kubernetes.cluster import WRITES_MAX, Cluster
from colonnade.deploy.kubernetes.scaling import Room, scale

pytestmark = pytest.mark.slow

ROOM = Room(slots=18, declared=2)


def somebody_scales(fake: FakeCluster, deployment: str, replicas: int) -> None:
    """As an autoscaler does, or somebody with kubectl."""
    path = f"/apis/apps/v1/namespaces/shop/deployments/{deployment}"
    old = fake.objects[path]
    new = copy.deepcopy(old)
    new["spec"]["replicas"] = replicas
    fake.put(path, updated(old, new, "kube-controller-manager"))


def touch(fake: FakeCluster, deployment: str) -> None:
    """A write that has nothing to do with numbers, such as of a controller that reports."""
    path = f"/apis/apps/v1/namespaces/shop/deployments/{deployment}"
    fake.put(path, copy.deepcopy(fake.objects[path]))


def test_scaling_sets_replicas_or_pins_the_autoscaler_until_it_is_let_go(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    scale(cluster, "api", 5, ROOM)
    assert fake.at("deployments", "api")["spec"]["replicas"] == 5
    scale(cluster, "web", 4, ROOM)
    scale(cluster, "web", 3, ROOM)
    spec = fake.at("horizontalpodautoscalers", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 3)
    assert scale(cluster, "web", None, ROOM) == "web → by its load, 1 to 9"
    with pytest.raises(SpecError, match="18 replicas at most"):
        scale(cluster, "api", 19, ROOM)
    assert scale(cluster, "api", None, ROOM) == "api → 2, as declared"
    with pytest.raises(SpecError, match="no bounds"):
        scale(cluster, "api", None, ROOM)


def test_what_scale_has_said_outlives_deployments_until_it_is_let_go(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    scale(cluster, "api", 5, ROOM)
    scale(cluster, "web", 4, ROOM)
    planned = plan(cluster, "shop:2")
    assert {sentence.split(",")[0] for sentence in planned.kept} == {"api keeps 5 replicas", "web keeps 4 replicas"}
    for image in ("shop:2", "shop:3"):
        deploy(cluster, image)
    assert fake.at("deployments", "api")["spec"]["replicas"] == 5
    bounds = fake.at("horizontalpodautoscalers", "web")["spec"]
    assert (bounds["minReplicas"], bounds["maxReplicas"]) == (4, 4)
    scale(cluster, "api", None, ROOM)
    scale(cluster, "web", None, ROOM)
    assert plan(cluster, "shop:3").is_empty


def test_a_number_of_somebody_else_at_the_same_moment_is_not_overwritten(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    fake.meanwhile.append(lambda: somebody_scales(fake, "api", 7))
    with pytest.raises(DriverUnavailable, match="at the same moment: replicas 7"):
        scale(cluster, "api", 5, ROOM)
    assert fake.at("deployments", "api")["spec"]["replicas"] == 7


def test_other_writes_at_the_same_moment_are_no_hindrance(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    fake.meanwhile += [lambda: touch(fake, "api")] * (WRITES_MAX - 1)
    scale(cluster, "api", 5, ROOM)
    assert fake.at("deployments", "api")["spec"]["replicas"] == 5
    fake.meanwhile += [lambda: touch(fake, "api")] * WRITES_MAX
    with pytest.raises(DriverUnavailable, match="modified"):
        scale(cluster, "api", 4, ROOM)


def test_what_the_autoscaler_has_set_outlives_a_deployment(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    assert fake.at("deployments", "web")["spec"]["replicas"] == 1
    somebody_scales(fake, "web", 6)
    deploy(cluster, "shop:2")
    assert fake.at("deployments", "web")["spec"]["replicas"] == 6


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_the_autoscaler_sets_in_the_middle_of_a_deployment_is_kept(
    cluster: Cluster, fake: FakeCluster, number: int
) -> None:
    """Before each of the writes of an object, whichever that is."""
    deploy(cluster)
    planned = plan(cluster, "shop:2")
    writes = [lambda: None] * (number - 1)
    fake.meanwhile += [*writes, lambda: somebody_scales(fake, "web", 5)]
    deploy(cluster, planned=planned)
    assert fake.at("deployments", "web")["spec"]["replicas"] == 5
