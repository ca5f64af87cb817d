"""As root: what the parts must reach although they dropped their privileges, and how they get there.

Root passes every door; the parts do not. A directory closed to others anywhere above the interpreter, the
application or the data (a home of mode 0700, a directory made by mktemp) would keep them out. So the keeper gets a
mount namespace of its own, in which such a directory is an empty one that all may enter, holding only what the parts
need, at its usual path. Nobody outside sees a difference, and nothing on disk is changed.

Standard library only: the keeper uses it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from colonnade.core import mounts
from colonnade.core.access import closed_directory, may_pass


def plan_openings(needed: Iterable[str], user_id: int, group_id: int) -> dict[str, list[str]]:
    """Closed directories that must be replaced, each with the needed ones below it. Empty when all can be reached.

    Raises PermissionError naming a needed directory that is itself closed: what is in it is not meant for others.
    """
    openings: dict[str, list[str]] = {}
    for path in sorted({os.path.realpath(path) for path in needed}):
        if not may_pass(path, user_id, group_id):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        closed = closed_directory(path, user_id, group_id)
        if closed is not None:
            openings.setdefault(closed, []).append(path)
    return openings


def open_the_way(openings: dict[str, list[str]]) -> None:
    """In a mount namespace of this process's own, put an open directory over each closed one, with what is needed
    in it. Raises OSError where the kernel does not allow that (a container without CAP_SYS_ADMIN)."""
    mounts.enter_own_mounts()
    # The directories in between are ours to make, and everybody's to pass, whatever our own mask is.
    old_umask = os.umask(0o022)
    for closed, needed in openings.items():
        handles = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in needed]
        mounts.mount_memory(closed, "mode=755,size=1m")
        for path, handle in handles:
            os.makedirs(path, exist_ok=True)
            mounts.mount_again(handle, path)
            os.close(handle)
    os.umask(old_umask)
