"""What a declaration points at on this machine: directories, env files, variables of the environment.

Reads them, and says what is missing. Never changes anything, never shows a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from colonnade.spec.check import check_variables
from colonnade.spec.check_database import check_url, substitute
from colonnade.spec.envfile import EnvFileError, parse_env
from colonnade.spec.model import AlertsSpec, DatabaseSpec, ServiceSpec, Spec
from colonnade.spec.place import path_inside, place_of
from colonnade.spec.problem import KeyPath, Problem, nearest


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found. `environments` has, for each service, its env file with its `env` on top."""

    spec: Spec
    environments: Mapping[str, Mapping[str, str]] = field(repr=False)
    problems: tuple[Problem, ...]


def look_around(spec: Spec, directory: Path, environ: Mapping[str, str], *, origin: Path | None = None) -> Surroundings:
    """Read what `spec` points at, relative to `directory`; its database URLs come back filled in from `environ`.
    `origin`: the original, where `directory` is a copy of it."""
    problems = _check_shared(spec, directory) if origin is None else []
    environments: dict[str, Mapping[str, str]] = {}
    for name, service in spec.services.items():
        place = place_of(service.path, directory, origin)
        problems += _check_is_directory(
            ("services", name, "path"), place, service.path, origin or directory, "application"
        )
        problems += _check_static(name, service, place, origin or directory)
        key: KeyPath = ("services", name, "env_file")
        from_file, found = _read_env_file(key, service.env_file, place_of(service.env_file, directory, origin))
        problems += found or check_variables(key, from_file, service)
        environments[name] = {**from_file, **service.env}
    if spec.database is not None:
        database, found = _fill_in(spec.database, environ)
        database = _place_backups(database, origin or directory)
        spec = spec.model_copy(update={"database": database})
        problems += found
    alerts = spec.alerts
    from_file, found = _read_env_file(
        ("alerts", "env_file"), alerts.env_file, place_of(alerts.env_file, directory, origin)
    )
    problems += found
    if not found:
        alerts, found = _fill_in_webhooks(alerts, {**environ, **from_file})
        problems += found
    return Surroundings(spec.model_copy(update={"alerts": alerts}), environments, tuple(problems))


def _check_shared(spec: Spec, directory: Path) -> list[Problem]:
    """What is not there cannot be linked to, and made later it would be made in a copy that is read-only."""
    return [
        Problem(
            ("system", "shared", index),
            f"there is no file or directory {directory / path}",
            hint=f"make it (`mkdir -p '{directory / path}'`), or take it out",
        )
        for index, path in enumerate(spec.system.shared)
        if not os.path.lexists(directory / path)
    ]


def _check_static(name: str, service: ServiceSpec, place: Path, base: Path) -> list[Problem]:
    """Each directory of static files is there, and in what a version is a copy of, if the service is, or named from the
    root. `place` is where the service is, `base` the declaration's directory."""
    if not place.is_dir():
        return []  # told already
    problems = []
    for route, files in service.static.items():
        key = ("services", name, "static", route)
        is_versioned = is_inside(base / service.path, base) and not Path(files).is_absolute()
        if is_versioned and not is_inside(base / service.path / files, base):
            hint = f'give it from the root, "{os.path.normpath(place / files)}", or move it beside the code'
            problems.append(Problem(key, f'"{files}" leads out of {base}', hint=hint))
        else:
            problems += _check_is_directory(key, place / files, files, place, "files")
    return problems


def is_inside(path: Path, directory: Path) -> bool:
    """Whether the words of `path` stay in `directory`; what links there lead to is another matter."""
    return path_inside(os.path.normpath(path), os.path.normpath(directory)) is not None


def _check_is_directory(key: KeyPath, path: Path, words: str, base: Path, what: str) -> list[Problem]:
    """Nothing when `path` is a directory, which the declaration calls `words` and means from `base`."""
    try:
        if path.is_dir():
            return []
        if path.exists():
            return [Problem(key, f"{path} is not a directory", hint=f"give the directory that holds the {what}")]
        match = nearest(path.name, sorted(other.name for other in path.parent.iterdir() if other.is_dir()))
    except (OSError, ValueError):
        match = None  # the parent is missing or closed to us as well: then there is nothing to suggest
    hint = f'did you mean "{Path(words).parent / match}"?' if match else f"it is looked for from {base}"
    return [Problem(key, f"there is no directory {path}", hint=hint)]


def _read_env_file(key: KeyPath, declared: str, path: Path) -> tuple[dict[str, str], list[Problem]]:
    """The variables of an env file, which the declaration calls `declared` (empty: there is none); none, with the
    reason, when it cannot be used."""
    if not declared:
        return {}, []
    try:
        mode = path.stat().st_mode
        if mode & 0o007:
            return {}, [
                Problem(
                    key,
                    f"{path} can be read or changed by every user",
                    hint=f"run `chmod 600 {path}`: it holds secrets",
                )
            ]
        values = parse_env(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, [Problem(key, f"there is no file {path}", hint="write it (KEY=value lines), or take `env_file` out")]
    except EnvFileError as error:
        return {}, [Problem(key, f"{path}, {error}", hint="lines are KEY=value, values with blanks in quotes")]
    except UnicodeDecodeError:
        return {}, [Problem(key, f"{path} is not UTF-8 text", hint="save it as UTF-8")]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        return {}, [Problem(key, f"{path} cannot be read: {reason.lower()}", hint=f"look at it with `ls -l {path}`")]
    return values, []


def _place_backups(database: DatabaseSpec, directory: Path) -> DatabaseSpec:
    """With the backups' directory absolute: relative to the declaration, wherever a copy of it is read."""
    if database.backup is None:
        return database
    place = os.path.normpath(directory.absolute() / Path(database.backup.directory).expanduser())
    return database.model_copy(update={"backup": database.backup.model_copy(update={"directory": place})})


def _fill_in(database: DatabaseSpec, environ: Mapping[str, str]) -> tuple[DatabaseSpec, list[Problem]]:
    problems: list[Problem] = []
    filled: dict[str, str] = {}
    for key, text in (("url", database.url), ("read_url", database.read_url)):
        filled[key], missing = substitute(text, environ)
        problems += [
            Problem(
                ("database", key),
                f"the variable {name} is not set in the environment",
                hint=f"set it where `colonnade up` runs, such as `export {name}=…`; a dollar itself is written $$",
            )
            for name in missing
        ]
        if text and not missing:
            problems += check_url(key, filled[key])
    given = {key: value for key, value in filled.items() if key in database.model_fields_set}
    return database.model_copy(update=given), problems


def _fill_in_webhooks(alerts: AlertsSpec, variables: Mapping[str, str]) -> tuple[AlertsSpec, list[Problem]]:
    """With what their variables stand for. Never shows an address: whoever has it may write there."""
    problems: list[Problem] = []
    webhooks = []
    for index, webhook in enumerate(alerts.webhooks):
        key: KeyPath = ("alerts", "webhooks", index, "url")
        url, missing = substitute(webhook.url, variables)
        problems += [
            Problem(
                key,
                f"the variable {name} is set neither in the environment nor in `env_file`",
                hint=f"set it where `colonnade up` runs, such as `export {name}=…`; a dollar itself is written $$",
            )
            for name in missing
        ]
        if not missing and not _is_web_address(url):
            problems.append(Problem(key, "is no address of the web", hint='for example "https://hooks.example.com/…"'))
        webhooks.append(webhook.model_copy(update={"url": url}))
    given = {"webhooks": webhooks} if "webhooks" in alerts.model_fields_set else {}
    return alerts.model_copy(update=given), problems


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
