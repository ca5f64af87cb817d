"""From colonnade.toml, or from nothing but `module:app`, to a checked `Spec`; or one error with every problem.

The only module of this package that others need for starting a system. It reads files and the environment, starts
nothing and writes nothing. The order is: TOML (`read`), each key (`model`, told by `explain`), across keys (`check`),
what they point at (`surroundings`).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from colonnade.core.errors import SpecError
from colonnade.spec import FILE_NAME
from colonnade.spec.check import check_spec, warnings_of
from colonnade.spec.check_database import database_warnings
from colonnade.spec.derive import fit_name
from colonnade.spec.explain import explain
from colonnade.spec.model import ReplicasSpec, ServiceSpec, Spec
from colonnade.spec.place import place_of
from colonnade.spec.problem import InvalidSpec, KeyPath, Problem
from colonnade.spec.read import parse_toml, read_toml
from colonnade.spec.surroundings import look_around
from colonnade.spec.syntax import parse_app

SERVICE_WITHOUT_FILE = "web"
"""What the one service of `colonnade up module:app` is called, whatever the module: `colonnade scale web=5`."""

INDEPENDENT_KEYS = frozenset(
    {("uses",), ("replicas",), ("env",), ("env_file",), ("path",), ("route",), ("parameters",)}
)
"""Keys whose checks do not look at other keys of their table: told even when those are wrong."""

REPLICAS_WITHOUT_FILE = 3
"""One may be lost while another is replaced, and there is still one."""


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A declaration that can be started.

    `directory` is absolute; `path` is None when there is no file. `environments` has the variables of each service
    (env file, with `env` on top; what `uses` and the replica add comes later). `warnings` are sentences for people.
    `origin` is the directory that `directory` is a copy of, None where it is the original.
    """

    spec: Spec
    path: Path | None
    directory: Path
    warnings: tuple[str, ...] = ()
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    origin: Path | None = None

    def directory_of(self, service: str) -> Path:
        """The working directory of `service`, absolute."""
        return place_of(self.spec.services[service].path, self.directory, self.origin).resolve()


