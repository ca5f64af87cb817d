"""Fields that somebody else owned before: after `kubectl apply`, `rollback`, or a drill."""

from __future__ import annotations

import copy
import json

import pytest

pytest.importorskip("lightkube")

from tests.unit.deploy.kubernetes.api_server import FakeCluster, Object
from tests.unit.deploy.kubernetes.field_owners import combined, paths_of, tree_of
from tests.unit.deploy.kubernetes.shop import deploy, pace, plan, wanted

from colonnade.deploy.kubernetes import deploying
from colonnade.deploy.kubernetes.cluster import NAMESPACED, Cluster
from colonnade.deploy.kubernetes.objects import DRILLED, LAST_APPLIED, dropped
from colonnade.deploy.kubernetes.owners import OF_KUBECTL, given_up, handover

pytestmark = pytest.mark.slow

PLURALS = {kind: (group, version, plural) for group, version, kind, plural in NAMESPACED}


def kubectl_applies(fake: FakeCluster, objects: list[Object]) -> None:
    """As `kubectl apply` does on the client's side: an annotation, and an owner that only updates."""
    for found in objects:
        group, version, plural = PLURALS.get(found["kind"], ("", "v1", "namespaces"))
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        inside = "" if found["kind"] == "Namespace" else f"/namespaces/{found['metadata']['namespace']}"
        path = f"{root}{inside}/{plural}/{found['metadata']['name']}"
        value = combined(copy.deepcopy(fake.objects.get(path, {})), copy.deepcopy(found))
        value["metadata"].setdefault("annotations", {})[LAST_APPLIED] = json.dumps(found)
        entry = {
            "manager": OF_KUBECTL[0],
            "operation": "Update",
            "apiVersion": found["apiVersion"],
            "fieldsType": "FieldsV1",
            "fieldsV1": tree_of(paths_of(found)),
        }
        others = value["metadata"].get("managedFields", [])
        value["metadata"]["managedFields"] = [*others, entry]
        fake.put(path, value)


