"""What every piece of work on backups needs, and output of short programs. Decides nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError, HostError
from colonnade.core.files import disk_error, make_directory
from colonnade.core.niceness import yield_processor
from colonnade.core.processes import Command, Credentials
from colonnade.database.backup.place import prepare_place
from colonnade.database.backup.storage import DirectoryStorage
from colonnade.database.binaries import Binaries, find_binaries
from colonnade.database.driver import DatabasePaths
from colonnade.database.fence import end_processes
from colonnade.database.secrets import Secrets, load_or_make_secrets, passfile
from colonnade.database.shared_memory import remove_shared_memory, segment_of
from colonnade.database.tools import NICENESS, Toolbox
from colonnade.spec.model import BackupSpec, DatabaseSpec

OUTPUT_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where things are and as whom they run."""

    spec: DatabaseSpec
    backup: BackupSpec
    paths: DatabasePaths
    storage: DirectoryStorage
    binaries: Binaries
    tools: Toolbox
    secrets: Secrets = field(repr=False)
    clock: Clock
    purpose: Literal["verify", "restore"]
    """Of the servers that are started: their logs, sockets and scratch directories are apart."""

    @property
    def credentials(self) -> Credentials | None:
        return self.tools.credentials

    @property
    def owner(self) -> tuple[int, int] | None:
        credentials = self.credentials
        return (credentials.user_id, credentials.group_id) if credentials else None

    @property
    def user_id(self) -> int:
        return self.credentials.user_id if self.credentials else os.getuid()

    @property
    def server_log(self) -> Path:
        return self.paths.logs / f"db-{self.purpose}.log"

    @property
    def socket_port(self) -> int:
        """Names the socket only; nodes have ports from 15000 on."""
        return 6543 if self.purpose == "verify" else 6544

    @property
    def dump(self) -> str:
        """The scratch directory for looking at WAL."""
        return f"{self.purpose}-dump"

    @property
    def scratch(self) -> Path:
        """For directories that nobody misses; ours, what is in it is the servers' user's."""
        return self.paths.root / "scratch"


async def open_workplace(
    spec: DatabaseSpec,
    paths: DatabasePaths,
    credentials: Credentials | None,
    base_env: Mapping[str, str],
    clock: Clock,
    *,
    purpose: Literal["verify", "restore"] = "verify",
) -> Workplace:
    """Find the programs and make the directories. Raises HostError; SpecError is for the caller (no [backup])."""
    if spec.backup is None:
        raise HostError(
            "no backups are declared", subject="database.backup", hint="add [database.backup] to colonnade.toml"
        )
    directory = Path(spec.backup.directory)
    prepare_place(directory, credentials)
    binaries = await find_binaries(credentials)
    env = {
        **base_env,
        "PATH": f"{binaries.directory}:/usr/bin:/bin",
        "LC_ALL": "C",
        "TZ": "UTC0",
        "PGPASSFILE": str(passfile(paths.root)),
    }
    tools = Toolbox(binaries.directory, env, paths.logs, binaries.major, credentials)
    secrets = load_or_make_secrets(paths.root, credentials)
    storage = DirectoryStorage(directory, credentials)
    return Workplace(spec, spec.backup, paths, storage, binaries, tools, secrets, clock, purpose)


async def new_scratch(work: Workplace, name: str) -> Path:
    """An empty directory for the servers' user; whatever an interrupted work left there is ended and removed."""
    place = work.scratch / name
    await remove_scratch(work, name)
    make_directory(work.scratch, mode=0o711 if work.credentials else 0o700)
    make_directory(place, mode=0o700, owner=work.owner)
    return place


async def remove_scratch(work: Workplace, name: str) -> None:
    await remove_tree(work.scratch / name)


async def remove_tree(place: Path) -> None:
    """Remove a directory with a server of ours in it, processes and shared memory too. Raises HostError."""
    if not await asyncio.to_thread(place.exists):
        return
    segment = segment_of(place)
    if await end_processes((place,)):
        remove_shared_memory(segment)
    try:
        await asyncio.to_thread(shutil.rmtree, place)
    except OSError as error:
        raise disk_error(error, place) from error


async def output_of(work: Workplace, program: str, arguments: Sequence[str], *, cwd: Path, deadline_s: float) -> str:
    """What a short program says, both streams; its exit code does not count. Runs behind everything else."""
    log = work.paths.logs / f"db-{program}-{work.purpose}.log"
    log.unlink(missing_ok=True)
    argv = (str(work.binaries.directory / program), *arguments)
    process = processes.start(Command(argv, cwd, work.tools.env, log, work.credentials))
    yield_processor(process.pid, NICENESS)
    try:
        if not await process.wait(deadline_s):
            raise DriverError(f"took longer than {deadline_s:g} s", subject=program, hint=f"read {log}")
        return log.read_text(errors="replace")[:OUTPUT_BYTES_MAX]
    finally:
        await processes.kill(process)
        process.close()
