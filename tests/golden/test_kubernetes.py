"""The manifests of the examples: good by the schemas of Kubernetes and its operators, and some reviewed as a file.

`UPDATE_GOLDEN=1 pytest tests/golden/test_kubernetes.py` rewrites it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.deploy.kubernetes.api_server import FakeCluster, serving
from tests.unit.deploy.kubernetes.kit import SETTINGS, every_feature, exported

from colonnade.deploy.kubernetes.look import look_around
from colonnade.deploy.kubernetes.manifests import COMPONENTS, Export, kubernetes_files
from colonnade.deploy.kubernetes.settings import Settings
from colonnade.gateway.process import find_binary
from colonnade.spec.load import load_spec

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("kubernetes") / "hello-flask.yaml"
CRDS = ROOT.parent / "shared" / "crds"
APPLICATIONS = (
    "apps/blog",
    "examples/01-hello-flask",
    "examples/02-fastapi",
    "examples/03-django",
    "examples/04-any-command",
)
VERSIONS = ("1.32", "1.37")
RESOURCES_OF_OPERATORS = ("gateway.networking.k8s.io", "monitoring.coreos.com", "postgresql.cnpg.io")


@cache
def export_of(application: str, *components: str) -> Export:
    loaded = load_spec(ROOT / application)
    name = loaded.spec.system.name
    settings = Settings(f"{name}:1", f"{name}-gateway:2.8", name, components=components)
    return kubernetes_files(loaded.spec, settings, look_around(loaded, {}, {}))


def documents(export: Export) -> Iterator[dict[str, Any]]:
    """Every object, those of components included."""
    for file in export.files:
        if file.path.endswith(".yaml") and not file.path.endswith(("kustomization.yaml", "services.yaml")):
            yield from (found for found in yaml.safe_load_all(file.content) if found is not None)


def test_the_manifests_of_the_first_example_are_the_reviewed_ones() -> None:
    files = [file for file in export_of("examples/01-hello-flask").files if file.path != "gateway/config.yaml"]
    text = "\n".join(f"##### {file.path}\n{file.content}" for file in files)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), "run with UPDATE_GOLDEN=1 and review the difference"


@pytest.mark.parametrize("application", APPLICATIONS)
def test_what_a_bare_cluster_gets_needs_no_operator(application: str) -> None:
    export = export_of(application)
    top = yaml.safe_load(next(file.content for file in export.files if file.path == "kustomization.yaml"))
    contents = {file.path: file.content for file in export.files}
    assert "components" not in top
    kinds = [
        found["apiVersion"]
        for path in top["resources"]
        for found in yaml.safe_load_all(contents[path])
        if found is not None  # a document of comments only
    ]
    assert not [version for version in kinds if version.startswith(RESOURCES_OF_OPERATORS)]


@pytest.mark.slow
@pytest.mark.parametrize("application", [*APPLICATIONS, "every feature"])
def test_kubernetes_knows_every_field(application: str) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    export = exported(every_feature(), SETTINGS) if application == "every feature" else export_of(application)
    count = 0
    for found in documents(export):
        if not found["apiVersion"].startswith(RESOURCES_OF_OPERATORS):
            for version in VERSIONS if application == "every feature" else VERSIONS[:1]:
                validate(found, version, strict=True)
            count += 1
    assert count >= 10


@pytest.mark.slow
@pytest.mark.parametrize("application", ["apps/blog", "every feature"])
def test_operators_know_every_field(application: str) -> None:
    if not CRDS.is_dir():
        pytest.skip("the custom resource definitions are not beside this clone")
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    schemas = schemas_of_operators()
    export = exported(every_feature(), SETTINGS) if application == "every feature" else export_of(application)
    seen = set()
    for found in documents(export):
        if found["apiVersion"].startswith(RESOURCES_OF_OPERATORS):
            seen.add(found["kind"])
            errors = [
                error.message for error in validator(schemas[found["apiVersion"], found["kind"]]).iter_errors(found)
            ]
            assert not errors, (found["kind"], errors)
    assert seen >= {"Gateway", "HTTPRoute", "ServiceMonitor", "PrometheusRule", "Cluster", "Pooler"}


@cache
def schemas_of_operators() -> dict[tuple[str, str], Any]:
    schemas = {}
    for path in CRDS.glob("*.yaml"):
        # Tens of thousands of lines: libyaml's reader takes a tenth of the time.
        crd = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        for version in crd["spec"]["versions"]:
            name = f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]
            schemas[name] = closed(version["schema"]["openAPIV3Schema"])
    return schemas


def closed(schema: Any) -> Any:
    """The schema with every field that it does not name refused, as the API server drops it with a warning."""
    if isinstance(schema, dict):
        inner = {key: closed(value) for key, value in schema.items()}
        is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        # metadata is an object of the API server's own: its CRDs leave it empty.
        if "properties" in schema and isinstance(schema["properties"], dict) and not is_open:
            return {**inner, "additionalProperties": False}
        return inner
    return [closed(value) for value in schema] if isinstance(schema, list) else schema


@pytest.mark.slow
@pytest.mark.parametrize("components", [(), ("ingress",), ("gateway-api", "monitoring", "cloudnative-pg")])
def test_kubectl_puts_them_together(components: tuple[str, ...], tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed (Debian: kubernetes-client)")
    if components and is_too_old_for_components(kubectl):
        pytest.skip("this kubectl is older than components (1.21)")
    for file in export_of("apps/blog", *components).files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_text(file.content)
    done = subprocess.run([kubectl, "kustomize", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [one for one in yaml.safe_load_all(done.stdout) if one is not None]
    assert {one["metadata"].get("namespace", "blog") for one in found} == {"blog"}
    backend = next(one for one in found if one["kind"] == "Deployment" and one["metadata"]["name"] == "backend")
    env = {each["name"]: each for each in backend["spec"]["template"]["spec"]["containers"][0]["env"]}
    if "cloudnative-pg" in components:
        names = list(env)
        # Kubernetes fills in only what stands before.
        assert names.index("DATABASE_PASSWORD") < names.index("DATABASE_URL")
        assert env["DATABASE_URL"]["value"] == "postgresql://app:$(DATABASE_PASSWORD)@blog-db-pooler-rw:5432/app"
        assert "valueFrom" not in env["DATABASE_URL"]
    else:
        assert env["DATABASE_URL"]["valueFrom"]["secretKeyRef"] == {"name": "blog-database", "key": "DATABASE_URL"}


@pytest.mark.slow
@pytest.mark.parametrize("application", ["apps/blog", "every feature"])
def test_haproxy_accepts_what_its_pods_are_given(application: str, tmp_path: Path) -> None:
    export = exported(every_feature(), SETTINGS) if application == "every feature" else export_of(application)
    found = next(each for each in documents(export) if each["metadata"]["name"] == "gateway-config")
    (tmp_path / "haproxy.cfg").write_text(found["data"]["haproxy.cfg"])
    command = [find_binary(os.environ), "-c", "-f", str(tmp_path / "haproxy.cfg")]
    env = {**os.environ, "NAMESPACE": "shop"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("application", APPLICATIONS)
def test_kubectl_would_apply_them(application: str, tmp_path: Path) -> None:
    """`kubectl apply -k --dry-run=client`, which asks a server what kinds there are: one of the test's own."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed (Debian: kubernetes-client)")
    for file in export_of(application).files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_text(file.content)
    with serving(FakeCluster()) as url:
        command = [kubectl, f"--server={url}", f"--cache-dir={tmp_path / 'cache'}", "apply", "--dry-run=client"]
        command += ["--validate=false", "-k", str(tmp_path)]
        env = {**os.environ, "KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "deployment.apps/gateway created (dry run)" in lines
    top = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())
    wanted = sum(
        found is not None for path in top["resources"] for found in yaml.safe_load_all((tmp_path / path).read_text())
    )
    assert len(lines) == wanted


def is_too_old_for_components(kubectl: str) -> bool:
    told = subprocess.run([kubectl, "version", "--client", "-o", "yaml"], capture_output=True, text=True, check=True)
    return int(str(yaml.safe_load(told.stdout)["clientVersion"]["minor"]).rstrip("+")) < 21


def test_every_component_is_named_once() -> None:
    names = {file.path.split("/")[1] for file in export_of("apps/blog").files if file.path.startswith("components/")}
    assert names == set(COMPONENTS)
