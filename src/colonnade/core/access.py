"""May a user enter a directory? Read from the modes, nobody is asked. Standard library only: the keeper uses it."""

from __future__ import annotations

import ctypes
import os
import stat

PR_SET_DUMPABLE = 4
"""As <sys/prctl.h> has it."""


def closed_directory(path: str, user_id: int, group_id: int) -> str | None:
    """The first place on the way to `path`, itself included, that this user may not pass (for a file: execute);
    None when the way is free. Supplementary groups do not count: our children have none."""
    way = [path]
    while (parent := os.path.dirname(way[-1])) != way[-1]:
        way.append(parent)
    return next((place for place in reversed(way) if not may_pass(place, user_id, group_id)), None)


def may_pass(path: str, user_id: int, group_id: int) -> bool:
    """True when the execute bit that applies to this user is set."""
    about = os.stat(path)
    if about.st_uid == user_id:
        return bool(about.st_mode & stat.S_IXUSR)
    if about.st_gid == group_id:
        return bool(about.st_mode & stat.S_IXGRP)
    return bool(about.st_mode & stat.S_IXOTH)


def hide_memory() -> None:
    """From other processes of our own user: none may trace this one or read its memory. Does nothing where the kernel
    does not know of it."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
