"""A copy of an application that a drill may break: its files, and its declaration with what must not be shared changed.

Everything that is data of the application comes along, SQLite databases and `[system] shared` too: the drill writes,
and what it writes must not reach the original. Only what was installed (Python environments, node_modules) is linked
to. Starts nothing. Read next: `instance`, which starts the copy.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.core.errors import HostError
from colonnade.core.files import disk_error
from colonnade.spec.load import LoadedSpec
from colonnade.spec.place import path_inside
from colonnade.system.snapshot import (
    BYTES_MAX,
    ENVIRONMENT_MARKS,
    LEFT_OUT,
    LEFT_OUT_ENDINGS,
    kept_target,
    largest_of,
)

BACKUPS = "backups"
"""Where a copy keeps its backups when the original keeps them outside of its directory."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """The declaration of the copy; `notes` are sentences on what is not as in the original."""

    tables: Mapping[str, Any]
    notes: tuple[str, ...]


def private_declaration(tables: Mapping[str, Any], loaded: LoadedSpec) -> Declaration:
    """The tables of the original's file, changed where two systems would get into each other's way."""
    changed: dict[str, Any] = copy.deepcopy(dict(tables))
    notes = []
    changed.setdefault("system", {}).setdefault("name", loaded.spec.system.name)
    for name, service in changed.get("services", {}).items():
        for key in ("path", "env_file"):
            if service.get(key) and is_outside(loaded.directory, service[key]):
                service[key] = os.path.abspath(loaded.directory / service[key])
                if key == "path":
                    notes.append(f"{name} lies outside of the declaration's directory: it ran from there, uncopied")
        if service.pop("rate_limit", None) is not None:
            notes.append(f"the rate limit of {name} was lifted: all load comes from one address")
    changed.pop("prometheus", None)  # nobody watches a copy for long
    changed.get("dashboard", {}).pop("listen", None)  # the original's: the copy chooses a port of its own
    backup = changed.get("database", {}).get("backup")
    if backup is not None and is_outside(loaded.directory, backup.get("directory", BACKUPS)):
        backup["directory"] = BACKUPS
        notes.append("backups went into the copy's own directory, not to where the declaration has them")
    return Declaration(changed, tuple(notes))


def is_outside(directory: Path, words: str) -> bool:
    """Whether a path of the declaration leads out of its directory."""
    return path_inside(os.path.normpath(directory / words), os.path.normpath(directory)) is None


def copy_application(source: Path, target: Path, left_out: Collection[Path] = ()) -> tuple[str, ...]:
    """Copy what is below `source`, with owners and permissions, but version control, caches, state and `left_out`.

    `target` must not be there. Returns the paths that could not be read, so that the application cannot read them
    either. Raises HostError when there is too much, or no room for it.
    """
    try:
        # By inode: the scratch directory may lie in the project itself, and be called by another path.
        work = _Copying(source, frozenset(map(_inode, left_out)))
        work.directory(source, target)
    except OSError as error:
        raise disk_error(error, target) from error
    return tuple(work.unreadable)


class _Copying:
    def __init__(self, root: Path, left_out: frozenset[tuple[int, int]]) -> None:
        self._root = root
        self._left_out = left_out
        self._weights: dict[str, int] = {}
        self._bytes_total = 0
        self.unreadable: list[str] = []

    def directory(self, source: Path, target: Path) -> None:
        target.mkdir(mode=0o700)
        for item in sorted(source.iterdir()):
            if not self._is_left_out(item):
                try:
                    self._one(item, target / item.name)
                except PermissionError:
                    self.unreadable.append(str(item.relative_to(self._root)))
        _set_access(source, target)

    def _one(self, item: Path, target: Path) -> None:
        path = str(item.relative_to(self._root))
        if is_installed(item):
            target.symlink_to(item)
        elif item.is_symlink():
            target.symlink_to(kept_target(os.readlink(item), path, self._root))
        elif item.is_dir():
            self.directory(item, target)
        elif item.is_file():  # a socket, a pipe or a device has no copy
            self._weigh(path, item.stat().st_size)
            shutil.copyfile(item, target)
            _set_access(item, target)

    def _is_left_out(self, item: Path) -> bool:
        return item.name in LEFT_OUT or item.name.endswith(LEFT_OUT_ENDINGS) or _inode(item) in self._left_out

    def _weigh(self, path: str, size_bytes: int) -> None:
        self._weights[path] = size_bytes
        self._bytes_total += size_bytes
        if self._bytes_total > BYTES_MAX:
            raise HostError(
                f"has over {BYTES_MAX / 1e6:.0f} MB of files, too many to copy for a drill; "
                f"most is in {', '.join(largest_of(self._weights))}",
                subject=str(self._root),
                hint="drill a checkout of the code with a small set of data",
            )


def _inode(path: Path) -> tuple[int, int]:
    about = path.lstat()
    return about.st_dev, about.st_ino


def _set_access(source: Path, target: Path) -> None:
    if os.geteuid() == 0:
        about = source.stat()
        os.chown(target, about.st_uid, about.st_gid)
    shutil.copystat(source, target)


def is_installed(path: Path) -> bool:
    """A Python environment, or node_modules: large, tied to its path, and nothing that an application writes to."""
    if path.is_symlink() or not path.is_dir():
        return False
    return path.name == "node_modules" or any((path / mark).exists() for mark in ENVIRONMENT_MARKS)


def toml_text(tables: Mapping[str, Any]) -> str:
    """The tables as TOML, each key of the top on a line: for programs, not for people."""
    return "".join(f"{_quoted(key)} = {_value(value)}\n" for key, value in tables.items())


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case int() | float():
            return repr(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            return f"{{ {', '.join(f'{_quoted(key)} = {_value(entry)}' for key, entry in value.items())} }}"
        case _:
            raise TypeError(f"no declaration holds a {type(value).__name__}")


def _quoted(text: str) -> str:
    """A basic string of TOML: quotes, backslashes and control characters escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() or ord(c) > 0x9F else f"\\u{ord(c):04x}" for c in escaped) + '"'
