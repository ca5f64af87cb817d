"""Where backups are kept, behind a small protocol. Here: a directory. An object store would implement the same, with
the base backups packed and the archive program replaced by one that uploads.

PostgreSQL's own tools read and write directories, so `path` gives one: a store that is not a directory would give a
place to unpack to.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from colonnade.core.errors import HostError
from colonnade.core.files import disk_error, make_directory, read_json, sync_directory, write_json_durably
from colonnade.core.processes import Credentials
from colonnade.database.backup.commands import archive_place
from colonnade.database.backup.place import base_place
from colonnade.database.backup.wal import Forks, read_forks

ABOUT = "backup.json"
VERIFICATION = "verification.json"


class Storage(Protocol):
    """Backups by id, and the names of the archived WAL. Methods block: call them from a thread. All raise HostError."""

    def backups(self) -> list[str]:
        """Ids of all that is there, complete or not."""
        ...

    def read_about(self, backup_id: str) -> dict[str, Any] | None:
        """What completes a backup; None: it is not complete."""
        ...

    def write_about(self, backup_id: str, about: dict[str, Any]) -> None:
        """Complete a backup, durably."""
        ...

    def make(self, backup_id: str) -> Path:
        """An empty place for a new backup's data."""
        ...

    def path(self, backup_id: str) -> Path: ...

    def remove(self, backup_id: str) -> None:
        """From the first step on it no longer counts."""
        ...

    def wal(self) -> list[str]:
        """Names in the archive."""
        ...

    def forks(self) -> Forks: ...

    def remove_wal(self, names: Collection[str]) -> None: ...

    def read_verification(self) -> dict[str, Any] | None: ...

    def write_verification(self, value: dict[str, Any]) -> None: ...


class DirectoryStorage:
    """`Storage` in a directory; `place.py` has its layout."""

    def __init__(self, directory: Path, credentials: Credentials | None) -> None:
        self.directory = directory
        self.archive = archive_place(directory)
        self._base = base_place(directory)
        self._owner = (credentials.user_id, credentials.group_id) if credentials else None

    def backups(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self._base.iterdir() if entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error(error, self._base) from error

    def read_about(self, backup_id: str) -> dict[str, Any] | None:
        return read_json(self._base / backup_id / ABOUT)

    def write_about(self, backup_id: str, about: dict[str, Any]) -> None:
        write_json_durably(self._base / backup_id / ABOUT, about, mode=0o600)
        sync_directory(self._base)

    def make(self, backup_id: str) -> Path:
        make_directory(self._base / backup_id, mode=0o711 if self._owner else 0o700)
        make_directory(self.path(backup_id), mode=0o700, owner=self._owner)
        return self.path(backup_id)

    def path(self, backup_id: str) -> Path:
        return self._base / backup_id / "data"

    def remove(self, backup_id: str) -> None:
        place = self._base / backup_id
        try:
            (place / ABOUT).unlink(missing_ok=True)
            if place.exists():
                sync_directory(place)
                shutil.rmtree(place)
        except OSError as error:
            raise disk_error(error, place) from error

    def wal(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self.archive.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error(error, self.archive) from error

    def forks(self) -> Forks:
        return read_forks(str(self.archive))

    def remove_wal(self, names: Collection[str]) -> None:
        for name in names:
            try:
                (self.archive / name).unlink(missing_ok=True)
            except OSError as error:
                raise disk_error(error, self.archive / name) from error

    def read_verification(self) -> dict[str, Any] | None:
        try:
            return read_json(self.directory / VERIFICATION)
        except HostError:
            return None  # a broken note is no reason not to verify again

    def write_verification(self, value: dict[str, Any]) -> None:
        write_json_durably(self.directory / VERIFICATION, value, mode=0o600)
