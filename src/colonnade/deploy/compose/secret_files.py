"""The files of `secrets/`: made once, and completed by later exports. The directory is closed to other users of the
host; the files in it are not, because the containers' user has to read them and Docker leaves them as they are."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from colonnade.core.files import disk_error, make_directory, write_durably
from colonnade.deploy.compose.plan import (
    DATABASE_PASSWORD_SECRET,
    DATABASE_READ_URL_SECRET,
    DATABASE_URL_SECRET,
    env_secret,
)
from colonnade.spec.derive import DATABASE, own_database
from colonnade.spec.load import LoadedSpec

NAME = "secrets"
PASSWORD_BYTES = 24


def secret_contents(loaded: LoadedSpec, password: str) -> dict[str, str]:
    """By name; `password` is the database's, where that is ours."""
    contents: dict[str, str] = {}
    database = loaded.spec.database
    if (own := own_database(loaded.spec)) is not None:
        contents[DATABASE_PASSWORD_SECRET] = password
        user = f"{own.name}:{quote(password, safe='')}"
        contents[DATABASE_URL_SECRET] = f"postgresql://{user}@{DATABASE}:5432/{own.name}"
    elif database is not None:
        contents[DATABASE_URL_SECRET] = database.url
        contents |= {DATABASE_READ_URL_SECRET: database.read_url} if database.read_url else {}
    for name, service in loaded.spec.services.items():
        if service.env_file:
            variables = loaded.environments.get(name, {})
            of_file = {key: value for key, value in variables.items() if key not in service.env}
            contents[env_secret(name)] = json.dumps(of_file)
    return contents


def write_secrets(directory: Path, loaded: LoadedSpec) -> list[Path]:
    """Make or complete `directory`/secrets; gives what was written. A password that is there stays: the database
    knows it. Raises HostError."""
    place = directory / NAME
    known = place / DATABASE_PASSWORD_SECRET
    try:
        password = known.read_text(encoding="utf-8").strip() if known.is_file() else ""
    except OSError as error:
        raise disk_error(error, known) from error
    contents: Mapping[str, str] = secret_contents(loaded, password or secrets.token_urlsafe(PASSWORD_BYTES))
    if not contents:
        return []
    make_directory(place, mode=0o700)
    written = []
    for name, content in contents.items():
        path = place / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            write_durably(path, content, mode=0o644)
            written.append(path)
    return written
