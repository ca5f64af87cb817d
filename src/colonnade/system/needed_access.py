"""Which directories the parts must reach, and whether the user they run as may enter them. Changes nothing: how a
closed way is opened is in `reach.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import colonnade
from colonnade.core.errors import HostError
from colonnade.core.processes import Credentials
from colonnade.spec.load import LoadedSpec
from colonnade.system.paths import StatePaths
from colonnade.system.reach import plan_openings


def needed_access(loaded: LoadedSpec, paths: StatePaths) -> list[Path]:
    """Directories that the parts must reach: interpreter, libraries, this package, the applications, the state."""
    package = Path(colonnade.__file__).parent.parent
    services = [loaded.directory_of(name) for name in loaded.spec.services]
    needed = [Path(sys.prefix), Path(sys.base_prefix), package, paths.root, *services, *static_places(loaded)]
    return [*needed, *backup_places(loaded)]


def static_places(loaded: LoadedSpec) -> list[Path]:
    """The directories of static files, which may be elsewhere than the application."""
    return [
        (loaded.directory_of(name) / files).resolve()
        for name, service in loaded.spec.services.items()
        for files in service.static.values()
    ]


def backup_places(loaded: LoadedSpec) -> list[Path]:
    """The directory of backups, if there are any."""
    database = loaded.spec.database
    return [Path(database.backup.directory)] if database is not None and database.backup is not None else []


def check_access(needed: list[Path], credentials: Credentials | None) -> None:
    """Raises HostError when a directory that the parts need is itself closed to the user they run as."""
    if credentials is None:
        return
    try:
        plan_openings(map(str, needed), credentials.user_id, credentials.group_id)
    except PermissionError as error:
        raise HostError(
            f"as root the parts run as {credentials.user_name}, who may not enter this directory",
            subject=str(error.filename),
            hint=f"`chmod o+rx '{error.filename}'`, or name a user who may: [system] user = \"…\"",
        ) from error
