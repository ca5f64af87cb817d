"""Directories, env files and variables that a declaration points at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from colonnade.spec.model import Spec
from colonnade.spec.surroundings import look_around

URL = "postgresql://app:s3cret@db/app"


def spec_of(service: dict[str, Any], database: dict[str, Any] | None = None) -> Spec:
    return Spec.model_validate({"services": {"web": {"app": "a:b", **service}}, "database": database})


def problem_in(directory: Path, service: dict[str, Any]) -> str:
    (problem,) = look_around(spec_of(service), directory, {}).problems
    return f"{problem} | {problem.hint}"


def env_file(directory: Path, text: str, mode: int = 0o600) -> None:
    path = directory / "secrets.env"
    path.write_text(text)
    path.chmod(mode)


def test_a_missing_directory_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    told = problem_in(tmp_path, {"path": "bakend"})
    assert told == f'services.web.path: there is no directory {tmp_path}/bakend | did you mean "backend"?'


def test_the_nearest_directory_keeps_its_parents(tmp_path: Path) -> None:
    (tmp_path / "apps" / "backend").mkdir(parents=True)
    assert 'did you mean "apps/backend"?' in problem_in(tmp_path, {"path": "apps/bakend"})


@pytest.mark.parametrize("path", ["no/such/place", "/no/such/place", "null\0byte"])
def test_a_directory_without_a_neighbour_is_told_all_the_same(tmp_path: Path, path: str) -> None:
    assert f"it is looked for from {tmp_path}" in problem_in(tmp_path, {"path": path})


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    assert "is not a directory" in problem_in(tmp_path, {"path": "app.py"})


def test_env_wins_over_the_env_file(tmp_path: Path) -> None:
    env_file(tmp_path, "A=file\nB=file\n")
    around = look_around(spec_of({"env_file": "secrets.env", "env": {"B": "table"}}), tmp_path, {})
    assert around.environments["web"] == {"A": "file", "B": "table"}
    assert around.problems == ()


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_an_env_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    env_file(tmp_path, "A=s3cret\n", mode)
    told = problem_in(tmp_path, {"env_file": "secrets.env"})
    assert f"run `chmod 600 {tmp_path}/secrets.env`" in told


def test_an_env_file_for_a_group_is_fine(tmp_path: Path) -> None:
    env_file(tmp_path, "A=1\n", 0o640)
    assert look_around(spec_of({"env_file": "secrets.env"}), tmp_path, {}).problems == ()


def test_a_missing_env_file_is_told(tmp_path: Path) -> None:
    assert "there is no file" in problem_in(tmp_path, {"env_file": "secrets.env"})


def test_a_directory_is_no_env_file(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").mkdir(mode=0o700)
    assert "cannot be read: is a directory" in problem_in(tmp_path, {"env_file": "secrets.env"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A=1\ns3cret\n", "line 2: expected KEY=value"),
        ("PORT=s3cret\n", "services.web.env_file.PORT: is set by Colonnade"),
        ("COLONNADE_STATE=s3cret\n", "is set by Colonnade"),
    ],
)
def test_what_is_wrong_in_an_env_file_is_told_without_its_values(tmp_path: Path, text: str, says: str) -> None:
    env_file(tmp_path, text)
    told = problem_in(tmp_path, {"env_file": "secrets.env"})
    assert says in told
    assert "s3cret" not in told


def test_database_urls_are_filled_in_from_the_environment(tmp_path: Path) -> None:
    around = look_around(spec_of({}, {"url": "$MAIN", "read_url": "$MAIN?x=1"}), tmp_path, {"MAIN": URL})
    assert around.spec.database is not None
    assert (around.spec.database.url, around.spec.database.read_url) == (URL, URL + "?x=1")
    assert around.problems == ()


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "database.url: the variable MAIN is not set in the environment"),
        ({"MAIN": ""}, "database.url: expected an address such as postgresql://"),
        ({"MAIN": "mysql://u:s3cret@h/d"}, "database.url: expected an address such as postgresql://"),
    ],
)
def test_a_database_url_that_cannot_be_is_told_without_its_value(
    tmp_path: Path, environ: dict[str, str], says: str
) -> None:
    (problem,) = look_around(spec_of({}, {"url": "$MAIN"}), tmp_path, environ).problems
    assert str(problem).startswith(says)
    assert "s3cret" not in str(problem)


def test_a_database_of_our_own_stays_as_declared(tmp_path: Path) -> None:
    spec = spec_of({}, {"standbys": 1})
    around = look_around(spec, tmp_path, {})
    assert around.spec == spec
    assert around.spec.database is not None
    assert around.spec.database.model_fields_set == {"standbys"}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ("statik", 'there is no directory {0}/web/statik | did you mean "static"?'),
        ("static/site.css", "is not a directory | give the directory that holds the files"),
        ("../../media", '"../../media" leads out of {0} | give it from the root'),
        ("/nowhere/at/all", "there is no directory /nowhere/at/all | it is looked for from {0}/web"),
    ],
)
def test_directories_of_static_files_must_be_there(tmp_path: Path, files: str, says: str) -> None:
    (tmp_path / "web/static").mkdir(parents=True)
    (tmp_path / "web/static/site.css").touch()
    told = problem_in(tmp_path, {"path": "web", "static": {"/static": files}})
    assert told.startswith("services.web.static./static: ")
    assert says.format(tmp_path) in told


def test_static_files_may_be_beside_the_application_or_anywhere_by_their_whole_path(tmp_path: Path) -> None:
    for name in ("code/web", "code/assets", "media"):
        (tmp_path / name).mkdir(parents=True)
    static = {"/assets": "../assets", "/media": str(tmp_path / "media")}
    spec = spec_of({"path": "web", "static": static})
    assert look_around(spec, tmp_path / "code", {}).problems == ()


def test_of_a_missing_service_directory_only_that_is_told(tmp_path: Path) -> None:
    assert "there is no directory" in problem_in(tmp_path, {"path": "gone", "static": {"/static": "static"}})
