"""What changes from one version to another, and for whom: keys of the declaration, files of the code, env files. Pure.

A file belongs to a service when it lies in the service's own directory (`path`), or in no other service's own one. So
with a directory for each service an edit concerns one of them, and what lies beside those directories concerns all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colonnade.spec.difference import Difference
from colonnade.spec.effects import Effect
from colonnade.spec.model import Spec
from colonnade.spec.place import path_inside
from colonnade.system.snapshot import Entry

NAMES_SHOWN = 3
"""Files named in a sentence; the others are counted."""


@dataclass(frozen=True, slots=True)
class FileChanges:
    """Paths relative to the declaration's directory, each list in order."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.added) + len(self.changed) + len(self.removed)

    def __str__(self) -> str:
        """`4 files (api.py, new.py added, old.py removed and 1 more)`."""
        names = [
            *self.changed,
            *(f"{path} added" for path in self.added),
            *(f"{path} removed" for path in self.removed),
        ]
        more = len(names) - NAMES_SHOWN
        shown = ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return f"{len(names)} file{'' if len(names) == 1 else 's'} ({shown})"


@dataclass(frozen=True, slots=True)
class Changes:
    """From one version to the next. `files` and `environments` name only services that are in both."""

    spec: Difference = field(default_factory=Difference)
    files: Mapping[str, FileChanges] = field(default_factory=dict)
    environments: tuple[str, ...] = ()
    """Services whose env file has other content."""
    services: tuple[str, ...] = ()
    """All that are in both."""

    @property
    def is_empty(self) -> bool:
        return self.spec.is_empty and not self.files and not self.environments

    @property
    def rollout(self) -> frozenset[str]:
        """Services of which every replica has to be started anew."""
        keys = self.spec.with_effect(Effect.ROLLOUT)
        named = {change.service for change in keys} - {""}
        everybody = self.services if any(not change.service for change in keys) else ()
        return frozenset({*named, *everybody, *self.files, *self.environments})

    def sentence(self) -> str:
        """What changed, for one line."""
        parts = [f"new service {name}" for name in self.spec.added]
        parts += [f"no service {name} any more" for name in self.spec.removed]
        parts += [f"{' and '.join(names)}: {files}" for names, files in self.files_by_service()]
        parts += [f"{name}: env file changed" for name in self.environments]
        parts += [str(change) for change in self.spec.keys[:NAMES_SHOWN]]
        more = len(self.spec.keys) - NAMES_SHOWN
        return "; ".join([*parts, f"{more} more keys"] if more > 0 else parts) or "nothing changed"

    def files_by_service(self) -> list[tuple[list[str], FileChanges]]:
        """Services with their files; those that share a directory have the same ones and are named together."""
        together: dict[FileChanges, list[str]] = {}
        for name, files in self.files.items():
            together.setdefault(files, []).append(name)
        return [(names, files) for files, names in together.items()]

    def as_json(self) -> dict[str, Any]:
        return {
            "added_services": list(self.spec.added),
            "removed_services": list(self.spec.removed),
            "keys": [
                {"key": c.key, "service": c.service, "old": c.old, "new": c.new, "effect": c.effect.name.lower()}
                for c in self.spec.keys
            ],
            "files": {
                name: {"added": list(files.added), "changed": list(files.changed), "removed": list(files.removed)}
                for name, files in self.files.items()
            },
            "env_files": list(self.environments),
            "rollout": sorted(self.rollout),
        }


def own_places(spec: Spec, directory: Path) -> dict[str, str | None]:
    """Where each service's own directory is, relative to `directory`: "." for all of it, None for outside of it."""
    base = os.path.normpath(directory)
    return {
        name: path_inside(os.path.normpath(os.path.join(base, service.path)), base)
        for name, service in spec.services.items()
    }


def files_of(service: str, entries: Mapping[str, Entry], places: Mapping[str, str | None]) -> dict[str, Entry]:
    """The files and links that belong to `service`; none for one that lies outside."""
    own = places[service]
    if own is None:
        return {}
    others = [place for name, place in places.items() if name != service and place not in (None, ".", own)]
    return {
        path: entry
        for path, entry in entries.items()
        if entry.kind != "directory"
        and ((is_below(path, own) and own != ".") or not any(is_below(path, str(other)) for other in others))
    }


def is_below(path: str, place: str) -> bool:
    return place == "." or path == place or path.startswith(place + "/")


def file_changes(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> FileChanges:
    """What differs between two sets of files: content, target, or whether it can be executed."""

    def told(entry: Entry) -> tuple[str, str, int]:
        return entry.kind, entry.content, entry.mode & 0o100

    return FileChanges(
        added=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(path for path in new.keys() & old.keys() if told(old[path]) != told(new[path]))),
        removed=tuple(sorted(old.keys() - new.keys())),
    )
