"""The copy of the declaration that a system runs by."""

from dataclasses import replace
from pathlib import Path

import pytest

from colonnade.core.errors import HostError, SpecError
from colonnade.spec.detect import Detected
from colonnade.system.accepted import Accepted, listening_on, load_accepted, read_accepted, write_accepted
from colonnade.system.paths import StatePaths

TEXT = '[services.web]\napp = "web:app"\nroute = "/"\n'
FOUND = Detected("wsgi", False, "web:app")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(tmp_path)


@pytest.mark.parametrize(
    "accepted",
    [
        Accepted(Path("/srv/app"), "/srv/app/colonnade.toml", applications={"web": FOUND}, was_running=True),
        Accepted(Path("/srv/app"), "", app="web:create_app()", listen="127.0.0.1:9000", applications={}),
    ],
    ids=["a file", "an import string"],
)
def test_what_was_accepted_is_read_again(paths: StatePaths, accepted: Accepted) -> None:
    write_accepted(paths, accepted, TEXT)
    assert read_accepted(paths) == accepted
    assert paths.accepted.read_text() == TEXT
    assert paths.accepted.stat().st_mode & 0o077 == paths.accepted_about.stat().st_mode & 0o077 == 0


def test_the_copy_stays_when_only_the_record_changes(paths: StatePaths) -> None:
    accepted = Accepted(Path("/srv/app"), "")
    write_accepted(paths, accepted, TEXT)
    write_accepted(paths, replace(accepted, was_running=True), None)
    assert paths.accepted.read_text() == TEXT
    again = read_accepted(paths)
    assert again is not None
    assert again.was_running


def test_nothing_accepted_is_nothing(paths: StatePaths) -> None:
    assert read_accepted(paths) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"directory": 3}', '{"directory": "/", "source": ""}'])
def test_a_record_that_is_not_ours_is_refused_with_a_way_out(paths: StatePaths, text: str) -> None:
    paths.accepted_about.write_text(text)
    with pytest.raises(HostError) as caught:
        read_accepted(paths)
    assert caught.value.subject == str(paths.accepted_about)
    assert caught.value.hint


def test_the_copy_counts_and_paths_in_it_mean_the_project(paths: StatePaths, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "colonnade.toml").write_text("[[[ half an edit")
    accepted = Accepted(project, str(project / "colonnade.toml"))
    write_accepted(paths, accepted, TEXT)
    loaded = load_accepted(paths, accepted)
    assert list(loaded.spec.services) == ["web"]
    assert loaded.directory == project


def test_another_address_replaces_the_declared_one(paths: StatePaths) -> None:
    accepted = Accepted(Path("/srv/app"), "", app="web:app", listen="127.0.0.1:9000")
    assert load_accepted(paths, accepted).spec.gateway.listen == "127.0.0.1:9000"
    assert load_accepted(paths, replace(accepted, listen="")).spec.gateway.listen == "127.0.0.1:8080"


@pytest.mark.parametrize("listen", ["9000", "nowhere:80", "127.0.0.1:0", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(paths: StatePaths, listen: str) -> None:
    loaded = load_accepted(paths, Accepted(Path("/srv/app"), "", app="web:app"))
    with pytest.raises(SpecError) as caught:
        listening_on(loaded, listen)
    assert caught.value.subject == "--listen"
