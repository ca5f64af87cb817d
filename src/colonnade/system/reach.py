"""Can the user that the parts run as get to a path? As root this is the question behind most failed starts.

Root passes every door; the parts, which dropped their privileges, do not: a directory closed to others anywhere above
the interpreter, the application or the data keeps them out.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from colonnade.core.processes import Credentials


def unreachable_part(path: Path, credentials: Credentials) -> Path | None:
    """The first directory above `path` (links followed) that this user cannot enter; None when there is none."""
    for start in (path, Path(os.path.realpath(path))):
        for directory in reversed(start.absolute().parents):
            if not _can_enter(directory, credentials):
                return directory
    return None


def _can_enter(directory: Path, credentials: Credentials) -> bool:
    about = directory.stat()
    if about.st_uid == credentials.user_id:
        return bool(about.st_mode & stat.S_IXUSR)
    if about.st_gid == credentials.group_id:
        return bool(about.st_mode & stat.S_IXGRP)
    return bool(about.st_mode & stat.S_IXOTH)
