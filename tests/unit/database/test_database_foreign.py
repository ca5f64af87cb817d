"""As root in directories of the servers' user: links and pipes that were put there lead nowhere."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest

from colonnade.core.clock import SimulatedClock
from colonnade.core.errors import HostError
from colonnade.core.files import make_directory
from colonnade.database import clone
from colonnade.database.clone import system_identifier
from colonnade.database.driver import DatabasePaths
from colonnade.database.fence import mark_as_standby
from colonnade.database.foreign import BYTES_MAX, read_foreign, write_foreign
from colonnade.database.history import keep_histories, read_forks
from colonnade.database.node import Node
from colonnade.database.shared_memory import segment_of

root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another user")
HISTORY = "1\t0/3000000\tno recovery target specified\n"
NAME = "000000F0.history"


def nobody() -> tuple[int, int]:
    user = pwd.getpwnam("nobody")
    return user.pw_uid, user.pw_gid


def node_of(place: Path, owner: tuple[int, int]) -> Path:
    node = place / "a"
    (node / "pg_wal").mkdir(parents=True)
    for directory in (node, node / "pg_wal"):
        os.chown(directory, *owner)
    return node


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(HISTORY)
    path.chmod(0o600)
    return path


@root_only
def test_a_link_in_the_place_of_a_temporary_file_is_replaced_and_not_followed(tmp_path: Path, secret: Path) -> None:
    node = node_of(tmp_path, nobody())
    (node / ".postgresql.conf.new").symlink_to(secret)
    (node / "postgresql.conf").symlink_to(secret)
    write_foreign(node / "postgresql.conf", "port = 1\n", nobody())
    assert secret.read_text() == HISTORY
    assert secret.stat().st_uid == 0
    about = (node / "postgresql.conf").lstat()
    assert (about.st_mode & 0o777, about.st_uid) == (0o600, nobody()[0])
    assert (node / "postgresql.conf").read_text() == "port = 1\n"
    assert sorted(path.name for path in node.iterdir()) == ["pg_wal", "postgresql.conf"]


@root_only
def test_histories_that_are_links_pipes_or_another_users_are_not_kept(tmp_path: Path, secret: Path) -> None:
    node, kept = node_of(tmp_path, nobody()), tmp_path / "kept"
    kept.mkdir()
    pg_wal = node / "pg_wal"
    (pg_wal / NAME).symlink_to(secret)
    os.mkfifo(pg_wal / "000000F1.history")
    (pg_wal / "000000F2.history").write_text(HISTORY)  # root's: a server has not written it
    (pg_wal / "000000F3.history").write_text(HISTORY)
    os.chown(pg_wal / "000000F3.history", *nobody())
    assert keep_histories(pg_wal, kept) == []
    assert [path.name for path in kept.iterdir()] == ["000000F3.history"]
    assert read_forks(0xF0, pg_wal, kept) is None
    assert read_forks(0xF3, pg_wal, tmp_path / "nowhere")


@root_only
def test_a_link_in_the_place_of_the_mark_is_replaced_by_a_mark(tmp_path: Path) -> None:
    node = node_of(tmp_path, nobody())
    (node / "standby.signal").symlink_to(tmp_path / "made")
    mark_as_standby(node)
    assert not (tmp_path / "made").exists()
    mark = node / "standby.signal"
    assert mark.is_file()
    assert not mark.is_symlink()
    assert mark.stat().st_uid == nobody()[0]


@root_only
def test_a_link_is_no_directory_to_give_away(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(HostError):
        make_directory(tmp_path / "link", mode=0o755, owner=nobody())
    about = (tmp_path / "mine").stat()
    assert (about.st_uid, about.st_mode & 0o777) == (0, 0o700)


def test_only_plain_files_of_the_user_are_read(tmp_path: Path, secret: Path) -> None:
    assert read_foreign(secret, os.getuid()) == HISTORY.encode()
    (tmp_path / "link").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b"x" * (BYTES_MAX + 1))
    for name in ("link", "pipe", "long", "absent"):
        with pytest.raises(OSError):  # noqa: PT011 - which one is the kernel's choice
            read_foreign(tmp_path / name, os.getuid())
    with pytest.raises(PermissionError):
        read_foreign(secret, os.getuid() + 1)


@root_only
def test_a_directory_that_is_swapped_while_it_is_given_away_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, sockets = tmp_path / "mine", tmp_path / "s"
    mine.mkdir(mode=0o700)
    sockets.mkdir()
    chown = os.chown

    def swap_and_chown(*arguments: Any, **named: Any) -> None:
        sockets.rename(tmp_path / "away")
        sockets.symlink_to(mine)
        chown(*arguments, **named)

    monkeypatch.setattr(os, "chown", swap_and_chown)  # the moment between the look and the change
    make_directory(sockets, mode=0o711, owner=nobody())
    about = mine.stat()
    assert (about.st_uid, about.st_mode & 0o777) == (0, 0o700)
    assert (tmp_path / "away").stat().st_mode & 0o777 == 0o711


def test_server_is_not_found_by_a_lock_that_no_server_wrote(tmp_path: Path, secret: Path) -> None:
    node = Node("a", DatabasePaths(tmp_path, tmp_path, tmp_path), SimulatedClock())
    node.directory.mkdir(parents=True)
    lock = node.directory / "postmaster.pid"
    lock.symlink_to(secret)
    assert node.running_postmaster() is None
    lock.unlink()
    os.mkfifo(lock)  # whoever opened it by name would wait for ever
    assert node.running_postmaster() is None
    assert segment_of(node.directory) is None


def test_control_file_is_read_only_when_it_is_the_servers_own(tmp_path: Path, secret: Path) -> None:
    control = tmp_path / "global" / "pg_control"
    control.parent.mkdir()
    control.symlink_to(secret)
    with pytest.raises(HostError):
        system_identifier(tmp_path)
    control.unlink()
    control.write_bytes((5).to_bytes(8, sys.byteorder) + bytes(8184))
    assert system_identifier(tmp_path) == "5"


def test_copy_has_what_the_source_has_privately(tmp_path: Path) -> None:
    source = tmp_path / "a"
    (source / "base" / "1").mkdir(parents=True)
    (source / "base" / "1" / "file").write_bytes(b"x" * 100_000)
    (source / "PG_VERSION").write_text("18\n")
    (source / "pg_wal").mkdir()
    clone._copy(source, tmp_path / "b", None)
    found = sorted(str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("*"))
    assert found == ["PG_VERSION", "base", "base/1", "base/1/file", "pg_wal"]
    assert (tmp_path / "b" / "base" / "1" / "file").read_bytes() == b"x" * 100_000
    assert {path.stat().st_mode & 0o77 for path in (tmp_path / "b").rglob("*")} == {0}


@pytest.mark.parametrize("what", ["file", "directory"])
def test_copy_does_not_follow_links(tmp_path: Path, secret: Path, what: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").symlink_to(secret if what == "file" else tmp_path)
    with pytest.raises(HostError):
        clone._copy(tmp_path / "a", tmp_path / "b", None)


def test_directory_that_is_swapped_for_a_link_during_the_copy_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: Path
) -> None:
    base = tmp_path / "a" / "base"
    base.mkdir(parents=True)
    (tmp_path / "closed").mkdir()
    secret.rename(tmp_path / "closed" / "secret")
    mkdir = os.mkdir

    def swap_and_mkdir(path: str, *arguments: Any, **named: Any) -> None:
        if path == "base" or path.endswith("/base"):
            base.rename(tmp_path / "away")
            base.symlink_to(tmp_path / "closed")
        mkdir(path, *arguments, **named)

    monkeypatch.setattr(os, "mkdir", swap_and_mkdir)  # the moment after the look at it
    with pytest.raises(HostError):
        clone._copy(tmp_path / "a", tmp_path / "b", None)
    assert not list((tmp_path / "b").rglob("secret"))
