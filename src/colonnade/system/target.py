"""What a command is about, from the options that every command has. Reads nothing, so that no command waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from colonnade.spec import FILE_NAME
from colonnade.system.paths import STATE_DIRECTORY_NAME, StatePaths


@dataclass(frozen=True, slots=True)
class Target:
    """What a command is about: the declaration's file or import string, and the state directory that goes with it."""

    directory: Path
    file: Path | None
    app: str
    paths: StatePaths


def find_target(file: Path | None, app: str, state_directory: Path | None) -> Target:
    """From the options every command has. Looks at no file's content."""
    path = file if file is not None else Path.cwd()
    if path.is_dir():
        path = path / FILE_NAME
    directory = Path.cwd() if app else path.absolute().parent
    root = state_directory.absolute() if state_directory else directory / STATE_DIRECTORY_NAME
    return Target(directory, None if app else path.absolute(), app, StatePaths(root))
