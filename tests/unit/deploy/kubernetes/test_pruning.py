"""What a deployment takes away, and what it leaves: on an API server of the test's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest

pytest.importorskip("lightkube")

from tests.unit.deploy.kubernetes.api_server import FakeCluster, Object
from tests.unit.deploy.kubernetes.kit import every_feature
from tests.unit.deploy.kubernetes.shop import deploy, pace, plan

from colonnade.core.errors import AppError
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.deploying import Plan, roll_back
from colonnade.deploy.kubernetes.objects import names_of

pytestmark = pytest.mark.slow


def without_api() -> dict[str, Any]:
    """The declaration with one of its two services."""
    data = every_feature()
    del data["services"]["api"]
    data["services"]["web"]["uses"] = [used for used in data["services"]["web"]["uses"] if used != "api"]
    data["plan"]["work"].pop("api", None)
    return data


def fixed() -> dict[str, Any]:
    data = every_feature()
    data["services"]["web"]["replicas"] = 3
    return data


def removed(planned: Plan) -> set[tuple[str, str]]:
    return {names_of(each.found) for each in planned.removals}


def names_in(fake: FakeCluster, plural: str) -> set[str]:
    return {path.rsplit("/", 1)[1] for path in fake.objects if path.split("/")[-2] == plural}


def test_a_service_that_is_no_more_goes_with_all_that_was_its_own(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    told: list[str] = []
    planned = deploy(cluster, data=without_api(), told=told)
    assert {
        *(("Deployment", "api"), ("PodDisruptionBudget", "api"), ("NetworkPolicy", "web-calls")),
        *(("Service", name) for name in ("api", "api-pods", "api-direct")),
    } <= removed(planned)
    assert names_in(fake, "deployments") == {"gateway", "web"}
    assert "api-pods" not in names_in(fake, "services")
    # Only when the rest was well.
    deleted = [number for number, (method, *_) in enumerate(fake.requests) if method == "DELETE"]
    applied = [number for number, (method, *_) in enumerate(fake.requests) if method == "PATCH"]
    assert max(applied) < min(deleted)
    assert told.index("deleted Deployment api") > told.index("web: all 1 are new and serve")
    assert plan(cluster, data=without_api()).is_empty


def test_nothing_is_deleted_when_the_new_version_is_bad(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    fake.bad_images.add("shop:2")
    with pytest.raises(AppError):
        deploy(cluster, "shop:2", data=without_api())
    assert "DELETE" not in {method for method, *_ in fake.requests}
    assert "api" in names_in(fake, "deployments")


def test_an_autoscaler_that_is_no_more_leaves_the_declared_number(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    planned = plan(cluster, data=fixed())
    assert removed(planned) == {("HorizontalPodAutoscaler", "web")}
    path = "/apis/apps/v1/namespaces/shop/deployments/web"

    def autoscaler_goes_on() -> None:
        value = copy.deepcopy(fake.objects[path])
        value["spec"]["replicas"] = 7
        fake.put(path, value)

    # Before the first write: as long as it is there it says how many there are.
    fake.meanwhile.append(autoscaler_goes_on)
    deploy(cluster, planned=planned)
    assert names_in(fake, "horizontalpodautoscalers") == set()
    assert fake.objects[path]["spec"]["replicas"] == 3


def test_what_an_older_version_needs_stays_as_long_as_one_can_go_back_to_it(
    cluster: Cluster, fake: FakeCluster
) -> None:
    deploy(cluster)
    old_jobs = names_in(fake, "jobs")
    deploy(cluster, "shop:2")
    assert old_jobs < names_in(fake, "jobs"), "its pods wait for the Job of their version"
    data = every_feature()
    for service in data["services"].values():
        service.pop("release", None)
        service.pop("env", None)
    planned = deploy(cluster, "shop:3", data=data)
    assert removed(planned) & {("ConfigMap", "wait-for-release"), ("Role", "release-reader")} == set()
    assert "to-api-server" in names_in(fake, "networkpolicies")
    roll_back(cluster, "shop", pace())
    image = fake.at("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "shop:2"
    # No version is kept any more that needs them.
    for path in [path for path in fake.objects if "/replicasets/" in path]:
        del fake.objects[path]
    gone = removed(plan(cluster, "shop:3", data))
    assert {("ConfigMap", "wait-for-release"), ("ServiceAccount", "release-reader")} <= gone
    assert {("RoleBinding", "release-reader"), ("NetworkPolicy", "to-api-server")} <= gone
    assert {("Job", name) for name in names_in(fake, "jobs")} <= gone


def test_what_others_made_is_left_whatever_its_label_says(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    labels = {"app.kubernetes.io/part-of": "shop"}
    ours = fake.at("configmaps", "gateway-config")["metadata"]["managedFields"]
    theirs: list[tuple[str, Object]] = [
        ("api/v1/namespaces/shop/configmaps", {"name": "hand-made"}),
        ("apis/apps/v1/namespaces/shop/deployments", {"name": "by-a-controller", "annotations": {}}),
        ("api/v1/namespaces/shop/secrets", {"name": "shop-database", "managedFields": ours}),
        ("api/v1/namespaces/shop/persistentvolumeclaims", {"name": "files", "managedFields": ours}),
        ("apis/postgresql.cnpg.io/v1/namespaces/shop/clusters", {"name": "shop-db", "managedFields": ours}),
    ]
    for collection, metadata in theirs:
        found = {"metadata": {**metadata, "labels": labels}, "spec": {"template": {"metadata": {}}}}
        fake.objects[f"/{collection}/{metadata['name']}"] = found
    owned = {"kind": "Gateway", "name": "of-a-gateway", "uid": "g"}
    made = {"name": "of-a-gateway", "labels": labels, "managedFields": ours, "ownerReferences": [owned]}
    fake.objects["/api/v1/namespaces/shop/services/of-a-gateway"] = {"metadata": made, "spec": {}}
    assert plan(cluster).is_empty


def test_a_cluster_without_the_kinds_of_operators_is_pruned_all_the_same(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    fake.troubles.append(("GET", "/servicemonitors", 403))
    assert ("Deployment", "api") in removed(plan(cluster, data=without_api()))
    assert fake.troubles == []
