"""The verbs on an API server of the test's own, over HTTP: what is asked of it, and what is made of its answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("lightkube")

from tests.unit.deploy.kubernetes.api_server import FakeCluster
from tests.unit.deploy.kubernetes.kit import every_feature, exported
from tests.unit.deploy.kubernetes.shop import deploy, pace, plan, wanted
from typer.testing import CliRunner, Result

from colonnade.core.errors import AppError, DriverError, DriverUnavailable, HostError
from colonnade.deploy.kubernetes import deploying, verbs
from colonnade.deploy.kubernetes.cluster import Cluster

pytestmark = pytest.mark.slow

SECRETS = {"shop-database": ["DATABASE_URL"], "web-secrets": ["SECRET_KEY", "MAIL_PASSWORD", "API_TOKEN", "CACHE"]}


def test_a_first_deployment_applies_everything_and_a_second_one_finds_nothing_to_do(
    cluster: Cluster, fake: FakeCluster
) -> None:
    told: list[str] = []
    assert all(change.lines == ("new",) for change in deploy(cluster, told=told).changes)
    applied = [path for method, path, query in fake.requests if method == "PATCH" and "dryRun" not in query]
    assert len(applied) == len(wanted())
    assert all("fieldManager=colonnade" in query for method, _, query in fake.requests if method == "PATCH")
    kinds = [path.split("/")[-2] for path in applied]
    # The release step has ended before any replica is asked for.
    assert kinds.index("jobs") < kinds.index("deployments")
    assert "api: all 2 are new and serve" in told
    assert plan(cluster).is_empty


def test_who_may_only_do_things_in_a_namespace_deploys_into_it(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    place = f"/api/v1/namespaces/{cluster.namespace}"
    fake.troubles[:] = [("GET", place, 403), ("PATCH", place, 403)]
    fake.requests.clear()
    planned = deploy(cluster, "shop:2")
    assert fake.troubles == []
    assert "not yours to set" in planned.kept[0]
    assert [path for method, path, query in fake.requests if path == place and "dryRun" not in query] == [place]
    assert fake.at("deployments", "api")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"


def test_gateways_lead_nobody_to_a_service_that_is_not_there_yet(cluster: Cluster, fake: FakeCluster) -> None:
    """And no service calls another by gateways that do not know of it."""
    data = every_feature()
    api = data["services"].pop("api")
    web = data["services"]["web"]
    uses = web["uses"]
    data["services"]["web"] = {**web, "uses": [used for used in uses if used != "api"]}
    data["plan"]["work"].pop("api", None)
    deploy(cluster, data=data)
    fake.requests.clear()
    data["services"] = {"web": {**web, "uses": uses}, "api": api}
    deploy(cluster, data=data)
    applied = [
        path.rsplit("/", 1)[1]
        for method, path, query in fake.requests
        if method == "PATCH" and "/deployments/" in path and "dryRun" not in query
    ]
    assert list(dict.fromkeys(applied)) == ["api", "api-group-2", "gateway", "web"]


def test_what_changes_is_told_key_by_key(cluster: Cluster) -> None:
    deploy(cluster)
    planned = plan(cluster, "shop:2")
    changes = {change.names[1]: change.lines for change in planned.changes}
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


def test_a_version_whose_image_is_on_no_node_is_undone_and_the_reason_is_told(
    cluster: Cluster, fake: FakeCluster
) -> None:
    deploy(cluster)
    fake.lacking_images.add("shop:2")
    with pytest.raises(AppError, match="ImagePullBackOff: Back-off pulling image") as caught:
        deploy(cluster, "shop:2")
    assert "is waiting to start" in caught.value.detail, "it has no output, and that is no reason to say less"
    assert fake.at("deployments", "api")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"


def test_a_release_step_that_fails_leaves_the_replicas_as_they_are(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    fake.release = "Failed"
    with pytest.raises(AppError, match="as told"):
        deploy(cluster, "shop:2")
    assert fake.at("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"


def test_an_api_server_that_is_away_for_a_while_is_waited_for(cluster: Cluster, fake: FakeCluster) -> None:
    told: list[str] = []
    job = next(each["metadata"]["name"] for each in wanted() if each["kind"] == "Job")
    planned = plan(cluster)
    fake.troubles[:] = [("GET", f"/jobs/{job}", 503), ("GET", "/deployments/web", 429)]
    deploy(cluster, planned=planned, told=told)
    assert fake.troubles == []
    assert sum(line.endswith("asked again") for line in told) == 2


def test_an_api_server_that_stays_away_ends_the_waiting(cluster: Cluster, fake: FakeCluster) -> None:
    planned = plan(cluster)
    fake.troubles += [("GET", "/deployments/gateway", 503)] * 200
    with pytest.raises(DriverUnavailable):
        deploy(cluster, planned=planned)
    assert 90 < len(fake.troubles) < 110


def test_a_secret_that_is_missing_or_lacks_a_key_is_asked_for(cluster: Cluster, fake: FakeCluster) -> None:
    secrets = exported(every_feature()).secrets
    with pytest.raises(HostError, match="lacks DATABASE_URL") as caught:
        verbs.check_secrets(cluster, secrets)
    command = "kubectl -n shop create secret generic shop-database --from-literal=DATABASE_URL=…"
    assert caught.value.hint == f"kubectl create namespace shop && {command}", "else there is no place for it"
    fake.objects["/api/v1/namespaces/shop"] = {"metadata": {"name": "shop"}}
    with pytest.raises(HostError) as caught:
        verbs.check_secrets(cluster, secrets)
    assert caught.value.hint == command
    for name, keys in SECRETS.items():
        value = {"metadata": {"name": name}, "data": dict.fromkeys(keys, "eA==")}
        fake.objects[f"/api/v1/namespaces/shop/secrets/{name}"] = value
    verbs.check_secrets(cluster, secrets)


def test_rolling_back_brings_the_version_before(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    with pytest.raises(HostError, match="no version before"):
        deploying.roll_back(cluster, "shop", pace())
    deploy(cluster, "shop:2")
    deploying.roll_back(cluster, "shop", pace())
    template = fake.at("deployments", "api")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "shop:1"
    assert "pod-template-hash" not in template["metadata"]["labels"]


def test_pods_that_were_only_started_anew_are_no_version_to_go_back_to(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    deploy(cluster, "shop:2")
    restarted = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}
    cluster.merge("Deployment", "api", {"spec": {"template": restarted}})
    deploying.roll_back(cluster, "shop", pace())
    assert fake.at("deployments", "api")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"


def test_a_version_that_was_undone_is_not_rolled_back_to(cluster: Cluster, fake: FakeCluster) -> None:
    deploy(cluster)
    deploy(cluster, "shop:2")
    fake.bad_images.add("shop:3")
    with pytest.raises(AppError):
        deploy(cluster, "shop:3")
    deploying.roll_back(cluster, "shop", pace())
    assert fake.at("deployments", "api")["spec"]["template"]["spec"]["containers"][0]["image"] != "shop:3"


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
    assert "nothing: the cluster has" in run("deploy", "--image", "shop:1", "--gateway-image", "gateway:1").stdout
    text = (tmp_path / "colonnade.toml").read_text()
    (tmp_path / "colonnade.toml").write_text(text.replace("services.web", "services.shop"))
    told = run("deploy", "--image", "shop:2", "--gateway-image", "gateway:1").stdout
    # What goes is read first, and done last.
    assert told.index("Deployment web deleted, once the rest is well") < told.index("Deployment shop new")
    steps = ("shop: all 2 are new", "gateway: all 2 are new", "deleted Deployment web")
    assert sorted(steps, key=told.index) == list(steps)


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
    state = fake.at("pods", "web-1-x")["status"]["containerStatuses"][0]
    state["state"] = {"waiting": {"reason": "ContainerCreating"}}
    told = dict(verbs.logs(cluster, "shop", ["api", "web"], 5))
    assert told["api-1-x"] == "last words of api-1-x"
    assert told["web-1-x"].startswith("no output: "), "one pod that has not started is no end of all"
    for number in (2, 1):
        event = {"lastTimestamp": f"2026-01-0{number}", "reason": f"R{number}", "involvedObject": {}, "metadata": {}}
        fake.objects[f"/api/v1/namespaces/shop/events/e{number}"] = event
    assert [event["reason"] for event in verbs.events(cluster, 5)] == ["R1", "R2"]


@pytest.mark.parametrize(("code", "found"), [(-403, DriverError), (-503, DriverUnavailable), (-500, DriverUnavailable)])
def test_an_error_that_says_nothing_but_its_code_is_told_with_a_hint(
    cluster: Cluster, fake: FakeCluster, code: int, found: type[DriverError]
) -> None:
    """A proxy's answer without a body, and without a type."""
    for method, call in (
        ("GET", lambda: cluster.list("Pod")),
        ("PATCH", lambda: cluster.merge("Pod", "p", {})),
        ("DELETE", lambda: cluster.delete("Pod", "p")),
    ):
        fake.troubles.append((method, "", code))
        with pytest.raises(found, match=str(-code)) as caught:
            call()
        assert caught.value.hint
    assert fake.troubles == []


def test_what_is_no_api_server_is_told_as_that(cluster: Cluster, fake: FakeCluster) -> None:
    fake.troubles.append(("GET", "", 200))
    with pytest.raises(DriverError, match="no API server"):
        cluster.get("Pod", "p")


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
