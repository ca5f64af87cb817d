"""What stands behind an import string, and the release command: the user's own code, run in processes of its own.

Their failures are told with the application's own words (its traceback, its last lines), not ours.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from colonnade.core import processes
from colonnade.core.errors import AppError
from colonnade.core.files import tail_lines
from colonnade.core.processes import Command, Credentials
from colonnade.spec.detect import Detected, hint_for, probe_command, read_answer
from colonnade.spec.model import ServiceKind

PROBE_TIMEOUT_S = 60.0
"""For importing the application once; heavy ones load models."""


async def probe_application(
    service: str,
    import_string: str,
    kind: ServiceKind,
    directory: Path,
    env: Mapping[str, str],
    credentials: Credentials | None,
) -> Detected:
    """Import the application in a process like a replica's and see what it is. Raises AppError with its traceback."""
    account: dict[str, object] = {}
    if credentials is not None:
        account = {"user": credentials.user_id, "group": credentials.group_id, "extra_groups": []}
    process = await asyncio.create_subprocess_exec(
        *probe_command(sys.executable, import_string, kind),
        cwd=directory,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        **account,  # type: ignore[arg-type]
    )
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            out, err = await process.communicate()
    except TimeoutError:
        raise AppError(
            f"importing {import_string} took longer than {PROBE_TIMEOUT_S:.0f} s",
            subject=f"services.{service}.app",
            hint="start slow work in the background, not at import",
        ) from None
    finally:
        if process.returncode is None:  # too slow, or nobody waits for it any more
            process.kill()
            await process.wait()
    found = read_answer(out.decode(errors="replace")) if process.returncode == 0 else None
    if found is None:
        told = err.decode(errors="replace").strip()
        raise AppError(
            f"{import_string} cannot be imported",
            subject=f"services.{service}.app",
            hint=hint_for(told, python=sys.executable, directory=directory),
            detail=told,
        )
    return found


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
        hint=f"nothing was started; its whole output is in {log_path}",
        detail="\n".join(tail_lines(log_path, 20)),
    )
