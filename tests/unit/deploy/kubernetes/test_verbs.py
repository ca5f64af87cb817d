"""The verbs on an API server of the test's own, over HTTP: what is asked of it, and what is made of its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightkube")

from tests.unit.deploy.kubernetes.api_server import FakeCluster, serving
from tests.unit.deploy.kubernetes.kit import every_feature, exported
from typer.testing import CliRunner, Result

from colonnade.core.errors import AppError, DriverError, HostError, SpecError
from colonnade.deploy.kubernetes import verbs
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.objects import Object, objects_of
from colonnade.deploy.kubernetes.settings import Settings

pytestmark = pytest.mark.slow

SECRETS = {"shop-database": ["DATABASE_URL"], "web-secrets": ["SECRET_KEY", "MAIL_PASSWORD", "API_TOKEN", "CACHE"]}


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def cluster(fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
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


def pace(told: list[str] | None = None) -> verbs.Pace:
    now = [0.0]

    def sleep(duration_s: float) -> None:
        now[0] += duration_s

    return verbs.Pace(lambda: now[0], sleep, (told if told is not None else []).append)


def wanted(image: str = "shop:1", data: dict[str, Any] | None = None) -> list[Object]:
    return objects_of(exported(data or every_feature(), Settings(image, "gateway:1", "shop")), "shop", ())


def deploy(cluster: Cluster, image: str = "shop:1", told: list[str] | None = None) -> list[verbs.Change]:
    changes = verbs.plan(cluster, wanted(image))
    verbs.deploy(cluster, changes, pace(told))
    return changes


def test_a_first_deployment_applies_everything_and_a_second_one_finds_nothing_to_do(
    cluster: Cluster, fake: FakeCluster
) -> None:
    told: list[str] = []
    assert all(change.lines == ("new",) for change in deploy(cluster, told=told))
    applied = [path for method, path, query in fake.requests if method == "PATCH" and "dryRun" not in query]
    assert len(applied) == len(wanted())
    assert all("fieldManager=colonnade" in query for method, _, query in fake.requests if method == "PATCH")
    kinds = [path.split("/")[-2] for path in applied]
    # The release step has ended before any replica is asked for.
    assert kinds.index("jobs") < kinds.index("deployments")
    assert "api: all 2 are new and serve" in told
    assert verbs.plan(cluster, wanted()) == []


def test_what_changes_is_told_key_by_key(cluster: Cluster) -> None:
    deploy(cluster)
    changes = {change.wanted["metadata"]["name"]: change.lines for change in verbs.plan(cluster, wanted("shop:2"))}
    image = next(line for line in changes["api"] if "containers[api].image" in line)
    assert image.endswith('"shop:1" → "shop:2"')
    assert "gateway" not in changes


def test_a_bad_version_is_undone_with_its_last_words(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    fake.bad_images.add("shop:2")
    with pytest.raises(AppError, match="ended 3 times before it was ready") as caught:
        deploy(cluster, "shop:2")
    assert "last words of" in caught.value.detail
    assert "Deployment api" in caught.value.hint
    assert fake.at("deployments", "api")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"


def test_a_release_step_that_fails_leaves_the_replicas_as_they_are(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    fake.release = "Failed"
    with pytest.raises(AppError, match="as told"):
        deploy(cluster, "shop:2")
    assert fake.at("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"


def test_a_secret_that_is_missing_or_lacks_a_key_is_asked_for(cluster: Cluster, fake: FakeCluster) -> None:
    secrets = exported(every_feature()).secrets
    with pytest.raises(HostError, match="lacks DATABASE_URL") as caught:
        verbs.check_secrets(cluster, secrets)
    assert "kubectl -n shop create secret generic shop-database --from-literal=DATABASE_URL=…" in caught.value.hint
    for name, keys in SECRETS.items():
        value = {"metadata": {"name": name}, "data": dict.fromkeys(keys, "eA==")}
        fake.objects[f"/api/v1/namespaces/shop/secrets/{name}"] = value
    verbs.check_secrets(cluster, secrets)


def test_scaling_sets_replicas_or_pins_the_autoscaler_until_it_is_let_go(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    verbs.scale(cluster, "api", 5, 16)
    assert fake.at("deployments", "api")["spec"]["replicas"] == 5
    verbs.scale(cluster, "web", 4, 18)
    verbs.scale(cluster, "web", 3, 18)
    spec = fake.at("horizontalpodautoscalers", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 3)
    assert verbs.scale(cluster, "web", None, 18) == "web → by its load, 1 to 9"
    with pytest.raises(SpecError, match="16 replicas at most"):
        verbs.scale(cluster, "api", 17, 16)
    with pytest.raises(SpecError, match="no bounds"):
        verbs.scale(cluster, "api", None, 16)


def test_rolling_back_brings_the_version_before(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    with pytest.raises(HostError, match="no version before"):
        verbs.roll_back(cluster, "shop", pace())
    deploy(cluster, "shop:2")
    verbs.roll_back(cluster, "shop", pace())
    template = fake.at("deployments", "api")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "shop:1"
    assert "pod-template-hash" not in template["metadata"]["labels"]


def test_pods_that_were_only_started_anew_are_no_version_to_go_back_to(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    deploy(cluster, "shop:2")
    restarted = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}
    cluster.merge("Deployment", "api", {"spec": {"template": restarted}})
    verbs.roll_back(cluster, "shop", pace())
    assert fake.at("deployments", "api")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"


def test_a_version_that_was_undone_is_not_rolled_back_to(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    deploy(cluster, "shop:2")
    fake.bad_images.add("shop:3")
    with pytest.raises(AppError):
        deploy(cluster, "shop:3")
    verbs.roll_back(cluster, "shop", pace())
    assert fake.at("deployments", "api")["spec"]["template"]["spec"]["containers"][0]["image"] != "shop:3"


def test_what_the_autoscaler_has_set_outlives_a_deployment(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    assert fake.at("deployments", "web")["spec"]["replicas"] == 1
    cluster.merge("Deployment", "web", {"spec": {"replicas": 6}})
    deploy(cluster, "shop:2")
    assert fake.at("deployments", "web")["spec"]["replicas"] == 6


def test_what_the_autoscaler_sets_while_a_deployment_is_agreed_to_is_kept(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    changes = verbs.plan(cluster, wanted("shop:2"))
    cluster.merge("Deployment", "web", {"spec": {"replicas": 5}})
    verbs.deploy(cluster, changes, pace())
    assert fake.at("deployments", "web")["spec"]["replicas"] == 5


def test_a_deployment_keeps_to_what_was_chosen_before(cluster: Cluster, fake: FakeCluster, tmp_path: Path) -> None:
    from colonnade.cli.cluster_commands import app

    (tmp_path / "hello.py").write_text('PAGE = "/readyz"\n')
    (tmp_path / "colonnade.toml").write_text(
        '[system]\nname = "shop"\n[services.web]\napp = "hello:app"\nroute = "/"\n'
    )

    def run(*words: str) -> None:
        words = ("deploy", *words, "--gateway-image", "gateway:1", "--to", "kubernetes", "--file", str(tmp_path))
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.stdout

    run("--image", "shop:1", "--service-type", "NodePort", "--gateways", "3")
    run("--image", "shop:2")
    assert fake.at("services", "gateway")["spec"]["type"] == "NodePort"
    assert fake.at("deployments", "gateway")["spec"]["replicas"] == 3
    assert fake.at("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"
    cluster.merge("Service", "gateway", {"spec": {"type": "LoadBalancer"}})
    run("--image", "shop:3")
    assert fake.at("services", "gateway")["spec"]["type"] == "LoadBalancer", "set by hand"
    run("--image", "shop:2", "--service-type", "ClusterIP")
    assert fake.at("services", "gateway")["spec"]["type"] == "ClusterIP"
    assert fake.at("deployments", "gateway")["spec"]["replicas"] == 3


def test_the_command_line_deploys_scales_and_shows(
    cluster: Cluster, fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from colonnade.cli.cluster_commands import app

    (tmp_path / "hello.py").write_text('PAGE = "/readyz"\n')
    (tmp_path / "colonnade.toml").write_text(
        '[system]\nname = "shop"\n[services.web]\napp = "hello:app"\nroute = "/"\n'
    )
    runner = CliRunner()

    def run(*words: str) -> Result:
        return runner.invoke(app, [*words, "--to", "kubernetes", "--file", str(tmp_path)], catch_exceptions=False)

    done = run("deploy", "--image", "shop:1", "--gateway-image", "gateway:1")
    assert "Deployment web" in done.stdout
    assert "shop:1 runs" in done.stdout
    assert "web → 4" in run("scale", "web=4").stdout
    found = json.loads(run("status", "--json").stdout)
    assert {each["name"]: each["wanted"] for each in found["deployments"]} == {"gateway": 2, "web": 4}
    assert "nothing" not in run("deploy", "--image", "shop:1", "--gateway-image", "gateway:1").stdout


def test_down_leaves_the_namespace_and_what_is_the_users(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    secret = {"metadata": {"name": "shop-database", "labels": {"app.kubernetes.io/part-of": "shop"}}}
    fake.objects["/api/v1/namespaces/shop/secrets/shop-database"] = secret
    verbs.down(cluster, "shop", lambda _: None)
    left = {path.split("/")[-2] for path in fake.objects}
    # What goes with its owner is the cluster's to delete.
    assert left - {"replicasets", "pods"} == {"namespaces", "secrets"}


def test_status_logs_and_events_are_told(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    found = verbs.status(cluster, "shop")
    web = next(each for each in found["deployments"] if each["name"] == "web")
    assert (web["bounds"], web["image"]) == ([1, 9], "shop:1")
    assert all(pod["is_ready"] and pod["node"] == "node-1" for pod in found["pods"])
    assert list(verbs.logs(cluster, "shop", ["api"], 5)) == [("api-1-x", "last words of api-1-x")]
    assert list(verbs.follow(cluster, "shop", ["api"], 5)) == [("api-1-x", "last words of api-1-x")]
    for number in (2, 1):
        event = {"lastTimestamp": f"2026-01-0{number}", "reason": f"R{number}", "involvedObject": {}, "metadata": {}}
        fake.objects[f"/api/v1/namespaces/shop/events/e{number}"] = event
    assert [event["reason"] for event in verbs.events(cluster, 5)] == ["R1", "R2"]


def test_an_api_server_that_is_gone_is_told_as_that(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Cluster.connect("", "shop")
    monkeypatch.setattr(lost._client._client._client, "base_url", "http://127.0.0.1:1")  # no server has that port
    with pytest.raises(DriverError):
        lost.list("Pod")


def test_without_a_kubeconfig_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(HostError, match="no way to the cluster") as caught:
        Cluster.connect("", "shop")
    assert "--context" in caught.value.hint
