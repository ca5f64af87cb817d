"""Logs by name, and what is new in them."""

from pathlib import Path

import pytest

from colonnade.cli import follow
from colonnade.core.errors import HostError
from colonnade.system.paths import StatePaths
from colonnade.system.target import Target

NAMES = ["frontend-1", "frontend-2", "backend-1", "frontend-release", "gateway", "keeper", "user-api-12"]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    paths = StatePaths(tmp_path)
    paths.logs.mkdir()
    for name in NAMES:
        (paths.logs / f"{name}.log").write_text(f"{name} one\n{name} two\n")
    return Target(tmp_path, None, "", paths)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["frontend"], {"frontend/1", "frontend/2", "frontend-release"}),
        (["frontend/2"], {"frontend/2"}),
        (["frontend-2"], {"frontend/2"}),
        (["user-api"], {"user-api/12"}),
        (["user-api/12"], {"user-api/12"}),
        (["gateway", "keeper"], {"gateway", "keeper"}),
        (["front"], None),
        (["backend/2"], None),
    ],
)
def test_a_name_chooses_logs(
    target: Target, names: list[str], labels: set[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if labels is None:
        with pytest.raises(HostError) as caught:
            follow.logs(target, names, count=5, is_following=False)
        assert "frontend/1, frontend/2" in caught.value.hint
        return
    follow.logs(target, names, count=5, is_following=False)
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == labels


def test_no_name_means_all_and_the_count_is_per_log(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    follow.logs(target, [], count=1, is_following=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(NAMES)
    assert all(line.endswith(" two") for line in lines)


def test_labels_are_as_wide_as_the_widest(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    follow.logs(target, ["frontend"], count=1, is_following=False)
    columns = {line.index(" two") - len(line.split()[1]) for line in capsys.readouterr().out.splitlines()}
    assert columns == {len("frontend-release") + 1}


@pytest.mark.parametrize("is_there", [True, False], ids=["an empty directory", "no directory"])
def test_no_log_at_all_says_how_to_get_one(tmp_path: Path, is_there: bool) -> None:
    paths = StatePaths(tmp_path)
    if is_there:
        paths.logs.mkdir()
    with pytest.raises(HostError, match="no log of anything") as caught:
        follow.logs(Target(tmp_path, None, "", paths), [], count=5, is_following=False)
    assert "colonnade up" in caught.value.hint


def follower(directory: Path) -> follow.LogFollower:
    return follow.LogFollower(directory, lambda label: label.startswith("web/"))


def shown(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_what_is_new_is_shown_once_and_half_a_line_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "web-1.log"
    log.write_text("old\n")
    following = follower(tmp_path)
    assert following.show_last(0)
    for added, lines in [("new\nha", [["web/1", "new"]]), ("", []), ("lf\n", [["web/1", "half"]])]:
        with log.open("a") as file:
            file.write(added)
        following.show_new()
        assert shown(capsys) == lines


def test_a_rotated_log_is_read_from_its_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "web-1.log"
    log.write_text("before\n" * 100)
    following = follower(tmp_path)
    following.show_last(0)
    log.write_text("after\n")
    following.show_new()
    assert shown(capsys) == [["web/1", "after"]]


def test_a_log_that_begins_later_is_shown_from_its_first_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web-1.log").write_text("old\n")
    following = follower(tmp_path)
    following.show_last(1)
    for name in ("web-2", "gateway"):
        (tmp_path / f"{name}.log").write_text("first\nsecond\n")
    following.show_new()
    assert shown(capsys) == [["web/1", "old"], ["web/2", "first"], ["web/2", "second"]]
    (tmp_path / "web-1.log").unlink()
    following.show_new()
    assert shown(capsys) == []


def test_no_events_says_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no events here"):
        follow.events(Target(tmp_path, None, "", StatePaths(tmp_path)), count=5, is_following=False, as_json=True)
