"""Runs a command as another user who can reach its programs although a directory above them is closed to others, as
Colonnade does for its own parts: `python as_user.py USER DIRECTORY… -- COMMAND…`, as root."""

from __future__ import annotations

import os
import pwd
import sys

from colonnade.system.reach import open_the_way, plan_openings


def main(arguments: list[str]) -> None:
    """Does not return: becomes the command."""
    end = arguments.index("--")
    name, *directories = arguments[:end]
    user = pwd.getpwnam(name)
    open_the_way(plan_openings(directories, user.pw_uid, user.pw_gid))
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    command = arguments[end + 1 :]
    os.execv(command[0], command)  # noqa: S606 — an argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
