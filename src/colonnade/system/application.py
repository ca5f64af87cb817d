"""What stands behind an import string, and the release command: the user's own code, run in processes of its own.

Their failures are told with the application's own words (its traceback, its last lines), not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from colonnade.core import processes
from colonnade.core.errors import AppError
from colonnade.core.files import tail_lines
from colonnade.core.processes import Command, Credentials
from colonnade.spec.detect import Detected, hint_for, probe_command, read_answer
from colonnade.spec.model import ServiceKind

PROBE_TIMEOUT_S = 60.0
"""For importing the application once; heavy ones load models."""

OUTPUT_BYTES_MAX = 256 * 1024
"""Of what an application prints at its import, the end: the answer, or the traceback."""


async def probe_application(
    service: str,
    import_string: str,
    kind: ServiceKind,
    directory: Path,
    env: Mapping[str, str],
    credentials: Credentials | None,
) -> Detected:
    """Import the application in a process like a replica's and see what it is. Raises AppError with its traceback."""
    command = probe_command(sys.executable, import_string, kind)
    try:
        exit_code, out, err = await _run_to_its_end(command, directory, env, credentials)
    except TimeoutError:
        raise AppError(
            f"importing {import_string} took longer than {PROBE_TIMEOUT_S:.0f} s",
            subject=f"services.{service}.app",
            hint="start slow work in the background, not at import",
        ) from None
    found = read_answer(out) if exit_code == 0 else None
    if found is None:
        told = err.strip()
        raise AppError(
            f"{import_string} cannot be imported",
            subject=f"services.{service}.app",
            hint=hint_for(told, python=sys.executable, directory=directory),
            detail=told,
        )
    return found


async def _run_to_its_end(
    argv: Sequence[str], directory: Path, env: Mapping[str, str], credentials: Credentials | None
) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of a short command. Into files, not pipes: a process that the application starts at
    its import and leaves running would hold a pipe open. Raises TimeoutError."""
    account: dict[str, object] = {}
    if credentials is not None:
        account = {"user": credentials.user_id, "group": credentials.group_id, "extra_groups": []}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=directory,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            **account,  # type: ignore[arg-type]
        )
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await process.wait()
        finally:
            # Too slow, or nobody waits for it any more, or it left others of its group behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return process.returncode, _end_of(out), _end_of(err)


def _end_of(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - OUTPUT_BYTES_MAX))
    return file.read().decode(errors="replace")


async def run_release(
    service: str,
    argv: Sequence[str],
    directory: Path,
    env: Mapping[str, str],
    credentials: Credentials | None,
    log_path: Path,
    timeout_s: float,
) -> None:
    """Run the release command to its end. Raises AppError with its last lines when it fails or takes too long."""
    process = processes.start(Command(list(argv), directory, env, log_path, credentials))
    try:
        if not await process.wait(timeout_s):
            raise _release_error(service, argv, f"did not end within {timeout_s:.0f} s", log_path)
        if process.exit_code != 0:
            raise _release_error(service, argv, f"failed with exit code {process.exit_code}", log_path)
    finally:
        await processes.kill(process)
        process.close()


def _release_error(service: str, argv: Sequence[str], what: str, log_path: Path) -> AppError:
    return AppError(
        f"the release command {what}: {' '.join(argv)}",
        subject=f"services.{service}.release",
        hint=f"no replica of it was started; the whole output is in {log_path}",
        detail="\n".join(tail_lines(log_path, 20)),
    )
