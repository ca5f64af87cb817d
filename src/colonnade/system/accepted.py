"""The declaration a system runs by: a private copy taken at `up`, so that a controller that restarts in the middle of
somebody's edit goes on with what was accepted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from colonnade.core.errors import HostError, SpecError
from colonnade.core.files import read_json, write_durably, write_json_durably
from colonnade.spec.detect import Detected
from colonnade.spec.load import LoadedSpec, load_spec, spec_for_app
from colonnade.spec.syntax import parse_listen
from colonnade.system.database_changes import with_settings
from colonnade.system.development import for_development
from colonnade.system.paths import StatePaths


@dataclass(frozen=True, slots=True)
class Accepted:
    """What `up` took: a file's text, or the import string of `up module:app`; and what is already known of it."""

    directory: Path
    source: str
    """Path of the file, for messages; empty for an import string."""
    app: str = ""
    listen: str = ""
    """Overrides [gateway] listen (`up --listen`)."""
    applications: dict[str, Detected] | None = None
    """What the probe found at the start, so that an adoption does not import the user's code again."""
    database: dict[str, Any] | None = None
    """Settings of [database] that were changed while it ran, by their names in Python."""
    was_running: bool = False
    """The system was up once: a controller that starts now adopts, and its failure does not end the system."""
    is_reloading: bool = False
    """`up --reload`: one replica of each service, run from the directory itself, anew whenever its code changes."""


def write_accepted(paths: StatePaths, accepted: Accepted, text: str | None) -> None:
    """`text` is the file's content, None to leave the copy as it is."""
    if text is not None:
        write_durably(paths.accepted, text, mode=0o600)
    write_json_durably(
        paths.accepted_about,
        {
            "directory": str(accepted.directory),
            "source": accepted.source,
            "app": accepted.app,
            "listen": accepted.listen,
            "was_running": accepted.was_running,
            "is_reloading": accepted.is_reloading,
            "database": accepted.database,
            "applications": {
                name: {"kind": app.kind, "target": app.target, "factory": app.factory}
                for name, app in (accepted.applications or {}).items()
            },
        },
        mode=0o600,
    )


def read_accepted(paths: StatePaths) -> Accepted | None:
    value: dict[str, Any] | None = read_json(paths.accepted_about)
    if value is None:
        return None
    try:
        return Accepted(
            Path(value["directory"]),
            value["source"],
            value["app"],
            value["listen"],
            {name: Detected(**app) for name, app in value["applications"].items()},
            value.get("database"),
            value["was_running"],
            value.get("is_reloading", False),
        )
    except (KeyError, TypeError) as error:
        raise HostError(
            f"is not a record of ours ({error})", subject=str(paths.accepted_about), hint="remove it, then `up` again"
        ) from error


def load_accepted(paths: StatePaths, accepted: Accepted) -> LoadedSpec:
    """The declaration again, checked as at `up`."""
    if accepted.app:
        loaded = spec_for_app(accepted.app, directory=accepted.directory)
    else:
        loaded = load_spec(paths.accepted, directory=accepted.directory)
    if accepted.database and loaded.spec.database is not None:
        database = with_settings(loaded.spec.database, accepted.database)
        loaded = replace(loaded, spec=loaded.spec.model_copy(update={"database": database}))
    if accepted.is_reloading:
        loaded = for_development(loaded)
    return listening_on(loaded, accepted.listen)


def listening_on(loaded: LoadedSpec, listen: str) -> LoadedSpec:
    """The declaration with another [gateway] listen; itself when there is none. Raises SpecError for a wrong one."""
    if not listen:
        return loaded
    try:
        parse_listen(listen)
    except ValueError as error:
        raise SpecError(
            f"{error}, got {listen!r}", subject="--listen", hint="for example `colonnade up --listen 127.0.0.1:9000`"
        ) from None
    gateway = loaded.spec.gateway.model_copy(update={"listen": listen})
    return replace(loaded, spec=loaded.spec.model_copy(update={"gateway": gateway}))
