"""What is different in development (`colonnade up --reload`): one replica of each service, and which files are code.
Pure; `reloading.py` acts on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import ReplicasSpec, ServiceSpec

DEVELOPMENT_ENV: Mapping[str, str] = {"PYTHONDONTWRITEBYTECODE": "1"}
"""Compiled files are compared by second and size: of two edits of one length within a second, the first would be run
for ever after."""

IGNORED_DIRECTORIES = frozenset({"__pycache__", "node_modules", "venv"})
"""Besides all that begin with a dot, such as .git, .venv and .colonnade."""

CODE_SUFFIXES = frozenset(
    {
        *(".py", ".pyi", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".txt", ".xml", ".toml", ".yaml", ".yml", ".ini"),
        *(".po", ".mo", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".pm", ".php", ".go", ".lua", ".ex", ".exs", ".sh"),
    }
)
"""What an application is written in, read when it starts or kept afterwards (templates). Not what it writes itself,
such as .json, .db or .log: it would start anew for ever."""


def for_development(loaded: LoadedSpec) -> LoadedSpec:
    """The declaration with one replica of each service, whatever it says, run where it is written and not from a
    version's copy."""
    services = {name: _alone(service) for name, service in loaded.spec.services.items()}
    spec = loaded.spec.model_copy(update={"services": services})
    return replace(loaded, spec=spec, directory=loaded.origin or loaded.directory, origin=None)


def _alone(service: ServiceSpec) -> ServiceSpec:
    # The first group's size stays: its environment may have what the application cannot live without.
    weights = [group.model_copy(update={"replicas": 1}) for group in service.weights[:1]]
    return service.model_copy(update={"replicas": ReplicasSpec(min=1, max=1, fixed=True), "weights": weights})


def is_code(path: Path, root: Path) -> bool:
    """Whether a change of this file, which is somewhere below `root`, is a change of the application."""
    *directories, _ = path.relative_to(root).parts
    return path.suffix in CODE_SUFFIXES and not any(map(is_ignored, directories))


def is_ignored(directory: str) -> bool:
    return directory.startswith(".") or directory in IGNORED_DIRECTORIES


def concerned(loaded: LoadedSpec, paths: Iterable[Path]) -> Mapping[str, list[Path]]:
    """By service, the changed files that are its code: below its directory, and not among its static files, which are
    read anew for each request anyway."""
    files = sorted(paths)
    found: dict[str, list[Path]] = {}
    for name, service in loaded.spec.services.items():
        root = loaded.directory_of(name)
        static = [(root / directory).resolve() for directory in service.static.values()]
        theirs = [
            path
            for path in files
            if path.is_relative_to(root) and is_code(path, root) and not any(map(path.is_relative_to, static))
        ]
        if theirs:
            found[name] = theirs
    return found
