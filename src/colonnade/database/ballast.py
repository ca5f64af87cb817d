"""A file that is there to be removed: room that is given back when the disk is full."""

from __future__ import annotations

import os
from pathlib import Path

from colonnade.core.files import disk_error
from colonnade.database.disk import BALLAST_BYTES
from colonnade.database.state import Disk


def look(directory: Path, ballast: Path) -> Disk | None:
    """What is free for an ordinary user on the file system of `directory`; None when it cannot be asked."""
    try:
        about = os.statvfs(directory)
        has_ballast = ballast.stat().st_blocks * 512 >= BALLAST_BYTES
    except FileNotFoundError:
        has_ballast = False
        about = os.statvfs(directory)
    except OSError:
        return None
    return Disk(about.f_bavail * about.f_frsize, has_ballast)


def set_ballast(ballast: Path, *, is_there: bool) -> None:
    """Make the file with all its blocks, or remove it. Raises HostError; then nothing is left of it."""
    try:
        if not is_there:
            ballast.unlink(missing_ok=True)
            return
        descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        ballast.unlink(missing_ok=True)
        raise disk_error(error, ballast) from error
