"""Whom gateway, replicas and database run as when Colonnade was started as root. An ordinary user drops nothing."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from colonnade.core.errors import HostError
from colonnade.core.processes import Credentials

FALLBACK_USER = "nobody"


def choose_credentials(wanted_user: str, directory: Path) -> Credentials | None:
    """None for an ordinary user. As root: `wanted_user`, else the directory's owner, else `nobody`.

    Raises HostError when there is no such user, or it is root itself.
    """
    if os.geteuid() != 0:
        return None
    try:
        if wanted_user:
            user = pwd.getpwnam(wanted_user)
        elif (owner := directory.stat().st_uid) != 0:
            user = pwd.getpwuid(owner)
        else:
            user = pwd.getpwnam(FALLBACK_USER)
    except KeyError as error:
        raise HostError(
            f"there is no user {wanted_user or FALLBACK_USER!r} to run the parts as",
            subject="system.user",
            hint='name an existing user in colonnade.toml: [system] user = "…"',
        ) from error
    if user.pw_uid == 0:
        raise HostError(
            "the parts must not run as root (PostgreSQL refuses to)",
            subject="system.user",
            hint="name an ordinary user in colonnade.toml, or leave it out",
        )
    return Credentials(user.pw_uid, user.pw_gid, user.pw_name, user.pw_dir)
