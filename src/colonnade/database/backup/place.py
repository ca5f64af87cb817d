"""The directories that backups are made of, and who owns what in them.

wal/              archived WAL and timeline histories; the servers' user writes it
base/ID/data/     a base backup as pg_basebackup left it; the servers' user's
base/ID/backup.json   written last: without it there is no backup ID. Ours
verification.json     the last trial restore
"""

from __future__ import annotations

import os
from pathlib import Path

from colonnade.core.access import closed_directory
from colonnade.core.errors import HostError
from colonnade.core.files import make_directory, sync_directory
from colonnade.core.processes import Credentials
from colonnade.database.backup.commands import archive_place


def base_place(directory: Path) -> Path:
    return directory / "base"


def make_place(directory: Path, credentials: Credentials | None) -> None:
    """Make the directory itself; one that is there already is somebody's, and keeps its mode."""
    if not directory.is_dir():
        make_directory(directory, mode=0o711 if credentials else 0o700)


def prepare_place(directory: Path, credentials: Credentials | None) -> None:
    """Make the directories. Raises HostError when they cannot be made, or not be reached by the servers' user."""
    passage = 0o711 if credentials else 0o700
    owner = (credentials.user_id, credentials.group_id) if credentials else None
    make_place(directory, credentials)
    make_directory(base_place(directory), mode=passage)
    make_directory(archive_place(directory), mode=0o700, owner=owner)
    if credentials is None:
        return
    closed = closed_directory(str(archive_place(directory)), credentials.user_id, credentials.group_id)
    if closed is not None:
        raise HostError(
            f"{credentials.user_name}, whom the database runs as, cannot get past {closed}",
            subject="database.backup.directory",
            hint=f"`chmod o+x '{closed}'`, or choose another directory for backups",
        )


def archive_again(data_directory: Path) -> None:
    """Have a new copy archive the WAL that came with it. pg_basebackup marks it as archived already, which is true only
    if the primary lives to do so: a primary lost with its archiver behind would leave a hole."""
    status = data_directory / "pg_wal" / "archive_status"
    if status.is_symlink() or not status.is_dir():
        return
    for mark in status.glob("*.done"):
        os.rename(mark, mark.with_suffix(".ready"))
    sync_directory(status)
