"""As root in directories of the servers' user: links and pipes that were put there lead nowhere."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.core.files import make_directory
from colonnade.database.fence import mark_as_standby
from colonnade.database.foreign import BYTES_MAX, read_foreign, write_foreign
from colonnade.database.history import keep_histories, read_forks

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
