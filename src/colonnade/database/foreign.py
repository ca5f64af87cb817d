"""Files in directories that belong to the servers' user, handled by a controller that may be root.

Everything that runs as that user can put a link or a pipe under any name in there. So nothing is followed: a file is
written under a name that did not exist, and read only when it is a plain file of the directory's owner. The data
directories themselves cannot be swapped, for `nodes/` is the controller's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from colonnade.core.files import disk_error

BYTES_MAX = 64 * 1024
"""Far more than any file that is read this way has."""


def write_foreign(path: Path, text: str, owner: tuple[int, int] | None) -> None:
    """Replace `path` at once, not durably; readable for `owner` only. Raises HostError."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = create_foreign(temporary)
        with open(descriptor, "w", encoding="utf-8") as file:
            if owner is not None:
                os.fchown(descriptor, *owner)
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise disk_error(error, path) from error


def create_foreign(path: Path) -> int:
    """A descriptor of the new file `path`, private; raises FileExistsError when anything has that name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def owner_of(directory: Path) -> int:
    """The user whose files in that data directory are believed. Raises OSError; also for a link, which is nobody's."""
    about = directory.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
    return about.st_uid


def read_foreign(path: Path, user_id: int) -> bytes:
    """The content of a plain file of that user. Raises OSError when it is anything else, or too long."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != user_id:
            raise PermissionError(errno.EPERM, f"is no plain file of user {user_id}", str(path))
        content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content
