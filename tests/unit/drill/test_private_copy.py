"""The copy that a drill may break: what is in it, and what of the declaration is not as it was."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from colonnade.drill.private_copy import copy_application, private_declaration, toml_text
from colonnade.spec.load import load_spec

DECLARATION = """
[services.web]
app = "web:app"
route = "/"
rate_limit = { requests = 10, per = "1s" }
env_file = "../secrets.env"
[services.api]
app = "api:app"
path = "../other"
uses = ["web"]
[database]
[database.backup]
directory = "/var/backups/web"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    (place / "package").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "secrets.env").write_text("A=b\n")
    (tmp_path / "secrets.env").chmod(0o600)
    (place / "colonnade.toml").write_text(DECLARATION)
    return place


def test_code_and_data_come_along_and_what_is_installed_is_linked_to(project: Path, tmp_path: Path) -> None:
    (project / "package" / "code.py").write_text("x = 1")
    (project / "package" / "run.sh").write_text("true")
    (project / "package" / "run.sh").chmod(0o750)
    (project / "data.sqlite3").write_bytes(b"SQLite format 3\0")
    (project / "inside").symlink_to("package/code.py")
    (project / "outside").symlink_to("../other")
    for name in (".git", ".colonnade", "package/__pycache__", "venv/bin"):
        (project / name).mkdir(parents=True)
    (project / "venv" / "pyvenv.cfg").touch()
    os.mkfifo(project / "pipe")

    copy = tmp_path / "copy"
    assert copy_application(project, copy, left_out=[project / "colonnade.toml"]) == ()

    assert sorted(path.name for path in copy.iterdir()) == ["data.sqlite3", "inside", "outside", "package", "venv"]
    assert (copy / "package" / "run.sh").stat().st_mode & 0o777 == 0o750
    assert not (copy / "data.sqlite3").is_symlink(), "the drill must not write to the original"
    assert (copy / "inside").resolve() == copy / "package" / "code.py"
    assert (copy / "outside").resolve() == tmp_path / "other"
    assert (copy / "venv").resolve() == project / "venv"
    assert sorted(path.name for path in (copy / "package").iterdir()) == ["code.py", "run.sh"]


def test_a_change_in_the_copy_does_not_reach_the_original(project: Path, tmp_path: Path) -> None:
    (project / "package" / "code.py").write_text("x = 1")
    copy_application(project, tmp_path / "copy")
    (tmp_path / "copy" / "package" / "code.py").write_text("x = 2")
    assert (project / "package" / "code.py").read_text() == "x = 1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_what_cannot_be_read_is_told(project: Path, tmp_path: Path) -> None:
    (project / "closed").mkdir(mode=0o000)
    assert copy_application(project, tmp_path / "copy") == ("closed",)


def test_what_two_systems_would_share_is_changed_and_said(project: Path) -> None:
    loaded = load_spec(project)
    found = private_declaration(tomllib.loads(DECLARATION), loaded)
    services: Any = found.tables["services"]
    assert found.tables["system"]["name"] == loaded.spec.system.name == "project"
    assert services["api"]["path"] == str(project.parent / "other")
    assert services["web"]["env_file"] == str(project.parent / "secrets.env")
    assert "rate_limit" not in services["web"]
    assert found.tables["database"]["backup"]["directory"] == "backups"
    assert len(found.notes) == 3
    assert any("rate limit of web" in note for note in found.notes)


def test_a_declaration_without_anything_shared_stays_as_it_is(tmp_path: Path) -> None:
    text = '[system]\nname = "x"\n[services.web]\napp = "web:app"\n[database.backup]\ndirectory = "mine"\n'
    (tmp_path / "colonnade.toml").write_text(text)
    found = private_declaration(tomllib.loads(text), load_spec(tmp_path))
    assert found.tables == tomllib.loads(text)
    assert found.notes == ()


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {
            "system": {"name": "a", "versions_kept": 5},
            "services": {"web": {"env": {"A B": 'quo"te', "C": "back\\slash"}}},
        },
        {"services": {"web": {"weights": [{"replicas": 1, "env": {"X": "line\nbreak\ttab\x00\x7f"}}], "static": {}}}},
        {"a": {"b": [True, False, 1, 2.5, 1e9, [], "ü€𝄞\u0085\u2028"], "c": {"d": {}}}},
    ],
)
def test_tables_are_written_so_that_they_read_the_same(tables: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(tables)) == tables
