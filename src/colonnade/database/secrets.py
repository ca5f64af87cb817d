"""Generated passwords of the cluster's roles: made once, kept in files that nobody else reads.

`secrets.json` belongs to the controller; `pgpass` says the same in libpq's format to servers and tools, and belongs
to the user they run as. Passwords never appear in an argv, a log or a repr.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from colonnade.core.files import read_json, write_durably, write_json_durably
from colonnade.core.processes import Credentials

SUPERUSER = "colonnade"
REPLICATOR = "colonnade_replicator"


@dataclass(frozen=True, slots=True)
class Secrets:
    """One password per role; `application` is that of the role that owns the database."""

    superuser: str = field(repr=False)
    replicator: str = field(repr=False)
    application: str = field(repr=False)


def load_or_make_secrets(root: Path, credentials: Credentials | None) -> Secrets:
    """The secrets in `root`; made on the first call. Raises HostError when they cannot be written or read."""
    path = root / "secrets.json"
    stored = read_json(path)
    if stored is None:
        stored = {name: secrets.token_urlsafe(24) for name in ("superuser", "replicator", "application")}
        write_json_durably(path, stored, mode=0o600)
    found = Secrets(stored["superuser"], stored["replicator"], stored["application"])
    lines = f"*:*:*:{SUPERUSER}:{found.superuser}\n*:*:*:{REPLICATOR}:{found.replicator}\n"
    owner = (credentials.user_id, credentials.group_id) if credentials else None
    if not passfile(root).exists() or passfile(root).read_text() != lines:
        write_durably(passfile(root), lines, mode=0o600, owner=owner)
    return found


def passfile(root: Path) -> Path:
    return root / "pgpass"
