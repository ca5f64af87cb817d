"""The kubeconfig as kubectl reads it, which lightkube does not: KUBECONFIG may name several files, and files count
before the account of the pod.

They are put together by kubectl's rule: of what several files say, the first counts; files that are not there are
passed over; a path in a file is relative to that file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import yaml
from lightkube import KubeConfig
from lightkube.core.exceptions import ConfigError

DEFAULT = "~/.kube/config"
LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class _Entry(TypedDict, total=False):
    """One of a list; only what belongs to that list is looked at."""

    name: str
    cluster: dict[str, Any] | None
    user: dict[str, Any] | None
    context: dict[str, Any] | None


_Content = TypedDict(
    "_Content",
    {
        "current-context": str | None,
        "clusters": list[_Entry] | None,
        "users": list[_Entry] | None,
        "contexts": list[_Entry] | None,
    },
    total=False,
)
"""A file, as far as it is put together here; lightkube looks at what is in the entries."""


def find_kubeconfig(environ: Mapping[str, str]) -> KubeConfig:
    """By KUBECONFIG, else ~/.kube/config, else the account of the pod this runs in; empty parts of KUBECONFIG count as
    not said. Raises ConfigError, and OSError or UnicodeDecodeError for a file that cannot be read."""
    named = [Path(name).expanduser() for name in environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    files = [file for file in named or [Path(DEFAULT).expanduser()] if file.is_file()]
    if files:
        content = merged([(file.absolute().parent, _content(file)) for file in files])
        try:
            return KubeConfig.from_dict(content)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{', '.join(map(str, files))}: {error}") from error
    if named:
        raise ConfigError(f"none of {', '.join(map(str, named))} is there")
    try:
        return KubeConfig.from_service_account()
    except (ConfigError, KeyError) as error:
        raise ConfigError(f"KUBECONFIG names no file, {DEFAULT} is not there, and this is no pod") from error


def merged(contents: Sequence[tuple[Path, Mapping[str, Any]]]) -> dict[str, Any]:
    """One content of several, each with the directory of its file. Pure."""
    found: dict[str, Any] = {"current-context": None}
    for directory, content in contents:
        found["current-context"] = found["current-context"] or content.get("current-context") or None
        for name, inner in LISTS.items():
            entries = found.setdefault(name, {})
            for entry in content.get(name) or ():
                called = entry.get("name", "")
                entries.setdefault(called, {"name": called, inner: _placed(entry.get(inner), directory)})
    lists = {name: list(found[name].values()) for name in LISTS}
    # Without a cluster a context leads nowhere, and lightkube would refuse all others because of it.
    lists["contexts"] = [each for each in lists["contexts"] if each["context"].get("cluster")]
    return {**found, **lists}


def _content(file: Path) -> Mapping[str, Any]:
    try:
        return dict(msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")) or {}, _Content))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {error}") from error
    except yaml.YAMLError as error:
        # Not in its own words, which quote the line: it may hold a token.
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{file}{where}: this is not YAML") from None


def _placed(entry: Mapping[str, Any] | None, directory: Path) -> dict[str, Any]:
    """With paths that do not depend on where the file is; an absolute one stays."""
    placed = dict(entry or {})
    for key in PATHS:
        if isinstance(path := placed.get(key), str) and path:
            placed[key] = str(directory / path)
    match placed.get("exec"):
        # A bare name is looked for in PATH.
        case {"command": str(command), **more} if os.sep in command:
            placed["exec"] = {**more, "command": str(directory / command)}
    return placed
