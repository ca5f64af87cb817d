"""Asking PostgreSQL whether it would start with a configuration, before anything that runs is restarted with it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from colonnade.core.errors import DriverError, SpecError
from colonnade.core.files import make_directory
from colonnade.database.foreign import write_foreign
from colonnade.database.tools import Toolbox

CHECK_S_MAX = 10.0


async def check_settings(text: str, root: Path, tools: Toolbox) -> None:
    """Raises SpecError with the server's own words when it would refuse `text` as its postgresql.conf."""
    credentials = tools.credentials
    owner = (credentials.user_id, credentials.group_id) if credentials else None
    place = root / "settings-check"
    make_directory(place, mode=0o700, owner=owner)
    try:
        write_foreign(place / "postgresql.conf", text, owner)
        # Printing one setting reads and checks them all.
        await tools.run("postgres", ["-D", str(place), "-C", "shared_buffers"], cwd=place, deadline_s=CHECK_S_MAX)
    except DriverError as error:
        raise SpecError(
            f"PostgreSQL refuses these settings: {error.message}",
            subject="database.parameters",
            hint="correct them in colonnade.toml; nothing was restarted",
        ) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
