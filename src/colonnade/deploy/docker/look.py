"""What an image needs to know about the directory it is made from, and about the Python that runs here. Reads only."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from colonnade.core.errors import HostError, SpecError
from colonnade.core.files import disk_error
from colonnade.deploy.docker.names import tag_of
from colonnade.deploy.docker.pins import Installed
from colonnade.deploy.docker.services import services_json
from colonnade.deploy.files import LIST_NAME
from colonnade.spec.load import LoadedSpec
from colonnade.spec.place import path_inside
from colonnade.system.snapshot import ENVIRONMENT_MARKS, LEFT_OUT, Changing, OpenTree, Rules, take_snapshot, tree_digest

INCLUDES = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]*(\S+)", re.MULTILINE)
IMPORTS_CLIENT = re.compile(r"^\s*(?:from|import)\s+colonnade\.client\b", re.MULTILINE)

FILE_BYTES_MAX = 1_000_000
"""Source files that are larger are not looked into for imports."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """How one directory says what it needs. `kind`: the file that says it. Paths are relative to the declaration's."""

    kind: str
    files: tuple[str, ...]
    """What pip reads: the first, and what it includes. Empty when the requirements are in pyproject.toml."""
    text: str = ""
    """All of it together, or the dependencies of pyproject.toml, a line each."""
    lock: str = ""
    """The text of uv.lock beside it."""
    is_hashed: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """What was found."""

    requirements: tuple[Requirements, ...] = ()
    environments: tuple[str, ...] = ()
    """Virtual environments and node_modules: never part of an image."""
    exported: tuple[str, ...] = ()
    """Directories that an export wrote."""
    shared_directories: tuple[str, ...] = ()
    uses_client: bool = False
    tag: str = "1"


@dataclass(frozen=True, slots=True)
class Python:
    """The interpreter that runs here: what is drilled is what is deployed."""

    version: str
    installed: Mapping[str, Installed] = field(default_factory=dict)

    def version_of(self, name: str) -> str:
        return self.installed[name].version


def look_at_python() -> Python:
    installed = {
        str(canonicalize_name(one.metadata["Name"])): Installed(one.version, tuple(one.requires or ()))
        for one in metadata.distributions()
    }
    return Python(f"{sys.version_info.major}.{sys.version_info.minor}", installed)


def look_at(loaded: LoadedSpec, tag: str = "") -> Directory:
    """Look at the directory of a declaration. Raises SpecError or HostError when something cannot be read."""
    root = loaded.directory.resolve()
    if loaded.path is None:
        raise SpecError(
            "an image is made from a colonnade.toml", hint="write one with `colonnade init`", subject=str(root)
        )
    environments, exported, uses_client = [], [], False
    for path, names in _walk(root):
        relative = path.relative_to(root).as_posix()
        if path.name == "node_modules" or any(mark in names for mark in ENVIRONMENT_MARKS):
            environments.append(relative)
        elif LIST_NAME in names:
            exported.append(relative)
        else:
            uses_client = uses_client or any(_imports_client(path / name) for name in names if name.endswith(".py"))
    places = dict.fromkeys([root, *(loaded.directory_of(name) for name in loaded.spec.services)])
    inside = [place for place in places if path_inside(str(place), str(root)) is not None]
    shared = [path for path in loaded.spec.system.shared if (root / path).is_dir()]
    return Directory(
        requirements=tuple(found for place in inside if (found := _requirements(place, root)) is not None),
        environments=tuple(sorted(environments)),
        exported=tuple(sorted(exported)),
        shared_directories=tuple(shared),
        uses_client=uses_client,
        tag=tag or _tag(loaded, root, exported),
    )


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Directories with the names of their files, but nothing below what is no code."""
    for path, directories, names in os.walk(root):
        entries = sorted(names)
        yield Path(path), entries
        is_code = Path(path).name != "node_modules" and not any(
            mark in names for mark in (*ENVIRONMENT_MARKS, LIST_NAME)
        )
        is_root = Path(path) == root
        directories[:] = sorted(name for name in directories if name not in LEFT_OUT) if is_code or is_root else []


def _imports_client(path: Path) -> bool:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return False
        return IMPORTS_CLIENT.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False  # cannot be read: then the application cannot import it either


def _requirements(place: Path, root: Path) -> Requirements | None:
    """uv.lock with pyproject.toml, or requirements.txt, or the dependencies of pyproject.toml: whichever is there."""
    relative = PurePosixPath(place.relative_to(root).as_posix())
    pyproject, lock, plain = place / "pyproject.toml", place / "uv.lock", place / "requirements.txt"
    try:
        if lock.is_file() and pyproject.is_file():
            return Requirements("uv.lock", (), _dependencies(pyproject), lock.read_text(encoding="utf-8"))
        if plain.is_file():
            files = _with_included(relative / "requirements.txt", root)
            text = "\n".join((root / name).read_text(encoding="utf-8") for name in files)
            return Requirements("requirements.txt", files, text, is_hashed="--hash" in text)
        if pyproject.is_file() and (dependencies := _dependencies(pyproject)):
            return Requirements("pyproject.toml", (), dependencies)
    except OSError as error:
        raise disk_error(error, place) from error
    return None


def _dependencies(pyproject: Path) -> str:
    try:
        project = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise SpecError(str(error), subject=str(pyproject), hint="correct it, or write a requirements.txt") from error
    return "\n".join(str(line) for line in project.get("dependencies", []))


def _with_included(first: PurePosixPath, root: Path) -> tuple[str, ...]:
    """A requirements file and those that it includes, each once."""
    found: list[str] = []
    waiting = [first]
    while waiting:
        path = waiting.pop(0)
        normal = os.path.normpath(path)
        if normal in found or normal.startswith("..") or not (root / normal).is_file():
            continue
        found.append(normal)
        included = INCLUDES.findall((root / normal).read_text(encoding="utf-8"))
        waiting += [path.parent / name for name in included]
    return tuple(found)


def _tag(loaded: LoadedSpec, root: Path, exported: list[str]) -> str:
    """By the content of what would be a version on one machine, exports apart: they follow from it. Of the declaration
    only what an image has: other numbers of replicas, routes or limits of the gateway need no other image."""
    with OpenTree(root) as tree:
        spec = loaded.spec
        rules = Rules(
            left_out=frozenset(("colonnade.toml", *(path for path in exported if path != "."))),
            shared=frozenset(spec.system.shared),
        )
        try:
            snapshot = take_snapshot(tree, rules, None)
        except Changing as changing:
            raise HostError(
                f"{changing.path} is being written", subject=str(root), hint="try again, or name the version with --tag"
            ) from changing
    # Links to what is shared hold this machine's paths, and are in no image.
    code = {path: entry for path, entry in snapshot.entries.items() if not entry.content.startswith("/")}
    return tag_of(tree_digest(code), f"{services_json(spec)}{sorted(spec.system.shared)}")
