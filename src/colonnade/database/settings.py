"""Settings that PostgreSQL itself has a say in: whether it would start with them, and what its data asks for."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from colonnade.core.errors import DriverError, SpecError
from colonnade.core.files import make_directory
from colonnade.database.foreign import write_foreign
from colonnade.database.tools import Toolbox

CHECK_S_MAX = 10.0

CONTROL_NAMES: Mapping[str, str] = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}
"""What pg_controldata calls them → the parameter."""


async def needed_by_data(directory: Path, tools: Toolbox) -> dict[str, int]:
    """The parameters that a standby may not have below what its data says the primary had, with those values.
    Raises DriverError when the control file cannot be read."""
    text = await tools.output("pg_controldata", ["-D", str(directory)], cwd=directory, deadline_s=CHECK_S_MAX)
    found = re.findall(r"^(\w+) setting: +(\d+)$", text, re.MULTILINE)
    return {CONTROL_NAMES[name]: int(value) for name, value in found if name in CONTROL_NAMES}


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
