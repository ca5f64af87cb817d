"""What is different in development: how many replicas, and whose code a changed file is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import Spec
from colonnade.system.accepted import Accepted, read_accepted, write_accepted
from colonnade.system.development import concerned, for_development, is_code
from colonnade.system.paths import StatePaths

ROOT = Path("/srv/shop")


def loaded(services: dict[str, dict[str, Any]]) -> LoadedSpec:
    spec = Spec.model_validate({"services": {name: {"app": "a:b", **keys} for name, keys in services.items()}})
    return LoadedSpec(spec, ROOT / "colonnade.toml", ROOT)


@pytest.mark.parametrize(
    "keys",
    [
        {"replicas": 3},
        {"replicas": {"min": 2, "max": 8}},
        {"weights": [{"weight": 3, "env": {"SIZE": "l"}}, {"replicas": 2}], "balance": "weighted"},
        {"replicas": 0},
    ],
)
def test_there_is_one_replica_of_each_service_whatever_is_declared(keys: dict[str, Any]) -> None:
    service = for_development(loaded({"web": keys})).spec.services["web"]
    assert (service.replicas.min, service.replicas.max, service.replicas.fixed) == (1, 1, True)
    assert [(group.replicas, dict(group.env)) for group in service.weights] in ([], [(1, {"SIZE": "l"})])


def test_code_runs_where_it_is_written_and_not_from_a_copy() -> None:
    copy = replace(loaded({"web": {"path": "front"}}), directory=Path("/state/versions/1/code"), origin=ROOT)
    assert for_development(copy).directory_of("web") == ROOT / "front"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("app.py", True),
        ("pages/post.html", True),
        ("deep/er/still.py", True),
        (".colonnade/versions/1/app.py", False),
        (".venv/lib/flask.py", False),
        ("pages/__pycache__/app.py", False),
        ("pages/.git/hook.py", False),
        ("app.pyc", False),
        ("app.py~", False),
        (".app.py.swp", False),
        ("data.json", False),
        ("blog.db", False),
        ("app.log", False),
    ],
)
def test_code_is_what_the_application_reads_and_does_not_write(path: str, expected: bool) -> None:
    assert is_code(ROOT / path, ROOT) is expected


@pytest.mark.parametrize(
    ("path", "services"),
    [
        ("front/app.py", {"front", "all"}),
        ("back/app.py", {"back", "all"}),
        ("common.py", {"all"}),
        ("front/static/site.html", set()),
        ("/elsewhere/app.py", set()),
    ],
)
def test_a_file_concerns_the_services_it_is_below(path: str, services: set[str]) -> None:
    declared = loaded(
        {
            "front": {"path": "front", "static": {"/static": "static"}},
            "back": {"path": "back"},
            "all": {"static": {"/x": "front/static"}},
        }
    )
    assert set(concerned(declared, [ROOT / path])) == services


def test_a_controller_that_comes_later_reloads_as_well(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    write_accepted(paths, Accepted(tmp_path, "", app="a:b", is_reloading=True))
    found = read_accepted(paths)
    assert found is not None
    assert found.is_reloading
