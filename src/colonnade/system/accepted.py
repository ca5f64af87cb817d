"""What `up` took, apart from the version itself: where it came from, and what was found out or changed since. By it a
controller that restarts in the middle of somebody's edit goes on with what was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from colonnade.core.errors import HostError, SpecError
from colonnade.core.files import read_json, write_json_durably
from colonnade.spec.detect import Detected
from colonnade.spec.load import LoadedSpec
from colonnade.spec.syntax import parse_listen
from colonnade.system.database_settings import with_settings
from colonnade.system.development import for_development
from colonnade.system.paths import StatePaths


@dataclass(frozen=True, slots=True)
class Accepted:
    """Which file or import string the versions of this system come from; and what is already known of them."""

    directory: Path
    source: str
    """Path of the file; empty for an import string."""
    app: str = ""
    listen: str = ""
    """Overrides [gateway] listen (`up --listen`)."""
    applications: Mapping[int, Mapping[str, Detected]] = field(default_factory=dict)
    """By version and service what the probe found, so that nobody's code is imported again at an adoption."""
    database: dict[str, Any] | None = None
    """Settings of [database] that were changed while it ran, by their names in Python."""
    was_running: bool = False
    """The system was up once: a controller that starts now adopts, and its failure does not end the system."""
    is_reloading: bool = False
    """`up --reload`: one replica of each service, run from the directory itself, anew whenever its code changes."""
    detours: str = ""
    """`up --detours`: the directory of ways that somebody put between the parts (`detours.py`); empty without."""
    prometheus: str = ""
    """`up --with prometheus`: the program; empty without."""

    def application(self, version: int, service: str) -> Detected | None:
        return self.applications.get(version, {}).get(service)


def write_accepted(paths: StatePaths, accepted: Accepted) -> None:
    write_json_durably(
        paths.accepted,
        {
            "directory": str(accepted.directory),
            "source": accepted.source,
            "app": accepted.app,
            "listen": accepted.listen,
            "was_running": accepted.was_running,
            "is_reloading": accepted.is_reloading,
            "detours": accepted.detours,
            "prometheus": accepted.prometheus,
            "database": accepted.database,
            "applications": {
                str(version): {
                    name: {"kind": app.kind, "target": app.target, "factory": app.factory}
                    for name, app in found.items()
                }
                for version, found in accepted.applications.items()
            },
        },
        mode=0o600,
    )


def read_accepted(paths: StatePaths) -> Accepted | None:
    value: dict[str, Any] | None = read_json(paths.accepted)
    if value is None:
        return None
    try:
        return Accepted(
            Path(value["directory"]),
            value["source"],
            value["app"],
            value["listen"],
            {
                int(version): {name: Detected(**app) for name, app in found.items()}
                for version, found in value["applications"].items()
            },
            value.get("database"),
            value["was_running"],
            value.get("is_reloading", False),
            value.get("detours", ""),
            value.get("prometheus", ""),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HostError(
            f"is not a record of ours ({error})", subject=str(paths.accepted), hint="remove it, then `up` again"
        ) from error


def as_accepted(loaded: LoadedSpec, accepted: Accepted) -> LoadedSpec:
    """A declaration with what was told beside it: another address at `up`, later settings of the database."""
    if accepted.database and loaded.spec.database is not None:
        database = with_settings(loaded.spec.database, accepted.database)
        loaded = replace(loaded, spec=loaded.spec.model_copy(update={"database": database}))
    if accepted.is_reloading:
        loaded = for_development(loaded)
    if accepted.prometheus:
        prometheus = loaded.spec.prometheus.model_copy(update={"enabled": True, "binary": accepted.prometheus})
        loaded = replace(loaded, spec=loaded.spec.model_copy(update={"prometheus": prometheus}))
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
