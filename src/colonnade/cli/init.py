"""`colonnade init`: find the application by reading the source, and write a short colonnade.toml for it.

Nothing is imported and nothing is run: files are parsed, and what looks like an application is a candidate. Whether
it really is one shows when `colonnade up` imports it. A file that exists is never overwritten.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from colonnade.core.errors import SpecError
from colonnade.core.files import disk_error
from colonnade.spec import FILE_NAME
from colonnade.spec.derive import fit_name

FILES_MAX = 2_000
"""Python files looked at. A project with more has its application near the top, where the walk begins."""

FILE_BYTES_MAX = 500_000
"""Larger ones are data or generated; nobody writes an application in them."""

FRAMEWORKS: Mapping[str, tuple[str, str]] = {
    "flask.Flask": ("Flask", "wsgi"),
    "django.core.wsgi.get_wsgi_application": ("Django", "wsgi"),
    "django.core.asgi.get_asgi_application": ("Django (ASGI)", "asgi"),
    "fastapi.FastAPI": ("FastAPI", "asgi"),
    "starlette.applications.Starlette": ("Starlette", "asgi"),
    "quart.Quart": ("Quart", "asgi"),
    "litestar.Litestar": ("Litestar", "asgi"),
    "bottle.Bottle": ("Bottle", "wsgi"),
    "falcon.App": ("Falcon", "wsgi"),
    "falcon.asgi.App": ("Falcon (ASGI)", "asgi"),
}
"""What makes an application, by its full name, and how that application is called."""

FACTORY_NAME = re.compile(r"(create|make|build|get)_(app|application)")
USUAL_FILES = ("wsgi.py", "app.py", "main.py", "__init__.py", "asgi.py")
NOT_WALKED = frozenset(
    {"node_modules", "site-packages", "__pycache__", "build", "dist", "docs", "examples", "test", "tests", "testing"}
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that looks like an application: `app` as in the file, `path` of its service relative to the search."""

    app: str
    framework: str
    kind: str
    path: str
    has_manage: bool = False


def write_declaration(directory: Path) -> tuple[Path, str]:
    """Write `directory`/colonnade.toml for the best candidate; gives its path and a description of the application.

    Raises SpecError when there is such a file already, or nothing that looks like an application.
    """
    path = directory / FILE_NAME
    if path.exists():
        raise SpecError(
            "is there already", subject=str(path), hint="start it with `colonnade up`, or move it away to begin anew"
        )
    found = find_applications(directory)
    if not found:
        raise SpecError(
            "nothing here looks like a Flask, Django, FastAPI or other WSGI or ASGI application",
            subject=str(directory.resolve()),
            hint="name it yourself: `colonnade up module:app`, or write colonnade.toml with app = or command =",
        )
    best, *others = found
    text = render_colonnade_toml(fit_name(directory.resolve().name, default="app"), best, others)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise disk_error(error, path) from error
    return path, f"{best.app} ({best.framework})"


def find_applications(directory: Path) -> list[Candidate]:
    """Everything under `directory` that looks like an application, the most likely one first."""
    ranked: list[tuple[tuple[int, int, int, str], Candidate]] = []
    for file in _python_files(directory):
        for name, framework, kind in _applications_in(file):
            root = _import_root(file, directory)
            parts = file.relative_to(root).with_suffix("").parts
            module = parts[:-1] if parts[-1] == "__init__" else parts
            if not module or not all(part.isidentifier() for part in module):
                continue
            candidate = Candidate(
                app=f"{'.'.join(module)}:{name}",
                framework=framework,
                kind=kind,
                path=root.relative_to(directory).as_posix(),
                has_manage=(root / "manage.py").is_file(),
            )
            ranked.append((_rank(file, directory, name), candidate))
    return [candidate for _, candidate in sorted(ranked, key=lambda entry: entry[0])]


def render_colonnade_toml(name: str, candidate: Candidate, others: Sequence[Candidate] = ()) -> str:
    """The text of a colonnade.toml: what is needed, and what is likely to come next as comments."""
    lines = [
        "# `colonnade up` starts this. Keys that are not here have defaults; what follows a # is for later.",
        "",
        "[system]",
        f"name = {json.dumps(name)}",
        "",
        "[services.web]",
        _with_comment(f"app = {json.dumps(candidate.app)}", candidate.framework),
    ]
    if candidate.path != ".":
        lines.append(_with_comment(f"path = {json.dumps(candidate.path, ensure_ascii=False)}", "working directory"))
    lines += [
        _with_comment('route = "/"', "public, at this prefix of the gateway"),
        _with_comment("replicas = 2", "or { min = 2, max = 8 }"),
    ]
    if candidate.kind == "asgi":
        lines.append(_with_comment("threads = 100", "requests at once per replica; an event loop serves many"))
    lines.append(_with_comment('#uses = ["database"]', "DATABASE_URL (primary) and DATABASE_READ_URL (standbys)"))
    if candidate.has_manage:
        release = '#release = "python manage.py migrate --noinput"'
        lines.append(_with_comment(release, "once, before the first replica"))
    lines += ["", _with_comment("#[database]", "PostgreSQL, run and replicated for you"), "#standbys = 2", ""]
    if others:
        lines += ["# Also found; each can be a service of its own:"]
        lines += [f"#   {json.dumps(other.app)} ({other.framework}, in {other.path})" for other in others]
        lines.append("")
    return "\n".join(lines)


