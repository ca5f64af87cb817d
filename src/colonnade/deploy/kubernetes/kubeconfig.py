"""The kubeconfig as kubectl reads it: KUBECONFIG may name several files, which lightkube does not read.

They are put together by kubectl's rule: of what several files say, the first counts; files that are not there are
passed over; a path in a file is relative to that file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lightkube import KubeConfig
from lightkube.core.exceptions import ConfigError

LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def find_kubeconfig(environ: Mapping[str, str]) -> KubeConfig | None:
    """By KUBECONFIG, else ~/.kube/config, else the account of the pod this runs in. Raises ConfigError."""
    files = [Path(name).expanduser() for name in environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    if len(files) < 2:
        return KubeConfig.from_env()
    there = [(file.absolute().parent, yaml.safe_load(file.read_text()) or {}) for file in files if file.is_file()]
    if not there:
        raise ConfigError(f"none of {', '.join(map(str, files))} is there")
    return KubeConfig.from_dict(merged(there))


def merged(contents: Sequence[tuple[Path, Mapping[str, Any]]]) -> dict[str, Any]:
    """One content of several, each with the directory of its file. Pure."""
    found: dict[str, Any] = {"current-context": None}
    for directory, content in contents:
        found["current-context"] = found["current-context"] or content.get("current-context") or None
        for name, inner in LISTS.items():
            entries = found.setdefault(name, {})
            for entry in content.get(name) or ():
                entries.setdefault(entry["name"], {"name": entry["name"], inner: _placed(entry[inner], directory)})
    return {**found, **{name: list(found[name].values()) for name in LISTS}}


def _placed(entry: Mapping[str, Any] | None, directory: Path) -> dict[str, Any]:
    """With paths that do not depend on where the file is; an absolute one stays."""
    return {key: str(directory / value) if key in PATHS and value else value for key, value in (entry or {}).items()}
