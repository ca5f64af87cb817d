"""Faults in a cluster over HTTP: which calls they make, whom they spare, and that all is put back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("lightkube")

from tests.unit.deploy.kubernetes.api_server import reached
from tests.unit.deploy.kubernetes.drilled import DrilledCluster
from tests.unit.drill.cluster.kit import shop

from colonnade.core.clock import SimulatedClock
from colonnade.core.errors import DriverError, DriverUnavailable, HostError
from colonnade.deploy.kubernetes.breakable import BreakableCluster
from colonnade.deploy.kubernetes.scaling import Room, scale
from colonnade.drill.cluster import marks
from colonnade.drill.cluster.faults.around import ClusterSurroundings
from colonnade.drill.cluster.faults.registry import CLUSTER_FAULTS, IMPOSSIBLE
from colonnade.drill.cluster.permissions import check
from colonnade.drill.cluster.sampler import ClusterSampler
from colonnade.drill.faults.fault import Fault, NotPossible
from colonnade.drill.faults.registry import FAULTS
from colonnade.drill.scenario import Aim, Extent, PlannedFault, Role
from colonnade.spec.model import Spec

pytestmark = pytest.mark.slow

SPEC = Spec.model_validate(
    {
        "system": {"name": "shop"},
        "services": {
            "web": {"app": "m:a", "route": "/", "replicas": 3},
            "api": {"app": "m:a", "replicas": {"min": 2, "max": 5}},
        },
    }
)


@pytest.fixture
def fake() -> DrilledCluster:
    return shop()


@pytest.fixture
def api(fake: DrilledCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BreakableCluster]:
    with reached(fake, tmp_path, monkeypatch):
        yield BreakableCluster.connect("here", "shop")


def made(api: BreakableCluster, kind: str, role: Role, **more: Any) -> Fault:
    """A fault of this moment. Raises NotPossible."""
    clock = SimulatedClock()
    sampler = ClusterSampler(api, SPEC, clock)
    sample = asyncio.run(sampler.look())
    assert sample.is_whole, sample.problems
    settings = more.pop("settings", {})
    service, extent = more.pop("service", ""), more.pop("extent", Extent.ONE)
    around = ClusterSurroundings(api, SPEC, sampler.status, Random(1), clock, "run1", **more)
    return CLUSTER_FAULTS[kind](PlannedFault(kind, Aim(role, extent, service), 5, settings=settings), around)


def asked(fake: DrilledCluster, method: str) -> list[str]:
    return [path for each, path, _ in fake.requests if each == method]


def test_a_login_that_fails_for_a_moment_is_a_look_without_an_answer(
    api: BreakableCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise HostError("the program that fetches a token failed", hint="wait")

    # Stands for a credential plugin whose own server is away.
    monkeypatch.setattr(api, "list", fail)
    sampler = ClusterSampler(api, SPEC, SimulatedClock())
    assert not asyncio.run(sampler.look()).is_answered
    assert len(sampler.samples) == 1


def test_each_kind_is_either_possible_or_said_to_be_impossible_on_both_sides() -> None:
    assert set(CLUSTER_FAULTS) == set(FAULTS)
    assert all("because" in reason for reason in IMPOSSIBLE.values())


def test_a_pod_is_deleted_with_its_own_grace_period(api: BreakableCluster, fake: DrilledCluster) -> None:
    before = set(fake.pods("web"))
    fault = made(api, "delete_pod", Role.REPLICA)
    asyncio.run(fault.inject())
    gone = before - set(fake.pods("web"))
    assert [path.rpartition("/")[2] for path in gone] == list(fault.subjects)
    query = next(query for method, _, query in fake.requests if method == "DELETE")
    assert "gracePeriodSeconds" not in query


def test_a_pod_that_left_by_itself_is_deleted_enough(api: BreakableCluster, fake: DrilledCluster) -> None:
    fault = made(api, "delete_pod", Role.REPLICA, extent=Extent.ALL, service="web")
    fake.remove(f"/api/v1/namespaces/shop/pods/{fault.subjects[0]}")
    asyncio.run(fault.inject())
    assert not any(path.rpartition("/")[2] in fault.subjects for path in fake.pods("web"))


def test_an_eviction_that_the_budget_refuses_is_asked_for_again(api: BreakableCluster, fake: DrilledCluster) -> None:
    fake.refusals_left = 2
    fault = made(api, "evict", Role.REPLICA, extent=Extent.ALL, service="web")
    asyncio.run(fault.inject())
    assert sorted(fake.evicted) == sorted(fault.subjects)
    assert fault.message.endswith("the budget held back 2 requests until it could")


def test_an_api_server_that_is_busy_is_asked_again_when_it_says(api: BreakableCluster, fake: DrilledCluster) -> None:
    fault = made(api, "evict", Role.REPLICA, service="web")
    fake.troubles = [("POST", "", 429)]
    assert api.evict("shop", fault.subjects[0]) == ("the API server is busy", 7.0)
    fake.troubles = [("POST", "", 429)]
    asyncio.run(fault.inject())
    assert fake.evicted == list(fault.subjects)


def test_a_budget_that_never_allows_is_an_error_that_names_it(api: BreakableCluster, fake: DrilledCluster) -> None:
    fake.refusals_left = 1_000
    with pytest.raises(DriverUnavailable, match="budget web needs 2 healthy pods"):
        asyncio.run(made(api, "evict", Role.GATEWAY).inject())


def test_a_rollout_is_an_annotation_on_the_template(api: BreakableCluster, fake: DrilledCluster) -> None:
    before = set(fake.pods("web"))
    asyncio.run(made(api, "rollout", Role.SERVICE).inject())
    template = fake.at("deployments", "web")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert not before & set(fake.pods("web"))
    fake.at("deployments", "web")["spec"]["paused"] = True
    with pytest.raises(NotPossible, match="is paused"):
        asyncio.run(made(api, "rollout", Role.SERVICE).inject())


def test_scaling_goes_by_the_subresource_and_back(api: BreakableCluster, fake: DrilledCluster) -> None:
    fault = made(api, "scale", Role.SERVICE, service="web", settings={"factor": 2.0})
    asyncio.run(fault.inject())
    web = fake.at("deployments", "web")
    assert web["spec"]["replicas"] == len(fake.pods("web")) == 6
    assert marks.MARK in web["metadata"]["annotations"], (
        "how it was is known to whoever comes after a drill that was killed"
    )
    assert "/apis/apps/v1/namespaces/shop/deployments/web/scale" in asked(fake, "PATCH")
    asyncio.run(fault.heal())
    asyncio.run(fault.heal())
    web = fake.at("deployments", "web")
    assert web["spec"]["replicas"] == 3
    assert marks.MARK not in str(web["metadata"])


def test_no_mark_comes_back_with_an_older_version(api: BreakableCluster, fake: DrilledCluster) -> None:
    fault = made(api, "scale", Role.SERVICE, service="web", settings={"factor": 2.0})
    asyncio.run(fault.inject())
    asyncio.run(made(api, "rollout", Role.SERVICE, service="web").inject())
    asyncio.run(fault.heal())
    for name in ("web-1", "web-2"):
        # As `kubectl rollout undo` does: the annotations of the ReplicaSet go back to the Deployment.
        kept = fake.at("replicasets", name)["metadata"]["annotations"]
        assert marks.MARK in kept
        api.merge("Deployment", "web", {"metadata": {"annotations": {marks.MARK: kept[marks.MARK]}}})
        assert list(marks.changes_left(api, with_nodes=True)) == []
    asyncio.run(made(api, "scale", Role.SERVICE, service="web", settings={"factor": 2.0}).inject())
    assert len(list(marks.changes_left(api, with_nodes=True))) == 1


def test_an_autoscaler_is_pinned_within_its_bounds_and_let_go(api: BreakableCluster, fake: DrilledCluster) -> None:
    fault = made(api, "scale", Role.SERVICE, service="api", settings={"factor": 4.0})
    asyncio.run(fault.inject())
    spec = fake.at("horizontalpodautoscalers", "api")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (5, 5)
    assert not any(path.endswith("/scale") for path in asked(fake, "PATCH")), "it would set that back"
    asyncio.run(fault.heal())
    spec = fake.at("horizontalpodautoscalers", "api")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    with pytest.raises(NotPossible, match="between 2 and 5"):
        asyncio.run(made(api, "scale", Role.SERVICE, service="api", settings={"factor": 0.5}).inject())


def test_scale_during_a_drill_keeps_the_bounds_of_before(api: BreakableCluster, fake: DrilledCluster) -> None:
    fault = made(api, "scale", Role.SERVICE, service="api", settings={"factor": 4.0})
    asyncio.run(fault.inject())
    scale(api, "api", 3, Room(16, 2))
    asyncio.run(fault.heal())
    spec = fake.at("horizontalpodautoscalers", "api")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 3), "what somebody else has set stays"
    assert scale(api, "api", None, Room(16, 2)) == "api → by its load, 2 to 5"


def test_what_somebody_else_has_set_meanwhile_stays(api: BreakableCluster, fake: DrilledCluster) -> None:
    fault = made(api, "scale", Role.SERVICE, service="web", settings={"factor": 2.0})
    asyncio.run(fault.inject())
    api.set_replicas("web", 4)
    asyncio.run(fault.heal())
    assert fake.at("deployments", "web")["spec"]["replicas"] == 4
    assert "somebody set 4 replicas meanwhile" in fault.message


def test_putting_back_outlasts_an_api_server_in_trouble(api: BreakableCluster, fake: DrilledCluster) -> None:
    fault = made(api, "scale", Role.SERVICE, service="web", settings={"factor": 2.0})
    asyncio.run(fault.inject())
    fake.troubles = [("PATCH", "", code) for code in (503, 500, 409, 429, 401)]
    asyncio.run(fault.heal())
    assert fake.troubles == []
    assert fake.at("deployments", "web")["spec"]["replicas"] == 3


@pytest.mark.parametrize(("kind", "role"), [("scale", Role.SERVICE), ("drain_node", Role.SYSTEM)])
def test_what_could_not_be_put_back_can_be_tried_again(
    api: BreakableCluster, fake: DrilledCluster, kind: str, role: Role
) -> None:
    fault = made(api, kind, role)
    asyncio.run(fault.inject())
    fake.troubles = [("PATCH", "", 403)]
    with pytest.raises(DriverError, match="the API server refuses"):
        asyncio.run(fault.heal())
    asyncio.run(fault.heal())
    assert list(marks.changes_left(api, with_nodes=True)) == []


def test_putting_back_waits_for_a_way_to_log_in(
    api: BreakableCluster, fake: DrilledCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = made(api, "scale", Role.SERVICE, service="web", settings={"factor": 2.0})
    asyncio.run(fault.inject())
    really, tries = api.get, []

    def get(kind: str, name: str) -> Any:
        tries.append(name)
        if len(tries) < 3:
            raise HostError("the program that fetches a token failed", hint="wait")
        return really(kind, name)

    # Stands for a credential plugin whose own server is away.
    monkeypatch.setattr(api, "get", get)
    asyncio.run(fault.heal())
    assert fake.at("deployments", "web")["spec"]["replicas"] == 3


def test_a_drained_node_is_emptied_and_let_go(api: BreakableCluster, fake: DrilledCluster) -> None:
    daemon = {"ownerReferences": [{"kind": "DaemonSet", "name": "d", "controller": True, "uid": "d"}]}
    for node in ("node-1", "node-2", "node-3"):
        fake.foreign(f"agent-{node}", node, metadata=daemon)
        fake.foreign(f"static-{node}", node, metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})
        fake.foreign(f"other-{node}", node)
    fault = made(api, "drain_node", Role.SYSTEM)
    asyncio.run(fault.inject())
    node = fault.subjects[0]
    assert fake.node(node)["spec"]["unschedulable"] is True
    assert {each["metadata"]["name"] for each in api.pods_on(node)} == {f"agent-{node}", f"static-{node}"}
    assert f"other-{node}" in fake.evicted
    asyncio.run(fault.heal())
    assert "unschedulable" not in fake.node(node)["spec"]
    assert marks.MARK not in fake.node(node)["metadata"]["annotations"]


@pytest.mark.parametrize("owners", [None, []])
def test_a_pod_that_comes_just_before_the_cordon_is_seen(
    api: BreakableCluster, fake: DrilledCluster, monkeypatch: pytest.MonkeyPatch, owners: list[Any] | None
) -> None:
    fault, really = made(api, "drain_node", Role.SYSTEM), api.merge

    def merge(kind: str, name: str, patch: Any) -> None:
        if "unschedulable" in patch["spec"] and patch["spec"]["unschedulable"]:
            fake.foreign("late", name, metadata={} if owners is None else {"ownerReferences": owners})
        really(kind, name, patch)

    # The moment between the look and the cordon.
    monkeypatch.setattr(api, "merge", merge)
    if owners is None:
        asyncio.run(fault.inject())
        assert "late" in fake.evicted
        assert "late" in fault.subjects
    else:
        with pytest.raises(NotPossible, match="nobody would start theirs/late again; it came as node-"):
            asyncio.run(fault.inject())
        assert fake.evicted == []
    asyncio.run(fault.heal())
    assert not any(fake.node(name)["spec"].get("unschedulable") for name in ("node-1", "node-2", "node-3"))


def test_a_node_that_somebody_else_cordons_in_that_moment_is_left_to_them(
    api: BreakableCluster, fake: DrilledCluster
) -> None:
    fake.node("node-1")["spec"] = {"unschedulable": True}
    with pytest.raises(NotPossible, match="node-1 was cordoned meanwhile, by somebody else"):
        marks.make(api, marks.Change(marks.NODE, "node-1", "run1", "shop", {}, {}))
    assert asked(fake, "PATCH") == []


def test_a_drain_that_fails_half_way_lets_the_node_go(api: BreakableCluster, fake: DrilledCluster) -> None:
    fake.refusals_left = 1_000_000
    fault = made(api, "drain_node", Role.SYSTEM)
    with pytest.raises(DriverUnavailable, match="still refused"):
        asyncio.run(fault.inject())
    asyncio.run(fault.heal())
    assert not any(fake.node(name)["spec"].get("unschedulable") for name in ("node-1", "node-2", "node-3"))


def test_an_interruption_in_the_middle_of_a_cordon_lets_the_node_go(
    api: BreakableCluster, fake: DrilledCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = made(api, "drain_node", Role.SYSTEM)

    async def main() -> None:
        began, loop, really = asyncio.Event(), asyncio.get_running_loop(), marks.make

        def slowly(api: Any, change: marks.Change) -> None:
            loop.call_soon_threadsafe(began.set)
            threading.Event().wait(0.05)
            really(api, change)

        # The moment that is to be hit lasts a millisecond otherwise.
        monkeypatch.setattr(marks, "make", slowly)
        going_on = asyncio.create_task(fault.inject())
        await began.wait()
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=True)
        await fault.heal()

    asyncio.run(main())
    assert len(asked(fake, "PATCH")) == 2, "cordoned, though it was cancelled by then, and let go"
    assert not any(fake.node(name)["spec"].get("unschedulable") for name in ("node-1", "node-2", "node-3"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("only", "is the only node that takes pods"),
        ("files", "keeps files on it"),
        ("lonely", "nobody would start theirs/x-node-1 again"),
        ("cordoned", "is cordoned already"),
    ],
)
def test_nodes_that_must_not_be_drained_are_named(
    api: BreakableCluster, fake: DrilledCluster, spoil: str, reason: str
) -> None:
    for name in ("node-1", "node-2", "node-3"):
        if spoil == "only" and name != "node-1":
            fake.node(name)["spec"] = {"taints": [{"key": "mine", "effect": "NoSchedule"}]}
        if spoil == "files":
            fake.foreign(f"x-{name}", name, volumes=[{"name": "v", "emptyDir": {}}])
        if spoil == "lonely":
            fake.foreign(f"x-{name}", name, metadata={"ownerReferences": []})
        if spoil == "cordoned":
            fake.node(name)["spec"] = {"unschedulable": True}
    for pod in fake.pods().values() if spoil == "only" else ():
        pod["spec"]["nodeName"] = "node-1"
    with pytest.raises(NotPossible, match=reason):
        asyncio.run(made(api, "drain_node", Role.SYSTEM).inject())
    assert asked(fake, "PATCH") == []
    if spoil == "files":
        asyncio.run(made(api, "drain_node", Role.SYSTEM, may_delete_local_data=True).inject())


def test_through_a_port_forward_nothing_strikes_gateways(api: BreakableCluster) -> None:
    for kind, role in (("delete_pod", Role.GATEWAY), ("evict", Role.GATEWAY), ("rollout", Role.GATEWAY)):
        with pytest.raises(NotPossible, match="say --url"):
            made(api, kind, role, is_forwarded=True)
    fault = made(api, "drain_node", Role.SYSTEM, is_forwarded=True)
    asyncio.run(fault.inject())
    assert not any("gateway" in name for name in fault.subjects)


def test_roles_that_are_no_pods_of_ours_are_skipped(api: BreakableCluster) -> None:
    with pytest.raises(NotPossible, match="only replicas and gateways"):
        made(api, "delete_pod", Role.PRIMARY)
    with pytest.raises(NotPossible, match="impossible here, because"):
        made(api, "link_delay", Role.STANDBY)


def test_what_may_not_be_done_is_told_before_anything_is(api: BreakableCluster, fake: DrilledCluster) -> None:
    check(api, CLUSTER_FAULTS)
    fake.denied = {("create", "pods/eviction"), ("patch", "nodes")}
    with pytest.raises(HostError) as caught:
        check(api, ["drain_node", "delete_pod"])
    assert "patch nodes in the whole cluster; create pods/eviction in the whole cluster" in caught.value.message
    with pytest.raises(HostError, match="create pods/eviction in namespace shop"):
        check(api, ["evict"])
    check(api, ["delete_pod", "scale", "kill"])
    fake.denied = {("create", "pods/portforward")}
    check(api, CLUSTER_FAULTS)
    with pytest.raises(HostError, match="create pods/portforward in namespace shop"):
        check(api, ["kill"], is_forwarded=True)


def test_what_a_killed_drill_left_is_found_and_put_back(api: BreakableCluster, fake: DrilledCluster) -> None:
    asyncio.run(made(api, "scale", Role.SERVICE, service="web", settings={"factor": 2.0}).inject())
    asyncio.run(made(api, "drain_node", Role.SYSTEM).inject())
    left = list(marks.changes_left(api, with_nodes=True))
    assert [change.kind for change in left] == ["Deployment", "Node"]
    assert {change.run_id for change in left} == {"run1"}
    elsewhere = BreakableCluster.connect("here", "other")
    assert list(marks.changes_left(elsewhere, with_nodes=True)) == [], "of another namespace"
    assert [marks.put_back(api, change) for change in left] == ["", ""]
    assert list(marks.changes_left(api, with_nodes=True)) == []
    assert fake.at("deployments", "web")["spec"]["replicas"] == 3
    assert marks.put_back(api, replace(left[0], run_id="another")) == ""


@pytest.mark.parametrize(("service", "factor"), [("web", 2.0), ("api", 4.0)])
def test_what_bears_a_mark_is_not_changed_again(
    api: BreakableCluster, fake: DrilledCluster, service: str, factor: float
) -> None:
    first = made(api, "scale", Role.SERVICE, service=service, settings={"factor": factor})
    second = made(api, "scale", Role.SERVICE, service=service, settings={"factor": 0.5})
    asyncio.run(first.inject())
    with pytest.raises(NotPossible, match="drill run1 has changed it and not put it back"):
        asyncio.run(second.inject())
    asyncio.run(second.heal())
    asyncio.run(first.heal())
    assert fake.at("deployments", "web")["spec"]["replicas"] == 3
    spec = fake.at("horizontalpodautoscalers", "api")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)


def test_a_node_with_a_mark_is_not_drained(api: BreakableCluster, fake: DrilledCluster) -> None:
    for name in ("node-1", "node-2", "node-3"):
        marks.make(api, marks.Change(marks.NODE, name, "old", "shop", {}, {}))
        fake.node(name)["spec"] = {}
    with pytest.raises(NotPossible, match="drill old has changed it and not put it back: node node-1 is cordoned"):
        asyncio.run(made(api, "drain_node", Role.SYSTEM).inject())


def test_of_two_drills_in_one_moment_the_later_one_finds_the_mark_of_the_other(
    api: BreakableCluster, fake: DrilledCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = marks.Change(marks.DEPLOYMENT, "web", "theirs", "shop", {"replicas": 3}, {"replicas": 1})
    ours = replace(theirs, run_id="ours", after={"replicas": 6})
    really, looked = api.get, []

    def get(kind: str, name: str) -> Any:
        found = really(kind, name)
        looked.append(name)
        if len(looked) == 1:
            marks.make(BreakableCluster.connect("here", "shop"), theirs)
        return found

    # The other one writes between our look and our mark.
    monkeypatch.setattr(api, "get", get)
    with pytest.raises(NotPossible, match="drill theirs has changed it"):
        marks.make(api, ours)
    assert marks.put_back(api, ours) == "drill theirs has changed it meanwhile, and that stays"
    assert marks.put_back(api, theirs) == ""
    assert fake.at("deployments", "web")["spec"]["replicas"] == 3


def test_marking_goes_on_when_somebody_else_writes_to_the_same_object(
    api: BreakableCluster, fake: DrilledCluster
) -> None:
    fake.troubles = [("PATCH", "", 409), ("PATCH", "", 409)]
    asyncio.run(made(api, "scale", Role.SERVICE, service="web", settings={"factor": 2.0}).inject())
    assert fake.at("deployments", "web")["spec"]["replicas"] == 6