def _with_comment(line: str, comment: str) -> str:
    return f"{line:<39} # {comment}"


def _python_files(directory: Path) -> Iterator[Path]:
    """At most FILES_MAX files, those near the top first; no tests, virtual environments or hidden directories."""
    count = 0
    waiting = [directory]
    while waiting:
        current = waiting.pop(0)
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            continue  # not ours to read: then it is not ours to run either
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                is_environment = os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))
                if not entry.name.startswith(".") and entry.name not in NOT_WALKED and not is_environment:
                    waiting.append(Path(entry.path))
            elif entry.name.endswith(".py") and not _is_test(entry.name) and entry.is_file():
                count += 1
                if count > FILES_MAX:
                    return
                if entry.stat().st_size <= FILE_BYTES_MAX:
                    yield Path(entry.path)


def _is_test(name: str) -> bool:
    return name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"


def _applications_in(file: Path) -> Iterator[tuple[str, str, str]]:
    """(`app` or `create_app()`, framework, kind) for each application at the top level of `file`."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # of another Python, a template, or broken: no candidate
    origins = _imports(tree)
    factories: dict[str, tuple[str, str]] = {}
    for statement in _top_level(tree.body):
        match statement:
            case ast.FunctionDef(name=name) if FACTORY_NAME.fullmatch(name) and not _required_parameters(statement):
                made = [_made_by(node, origins, {}) for node in ast.walk(statement) if isinstance(node, ast.Call)]
                known = next((what for what in made if what is not None), None)
                if known is not None:
                    factories[name] = known
                    yield f"{name}()", *known
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                known = _made_by(call, origins, factories)
                if known is not None:
                    yield name, *known
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call):
                known = _made_by(call, origins, factories)
                if known is not None:
                    yield name, *known
            case _:
                continue


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import: also those within `if` and `try`, but not `if __name__ == "__main__"`."""
    for statement in body:
        is_main_block = isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
        if isinstance(statement, ast.If | ast.Try) and not is_main_block:
            yield from _top_level([*statement.body, *statement.orelse])
        else:
            yield statement


def _imports(tree: ast.Module) -> dict[str, str]:
    """Local name → full name, for everything that the file imports."""
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            origins.update({name.asname or name.name: f"{node.module or ''}.{name.name}" for name in node.names})
        elif isinstance(node, ast.Import):
            for name in node.names:
                # `import a.b` gives the name a; `import a.b as c` gives c, which is a.b.
                local = name.asname or name.name.partition(".")[0]
                origins[local] = name.name if name.asname else local
    return origins


def _made_by(
    call: ast.Call, origins: Mapping[str, str], factories: Mapping[str, tuple[str, str]]
) -> tuple[str, str] | None:
    """Framework and kind of what `call` gives, when it is an application."""
    written = ast.unparse(call.func)
    if written in factories:
        return factories[written]
    first, dot, rest = written.partition(".")
    full = origins.get(first, first) + dot + rest
    if full in FRAMEWORKS:
        return FRAMEWORKS[full]
    # `from shop import create_app; app = create_app()`: what it makes is elsewhere, but the name says enough.
    if first in origins and FACTORY_NAME.fullmatch(full.rpartition(".")[2]) and not call.args and not call.keywords:
        return ("made by a factory", "auto")
    return None


def _required_parameters(function: ast.FunctionDef) -> int:
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return positional + sum(default is None for default in arguments.kw_defaults)


def _import_root(file: Path, directory: Path) -> Path:
    """The directory from which `file` is imported: above its package, or where Django's manage.py is."""
    for parent in file.parents:
        if (parent / "manage.py").is_file():
            return parent
        if parent == directory:
            break
    root = file.parent
    while root != directory and (root / "__init__.py").is_file():
        root = root.parent
    return root


def _rank(file: Path, directory: Path, name: str) -> tuple[int, int, int, str]:
    """Less is more likely: near the top, in a file with a usual name, under a usual name."""
    usual_file = USUAL_FILES.index(file.name) if file.name in USUAL_FILES else len(USUAL_FILES)
    is_usual_name = name in ("app", "application") or name.endswith("()")
    # A wsgi.py is made for this purpose, even one directory down, where Django puts it.
    depth = len(file.relative_to(directory).parts) - (file.name == "wsgi.py")
    return depth, usual_file, not is_usual_name, str(file)
