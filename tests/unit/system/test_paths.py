"""Where a system keeps its things, and the directories it refuses to use."""

import json
import os
import stat
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.core.processes import Credentials
from colonnade.system import paths as state_paths
from colonnade.system.paths import STATE_VERSION, StatePaths, prepare, remove_sockets, runtime_root

NOBODY = Credentials(65534, 65534, "nobody", "/nonexistent")

as_ordinary_user = pytest.mark.skipif(os.geteuid() == 0, reason="root passes every door")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StatePaths:
    """A state directory, with its sockets below the same place instead of the machine's own."""
    # The place is the only thing replaced: nobody's real /tmp/colonnade-UID is touched by a unit test.
    monkeypatch.setattr(state_paths, "runtime_root", lambda: tmp_path / "run")
    return StatePaths(tmp_path / "project" / ".colonnade")


def test_everything_is_made_and_is_private(paths: StatePaths) -> None:
    prepare(paths, None)
    for directory in (paths.root, paths.logs, paths.events.parent, paths.sockets):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory
    assert json.loads(paths.version.read_text()) == {"state_version": STATE_VERSION}


def test_as_root_the_parts_can_pass_but_not_list(paths: StatePaths) -> None:
    prepare(paths, NOBODY)
    assert stat.S_IMODE(paths.root.stat().st_mode) == 0o711
    assert stat.S_IMODE(paths.sockets.stat().st_mode) == 0o711
    assert stat.S_IMODE(paths.logs.stat().st_mode) == 0o700


@as_root
def test_a_system_without_users_of_its_own_does_not_shut_out_the_parts_of_another(paths: StatePaths) -> None:
    prepare(paths, NOBODY)
    prepare(StatePaths(paths.root.parent / "other" / ".colonnade"), None)
    assert stat.S_IMODE(paths.sockets.parent.stat().st_mode) == 0o711


def test_preparing_twice_changes_nothing(paths: StatePaths) -> None:
    prepare(paths, None)
    paths.accepted.write_text("kept")
    prepare(paths, None)
    assert paths.accepted.read_text() == "kept"


def test_a_socket_path_is_short_however_long_the_project_is() -> None:
    long = StatePaths(Path("/srv") / ("x" * 200) / "a b" / ".colonnade")
    assert len(str(long.control_socket)) < 90
    assert long.sockets != StatePaths(Path("/srv/other/.colonnade")).sockets


@pytest.mark.parametrize("version", [STATE_VERSION + 1, 99, "two", None, 1.5])
def test_a_newer_or_strange_layout_is_left_alone(paths: StatePaths, version: object) -> None:
    paths.root.mkdir(parents=True)
    paths.version.write_text(json.dumps({"state_version": version}))
    with pytest.raises(HostError, match="newer Colonnade") as caught:
        prepare(paths, None)
    assert "--state-dir" in caught.value.hint
    assert not paths.logs.exists()


@as_root
def test_somebody_elses_directory_is_refused(paths: StatePaths) -> None:
    paths.root.mkdir(parents=True)
    os.chown(paths.root, 12345, 12345)
    with pytest.raises(HostError, match="belongs to user 12345") as caught:
        prepare(paths, None)
    assert caught.value.subject == str(paths.root)


@as_ordinary_user
def test_a_directory_that_cannot_be_written_is_told(paths: StatePaths) -> None:
    paths.root.parent.mkdir()
    paths.root.parent.chmod(0o500)
    with pytest.raises(HostError, match="cannot be written"):
        prepare(paths, None)


def test_a_file_in_the_place_of_the_directory_is_told(paths: StatePaths) -> None:
    paths.root.parent.mkdir()
    paths.root.write_text("")
    with pytest.raises(HostError) as caught:
        prepare(paths, None)
    assert caught.value.subject == str(paths.root)


def test_a_link_where_the_sockets_should_be_is_refused(paths: StatePaths, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (tmp_path / "run").symlink_to(elsewhere)
    with pytest.raises(HostError, match="not a directory of yours") as caught:
        prepare(paths, None)
    assert "removed by its owner" in caught.value.hint
    assert list(elsewhere.iterdir()) == []


@as_root
def test_a_sockets_directory_that_somebody_else_made_is_refused(paths: StatePaths, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(HostError, match="not a directory of yours"):
        prepare(paths, None)


def test_removed_sockets_take_their_parent_along_only_when_it_is_empty(paths: StatePaths, tmp_path: Path) -> None:
    prepare(paths, None)
    (tmp_path / "run" / "another").mkdir()
    remove_sockets(paths)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["another"]
    (tmp_path / "run" / "another").rmdir()
    remove_sockets(paths)
    assert not (tmp_path / "run").exists()


def test_sockets_are_where_a_logout_does_not_remove_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_root() == Path("/tmp") / f"colonnade-{os.geteuid()}"


def test_an_older_layout_is_from_now_on_the_present_one(paths: StatePaths) -> None:
    paths.root.mkdir(parents=True, exist_ok=True)
    paths.version.write_text(json.dumps({"state_version": STATE_VERSION - 1}))
    prepare(paths, None)
    assert json.loads(paths.version.read_text()) == {"state_version": STATE_VERSION}
