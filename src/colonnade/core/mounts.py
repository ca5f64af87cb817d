"""A mount namespace of our own: nobody else sees what is mounted in it, and it is gone with the last process in it.

Standard library only: the keeper uses it. Each function raises OSError where the kernel does not allow it (a container
without CAP_SYS_ADMIN, user namespaces forbidden).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x80000
MNT_DETACH = 0x2


def enter_own_mounts() -> None:
    """What others mount later still shows here; what we mount shows to nobody. Without root, in a user namespace in
    which everybody stays who they are: for that the process may have one thread only."""
    user_id, group_id = os.geteuid(), os.getegid()
    _check(_libc().unshare(CLONE_NEWNS | (0 if user_id == 0 else CLONE_NEWUSER)), "unshare")
    if user_id != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user_id} {user_id} 1")
        Path("/proc/self/gid_map").write_text(f"{group_id} {group_id} 1")
    _mount("none", "/", None, MS_REC | MS_SLAVE)


def mount_memory(place: str, options: str) -> None:
    """A file system in memory over `place`. `options` as for mount(8): size, mode."""
    _mount("tmpfs", place, "tmpfs", 0, options)


def unmount(place: str) -> None:
    """Take away what was mounted over `place`, once nobody uses it any more."""
    _check(_libc().umount2(os.fsencode(place), MNT_DETACH), f"unmount {place}")


def mount_again(handle: int, place: str) -> None:
    """What an open directory holds, at `place` as well."""
    _mount(f"/proc/self/fd/{handle}", place, None, MS_BIND | MS_REC)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    _check(_libc().mount(words[0], words[1], words[2], flags, words[3]), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
