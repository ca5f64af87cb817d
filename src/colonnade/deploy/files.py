"""Exported files on the disk: all or none of them, and never over somebody's work.

Beside what it wrote an export leaves a list with the digest of each file. A file that is on the list as it stands is
ours and may be replaced; any other was made or changed by somebody, and stays unless they say otherwise.
"""

from __future__ import annotations

import enum
import hashlib
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from colonnade.core.errors import Bug, HostError
from colonnade.core.files import disk_error, read_json, write_durably, write_json_durably

LIST_NAME = ".colonnade-export.json"
"""In the directory that was exported to: who wrote which file, and its digest then. Several exports may share one."""

TOLD_MAX = 10
"""Names in one message; a refusal that fills the screen is not read."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """`path` is relative, with slashes; what holds a secret gets mode 0o600."""

    path: str
    content: str
    mode: int = 0o644

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise Bug("is no path inside of an export", subject=self.path)


class Outcome(enum.Enum):
    WROTE = "wrote"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    """Of an earlier export, and this one has no such file."""
    LEFT = "left"
    """… but somebody has changed it since."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was done with one file."""

    outcome: Outcome
    path: Path


def write_export(directory: Path, export: str, files: Sequence[ExportedFile], *, is_forced: bool) -> tuple[Told, ...]:
    """Make `directory` hold what the export named `export` made, and say what that meant for each file.

    Raises HostError, with nothing written, when a file is there that no export wrote, or that was changed since;
    with `is_forced` it is replaced. Files of the same export's earlier run that are not among these are removed.
    """
    known = _read_list(directory)
    names = [file.path for file in files]
    if len(set(names)) != len(names) or LIST_NAME in names:
        raise Bug(f"export {export} has two files of one name", subject=str(directory))
    outcomes = {file.path: _outcome(directory / file.path, file, known) for file in files}
    foreign = [name for name, outcome in outcomes.items() if outcome is None]
    if foreign and not is_forced:
        shown = ", ".join(foreign[:TOLD_MAX]) + (" …" if len(foreign) > TOLD_MAX else "")
        raise HostError(
            f"would overwrite what it did not write, or what was changed since: {shown}",
            subject=str(directory),
            hint="choose another directory with --output, or say --force",
        )
    told = [_write(directory, file, outcomes[file.path] or Outcome.REPLACED) for file in files]
    told += _remove_stale(directory, export, set(names), known)
    listed = {name: entry for name, entry in known.items() if entry["export"] != export and name not in names}
    listed |= {file.path: {"export": export, "sha256": _digest(file.content.encode())} for file in files}
    if listed != known:
        write_json_durably(directory / LIST_NAME, {"files": listed})
    return tuple(told)


def _outcome(path: Path, file: ExportedFile, known: Mapping[str, Any]) -> Outcome | None:
    """What writing would mean; None when it would destroy something."""
    content = _content(path)
    if content is None:
        return Outcome.WROTE
    if content == file.content.encode():
        return Outcome.UNCHANGED if stat.S_IMODE(path.stat().st_mode) == file.mode else Outcome.REPLACED
    entry = known.get(file.path)
    return Outcome.REPLACED if entry is not None and entry["sha256"] == _digest(content) else None


def _content(path: Path) -> bytes | None:
    """None when nothing is there. Raises HostError for a directory, a link (which may lead anywhere), and the like."""
    try:
        if not path.is_symlink() and not path.exists():
            return None
        if path.is_symlink() or not path.is_file():
            raise HostError(
                "is no ordinary file, and would have to become one",
                subject=str(path),
                hint="move it away, or choose another directory with --output",
            )
        return path.read_bytes()
    except OSError as error:
        raise disk_error(error, path) from error


def _write(directory: Path, file: ExportedFile, outcome: Outcome) -> Told:
    path = directory / file.path
    if outcome is not Outcome.UNCHANGED:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, path.parent) from error
        write_durably(path, file.content, mode=file.mode)
    return Told(outcome, path)


def _remove_stale(directory: Path, export: str, names: set[str], known: Mapping[str, Any]) -> Iterable[Told]:
    for name, entry in sorted(known.items()):
        path = directory / name
        if entry["export"] != export or name in names or path.is_symlink() or not path.is_file():
            continue
        if entry["sha256"] != _digest(path.read_bytes()):
            yield Told(Outcome.LEFT, path)
            continue
        try:
            path.unlink()
        except OSError as error:
            raise disk_error(error, path) from error
        yield Told(Outcome.REMOVED, path)


def _read_list(directory: Path) -> dict[str, Any]:
    """Only what has the form that we write: the list may have been edited, and names files to remove."""
    value = read_json(directory / LIST_NAME)
    entries = value.get("files") if value is not None else None
    if not isinstance(entries, dict):
        return {}
    return {name: entry for name, entry in entries.items() if _is_entry(name, entry)}


def _is_entry(name: str, entry: object) -> bool:
    path = PurePosixPath(name)
    is_inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return is_inside and isinstance(entry, dict) and {"export", "sha256"} <= entry.keys()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
