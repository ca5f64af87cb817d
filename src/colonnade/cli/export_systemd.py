"""`colonnade export systemd`: where the system is on this machine, and who runs it there."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from colonnade.cli.messages import print_warning
from colonnade.core.errors import SpecError
from colonnade.deploy.systemd.unit import Host
from colonnade.spec.load import LoadedSpec
from colonnade.system.target import find_target

USER_OF_ROOT = "colonnade"
"""When the directory is root's: nothing that serves should be root."""


def host_of(loaded: LoadedSpec, user: str, state: Path | None) -> Host:
    """Raises SpecError for a declaration without a file."""
    if loaded.path is None:
        raise SpecError("a unit needs a colonnade.toml", hint="write one with `colonnade init`")
    root = loaded.directory.resolve()
    backup = loaded.spec.database.backup if loaded.spec.database is not None else None
    return Host(
        program=str(Path(sys.executable).parent / "colonnade"),
        directory=str(root),
        state=str(find_target(loaded.path, "", state).paths.root.absolute()),
        user=user or _user(loaded, root),
        shared=tuple(str(root / path) for path in loaded.spec.system.shared),
        backups=backup.directory if backup is not None else "",
    )


def _user(loaded: LoadedSpec, root: Path) -> str:
    if loaded.spec.system.user:
        return loaded.spec.system.user
    owner = root.stat().st_uid
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    if owner == 0 or os.path.samefile(root, "/"):
        print_warning(
            f"{root} belongs to root: the unit names the user {USER_OF_ROOT}, who must own the directory "
            f"(`useradd --system {USER_OF_ROOT}`); --user names another"
        )
        return USER_OF_ROOT
    return name
