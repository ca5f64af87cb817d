"""Durable writes, private files, logs that stay within their bound while their writer writes on."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.core.files import (
    disk_error,
    locked,
    make_directory,
    read_json,
    rotate_log,
    tail_lines,
    write_durably,
    write_json_durably,
)


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_durably(path, "old", mode=0o600)
    write_durably(path, b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_content_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Patched, because a disk cannot be filled at exactly one step."""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "state.json"
    write_durably(path, "old")
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(HostError, match="the disk is full") as caught:
        write_durably(path, "new")
    assert "df -h" in caught.value.hint
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is the promise: a rename before the fsync can leave an empty file after a power cut."""
    steps: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        steps.append("fsync directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "fsync file")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        steps.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_durably(tmp_path / "state.json", "x")
    assert steps == ["fsync file", "rename", "fsync directory"]


def test_a_write_that_is_taken_in_pieces_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, bytes(data)[:3]))
    write_durably(tmp_path / "x", "0123456789")
    assert (tmp_path / "x").read_text() == "0123456789"


@pytest.mark.parametrize("place", ["missing/x", "file/x", "n" * 300])
def test_a_place_that_cannot_be_is_an_error_of_the_host(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be") as caught:
        write_durably(tmp_path / place, "x")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("number", "says", "hint"),
    [
        (errno.ENOSPC, "the disk is full", "df -h"),
        (errno.EDQUOT, "the disk is full", "df -h"),
        (errno.EACCES, "permission denied", "--state-dir"),
        (errno.EROFS, "read-only file system", "--state-dir"),
        (errno.EIO, "Input/output error", "ls -l"),
    ],
)
def test_each_refusal_of_the_disk_has_its_hint(number: int, says: str, hint: str) -> None:
    error = disk_error(OSError(number, os.strerror(number)), Path("/srv/state"))
    assert says in error.message
    assert hint in error.hint
    assert error.subject == "/srv/state"


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    write_json_durably(tmp_path / "x.json", {"b": 1, "a": [None]}, mode=0o600)
    assert read_json(tmp_path / "x.json") == {"a": [None], "b": 1}


def test_no_file_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "x.json") is None


@pytest.mark.parametrize(
    ("content", "says"), [(b"{", "not valid JSON"), (b"[]", "JSON object"), (b"\xff", "not valid")]
)
def test_what_is_not_a_json_object_is_told(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(HostError, match=says) as caught:
        read_json(tmp_path / "x.json")
    assert "move the file away" in caught.value.hint


def test_a_lock_is_held_by_one_at_a_time_and_is_free_afterwards(tmp_path: Path) -> None:
    busy = HostError("somebody else is at it", hint="wait")
    twice = (locked(tmp_path / "lock", busy=busy), locked(tmp_path / "lock", busy=busy))
    with twice[0], pytest.raises(HostError, match="somebody else"), twice[1]:
        pass
    with locked(tmp_path / "lock", busy=busy):
        pass


def test_who_names_no_refusal_waits_for_a_lock(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock"):
            order.append("second")

    with locked(tmp_path / "lock"):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.05)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_a_lock_that_cannot_be_is_an_error_of_the_host(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="gone"), locked(tmp_path / "gone" / "lock"):
        pass


def test_a_directory_gets_exactly_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    make_directory(path, mode=0o700)
    assert path.stat().st_mode & 0o7777 == 0o700
    make_directory(path, mode=0o755)
    assert path.stat().st_mode & 0o7777 == 0o755


def test_a_file_in_the_way_of_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(HostError):
        make_directory(tmp_path / "a", mode=0o700)


def test_a_log_within_its_bound_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(b"x" * 100)
    assert rotate_log(tmp_path / "x.log", bytes_max=100) is False
    assert rotate_log(tmp_path / "none.log", bytes_max=100) is False
    assert [path.name for path in tmp_path.iterdir()] == ["x.log"]


def test_a_writer_goes_on_at_the_new_end(tmp_path: Path) -> None:
    """As replicas do: opened once with O_APPEND, never told of the rotation."""
    path = tmp_path / "x.log"
    writer = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(writer, b"before\n" * 20)
        assert rotate_log(path, bytes_max=100) is True
        os.write(writer, b"after\n")
    finally:
        os.close(writer)
    assert path.read_bytes() == b"after\n"
    assert (tmp_path / "x.log.1").read_bytes().endswith(b"before\n")


def test_of_a_log_that_grew_far_past_its_bound_the_newest_part_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"".join(b"%06d\n" % number for number in range(1000)))
    rotate_log(path, bytes_max=700)
    kept = (tmp_path / "x.log.1").read_bytes()
    assert kept.endswith(b"000999\n")
    assert len(kept) <= 700


def test_the_copy_of_a_log_is_as_private_as_the_log(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"secret\n" * 20)
    path.chmod(0o600)
    rotate_log(path, bytes_max=100)
    assert (tmp_path / "x.log.1").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_costs_old_lines_rather_than_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    path = tmp_path / "x.log"
    path.write_bytes(b"x" * 200)
    monkeypatch.setattr(os, "sendfile", refuse)
    assert rotate_log(path, bytes_max=100) is True
    assert path.stat().st_size == 0


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\ntwo\n\xff three\nfour")
    assert tail_lines(path, 2) == ["\ufffd three", "four"]
    assert tail_lines(path, 99)[0] == "one"
    assert tail_lines(path, 9, bytes_max=6) == ["e", "four"]
    assert tail_lines(tmp_path / "none.log", 3) == []