def with_more() -> list[Object]:
    """With a variable, a label and a limit that the file does not have (any more)."""
    objects = wanted()
    api = next(each for each in objects if each["kind"] == "Deployment" and each["metadata"]["name"] == "api")
    container = api["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "OLD", "value": "1"})
    container["resources"]["limits"]["cpu"] = "2"
    api["metadata"]["labels"]["old"] = "yes"
    return objects


def env_of(fake: FakeCluster, name: str) -> set[str]:
    container = fake.at("deployments", name)["spec"]["template"]["spec"]["containers"][0]
    return {each["name"] for each in container["env"]}


def test_fields_that_kubectl_applied_and_nobody_wants_any_more_go(cluster: Cluster, fake: FakeCluster) -> None:
    kubectl_applies(fake, with_more())
    planned = plan(cluster)
    lines = next(change.lines for change in planned.changes if change.names == ("Deployment", "api"))
    assert 'metadata.labels.old: "yes" → nothing' in lines
    assert any("OLD" in line and line.endswith("→ nothing") for line in lines)
    deploy(cluster, planned=planned)
    api = fake.at("deployments", "api")
    assert "OLD" not in env_of(fake, "api")
    assert "cpu" not in api["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert "old" not in api["metadata"]["labels"]
    assert LAST_APPLIED not in api["metadata"]["annotations"]
    assert {entry["manager"] for entry in api["metadata"]["managedFields"]} == {"colonnade"}
    assert plan(cluster).is_empty


def test_after_kubectl_again_it_is_the_same(cluster: Cluster, fake: FakeCluster) -> None:
    kubectl_applies(fake, wanted())
    deploy(cluster)
    kubectl_applies(fake, with_more())
    deploy(cluster)
    assert "OLD" not in env_of(fake, "api")


def test_what_kubectl_applied_without_a_change_is_taken_over_too(cluster: Cluster, fake: FakeCluster) -> None:
    kubectl_applies(fake, wanted())
    planned = plan(cluster)
    assert all(
        change.lines == ("from now on kept by `colonnade deploy`, no more by `kubectl apply`",)
        for change in planned.changes
    )
    deploy(cluster, planned=planned)
    assert plan(cluster).is_empty


def test_what_a_rollback_brought_back_goes_with_the_next_deployment(cluster: Cluster, fake: FakeCluster) -> None:
    kubectl_applies(fake, with_more())
    deploy(cluster, "shop:2")
    deploying.roll_back(cluster, "shop", pace())
    assert "OLD" in env_of(fake, "api")
    deploy(cluster, "shop:3")
    assert "OLD" not in env_of(fake, "api")


def test_a_rollback_is_seen_even_where_the_new_version_had_only_less(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster, planned=deploying.plan(cluster, "shop", with_more()))
    deploy(cluster)
    assert "OLD" not in env_of(fake, "api")
    deploying.roll_back(cluster, "shop", pace())
    assert "OLD" in env_of(fake, "api")
    planned = deploy(cluster)
    assert [change.names for change in planned.changes] == [("Deployment", "api")]
    assert "OLD" not in env_of(fake, "api")
    assert plan(cluster).is_empty


def test_somebody_who_writes_in_between_hinders_nothing(cluster: Cluster, fake: FakeCluster) -> None:
    kubectl_applies(fake, with_more())
    path = "/apis/apps/v1/namespaces/shop/deployments/api"

    def write() -> None:
        fake.put(path, copy.deepcopy(fake.objects[path]))

    fake.meanwhile += [write] * 4
    deploy(cluster)
    assert "OLD" not in env_of(fake, "api")


def test_the_mark_of_a_drill_outlives_a_deployment(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    cluster.merge("Deployment", "api", {"metadata": {"annotations": {DRILLED: "{}"}, "labels": {DRILLED: "r"}}})
    deploy(cluster, "shop:2")
    metadata = fake.at("deployments", "api")["metadata"]
    assert (metadata["annotations"][DRILLED], metadata["labels"][DRILLED]) == ("{}", "r")


def test_what_goes_is_told_of_what_kubectl_said_and_of_nothing_beside_it() -> None:
    """The API server names places as well, by ".", and things in lists by their keys."""
    ports: Object = {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}}
    annotations: Object = {".": {}, f"f:{LAST_APPLIED}": {}}
    fields: Object = {"f:metadata": {"f:annotations": annotations}, "f:spec": {"f:ports": ports, "f:selector": {}}}
    entry = {"manager": "colonnade", "operation": "Update", "apiVersion": "v1", "fieldsV1": fields}
    port, other = {"name": "http", "port": 80, "protocol": "TCP"}, {"name": "more", "port": 81, "protocol": "TCP"}
    live: Object = {
        "metadata": {"name": "web", "annotations": {"theirs": "1"}, "managedFields": [entry]},
        "spec": {"ports": [port, other], "selector": {"a": "b"}, "clusterIP": "10.0.0.1"},
    }
    before = given_up(live)
    assert before == {"metadata": {"annotations": {}}, "spec": {"ports": [port], "selector": {"a": "b"}}}
    assert dropped(before, {"spec": {"ports": [port]}}, live) == ['spec.selector.a: "b" → nothing']
    # What kubectl owns has defaults among it.
    said = {"metadata": {"annotations": {}}, "spec": {"selector": {"a": "b"}}}
    live["metadata"] |= {"annotations": {LAST_APPLIED: json.dumps(said)}}
    live["metadata"]["managedFields"] = [{**entry, "manager": OF_KUBECTL[0]}]
    assert dropped(given_up(live), {"spec": {}}, live) == ['spec.selector.a: "b" → nothing']


def test_fields_of_another_version_of_the_api_and_of_others_are_left(cluster: Cluster) -> None:
    def entry(manager: str, operation: str, version: str, field: str, **more: str) -> Object:
        fields: Object = {"f:spec": {f"f:{field}": {}}}
        return {"manager": manager, "operation": operation, "apiVersion": version, "fieldsV1": fields, **more}

    scaled = entry("colonnade", "Update", "apps/v1", "replicas", subresource="scale")
    theirs = entry("somebody", "Update", "apps/v1", "paused")
    entries = [
        entry(OF_KUBECTL[0], "Update", "apps/v1beta1", "a"),
        entry(OF_KUBECTL[0], "Update", "apps/v1", "b"),
        scaled,
        theirs,
        entry("colonnade", "Apply", "apps/v1", "replicas"),
    ]
    live = {"metadata": {"managedFields": entries}}
    patch = handover(live, leaves_replicas=False)
    assert patch is not None
    *others, ours = patch["metadata"]["managedFields"]
    assert others == [scaled, theirs]
    assert ours["fieldsV1"] == {"f:spec": {"f:b": {}, "f:replicas": {}}}
    after = {"metadata": {"managedFields": [*others, ours]}}
    assert handover(after, leaves_replicas=False) is None
    left = handover(after, leaves_replicas=True)
    assert left is not None
    assert left["metadata"]["managedFields"][-1]["fieldsV1"] == {"f:spec": {"f:b": {}}}