def load_spec(
    path: Path,
    *,
    directory: Path | None = None,
    origin: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedSpec:
    """Read and check `path` (a file, or a directory with a colonnade.toml). `environ`: this process's, if not given;
    `directory`: what its paths are relative to, where that is not the file's own (a kept copy); `origin`: what that
    directory is a copy of.

    Raises SpecError when it cannot be read, and InvalidSpec with all of its problems when it is wrong.
    """
    path = path / FILE_NAME if path.is_dir() else path
    directory = directory or path.absolute().parent
    data = read_toml(path)
    spec, problems = _validate(data)
    environments: Mapping[str, Mapping[str, str]] = {}
    if spec is not None:
        across = check_spec(spec)
        around = look_around(spec, directory, os.environ if environ is None else environ, origin=origin)
        spec, environments = around.spec, around.environments
        problems += _not_consequences([*across, *around.problems], problems)
    if problems or spec is None:
        raise InvalidSpec(_in_order_of(data, problems), subject=str(path))
    return _loaded(LoadedSpec(spec, path, directory, environments=environments, origin=origin))


def declared_spec(text: str, *, subject: str) -> Spec:
    """What the text of a declaration says: nothing filled in from the environment, nothing else looked at. For
    comparing two of them. Raises as `load_spec`."""
    data = parse_toml(text, subject=subject)
    spec, problems = _validate(data)
    if spec is not None:
        problems += _not_consequences(check_spec(spec), problems)
    if problems or spec is None:
        raise InvalidSpec(_in_order_of(data, problems), subject=subject)
    return spec


def spec_for_app(target: str, *, directory: Path | None = None, origin: Path | None = None) -> LoadedSpec:
    """The declaration behind `colonnade up module:app`: three replicas of one public service, no file."""
    try:
        parse_app(target)
    except ValueError as error:
        raise SpecError(
            str(error), subject=target, hint="try `colonnade up hello:app`, or `colonnade up` with a colonnade.toml"
        ) from None
    directory = (directory or Path.cwd()).absolute()
    replicas = ReplicasSpec(min=REPLICAS_WITHOUT_FILE, max=REPLICAS_WITHOUT_FILE)
    spec = Spec(services={SERVICE_WITHOUT_FILE: ServiceSpec(app=target, route="/", replicas=replicas)})
    return _loaded(LoadedSpec(spec, None, directory, environments={SERVICE_WITHOUT_FILE: {}}, origin=origin))


def _loaded(loaded: LoadedSpec) -> LoadedSpec:
    """With its name, if it has none, and its warnings."""
    spec = loaded.spec
    if "name" not in spec.system.model_fields_set:
        name = fit_name((loaded.origin or loaded.directory).name, default="app")
        spec = spec.model_copy(update={"system": spec.system.model_copy(update={"name": name})})
    warnings = (*warnings_of(spec), *database_warnings(spec, loaded.environments))
    environments = MappingProxyType(dict(loaded.environments))
    return replace(loaded, spec=spec, warnings=warnings, environments=environments)


def _validate(data: dict[str, Any]) -> tuple[Spec | None, list[Problem]]:
    """`data` as a Spec, and what is wrong with single keys. With such problems the Spec lacks those keys, so that
    the rest can be checked as well; it is None when too much is missing for that to make sense."""
    try:
        return _as_spec(data), []
    except ValidationError as error:
        problems = explain(error, Spec)
    # A table that is missing altogether would show up again as dangling names all over the file.
    if any(len(problem.key) == 1 or _is_service(problem.key) for problem in problems):
        return None, problems
    try:
        return _as_spec(_without(data, [problem.key for problem in problems])), problems
    except ValidationError:
        return None, problems


def _as_spec(data: Mapping[str, Any]) -> Spec:
    # Aliases only: the file has one way to write each key. The names with units are Python's.
    return Spec.model_validate(data, by_alias=True, by_name=False)


def _is_service(key: KeyPath) -> bool:
    return len(key) == 2 and key[0] == "services"


def _without(data: Mapping[str, Any], keys: Sequence[KeyPath]) -> dict[str, Any]:
    """A copy of `data` without these keys; of a list, the whole list goes."""
    pruned: dict[str, Any] = copy.deepcopy(dict(data))
    for key in keys:
        table: Any = pruned
        for depth, part in enumerate(key):
            is_last = depth == len(key) - 1 or isinstance(key[depth + 1], int)
            if not isinstance(table, dict) or part not in table:
                break
            if is_last:
                del table[part]
                break
            table = table[part]
    return pruned


def _not_consequences(found: Sequence[Problem], earlier: Sequence[Problem]) -> list[Problem]:
    """Those of `found` that do not merely follow from a key that is wrong already, and was left out therefore."""
    wrong_keys = {problem.key[: _depth(problem.key) + 1] for problem in earlier}
    wrong_tables = {problem.key[: _depth(problem.key)] for problem in earlier}
    kept = []
    for problem in found:
        depth = _depth(problem.key)
        stands_alone = problem.key[depth : depth + 1] in INDEPENDENT_KEYS
        if problem.key[:depth] not in wrong_tables or (stands_alone and problem.key[: depth + 1] not in wrong_keys):
            kept.append(problem)
    return kept


def _depth(key: KeyPath) -> int:
    """How many parts of `key` name its table: services.NAME, or the table at the top."""
    return 2 if key[:1] == ("services",) else 1


def _in_order_of(data: Mapping[str, Any], problems: Sequence[Problem]) -> list[Problem]:
    """`problems` table by table, as the file has them: it is read from the top while correcting."""
    services = data.get("services")
    tables = list(data)
    names = list(services) if isinstance(services, dict) else []

    def place(problem: Problem) -> tuple[int, int]:
        table = tables.index(problem.key[0]) if problem.key[:1] and problem.key[0] in tables else len(tables)
        is_in_service = table < len(tables) and len(problem.key) > 1 and problem.key[1] in names
        return table, names.index(str(problem.key[1])) if is_in_service else -1

    return sorted(problems, key=place)
