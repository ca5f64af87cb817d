"""What is typed, and what it means."""

from pathlib import Path

import pytest

from colonnade.cli.words import parse_scale
from colonnade.core.errors import SpecError
from colonnade.system.target import find_target


@pytest.mark.parametrize(
    ("text", "expected"), [("web=3", ("web", 3)), ("user-api=12", ("user-api", 12)), ("web=auto", ("web", None))]
)
def test_a_change_of_scale_is_a_service_and_a_number_or_auto(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_scale(text) == expected


@pytest.mark.parametrize(
    "text", ["", "web", "=auto", "web=", "=3", "web=three", "web=-1", "web=+1", "web=1.5", "web==3"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SpecError, match="SERVICE=N") as caught:
        parse_scale(text)
    assert "backend=5" in caught.value.hint


def test_a_command_is_about_the_file_here_or_the_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there"
    there.mkdir()
    here = find_target(None, "", None)
    assert (here.file, here.paths.root) == (tmp_path / "colonnade.toml", tmp_path / ".colonnade")
    by_directory, by_file = find_target(there, "", None), find_target(Path("there/other.toml"), "", None)
    assert by_directory.file == there / "colonnade.toml"
    assert (by_file.file, by_file.paths.root) == (there / "other.toml", there / ".colonnade")


def test_state_can_be_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_target(None, "", Path("state")).paths.root == tmp_path / "state"


def test_an_import_string_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = find_target(None, "hello:app", None)
    assert (target.app, target.file, target.directory) == ("hello:app", None, tmp_path)
