"""Imports point down only, and siblings never meet. The layers are listed here and nowhere else."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "colonnade"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("drill", "deploy", "dashboard"),
    ("system",),
    ("runtime", "gateway", "database", "scaling", "observe"),
    ("planning",),
    ("spec",),
    ("core",),
)
"""From top to bottom. A package may import from any layer below its own, never from its own or from above."""

ALONE = ("client",)
"""Imported by applications, never by us, and importing nothing of ours."""

STANDARD_LIBRARY_ONLY = (
    "system/keeper.py",
    "deploy/docker/inside/entry.py",
    "deploy/docker/inside/database.py",
    "spec/probe_app.py",
)
"""Small processes that must start fast, stay small, and live on when everything else breaks. What they import of
ours must be of the same kind."""

LEVEL = {package: level for level, layer in enumerate(LAYERS) for package in layer}


def test_imports_point_down_only() -> None:
    found = [complaint for path in sources() for complaint in complaints_about(path)]
    assert not found, "\n".join(found)


def test_every_package_has_a_place_in_the_layers() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= LEVEL.keys() | set(ALONE), "add the new package to LAYERS, where it belongs"


@pytest.mark.parametrize("name", STANDARD_LIBRARY_ONLY)
def test_small_processes_need_only_the_standard_library(name: str) -> None:
    assert list(foreign_imports(PACKAGE / name)) == []


@pytest.mark.parametrize(
    ("where", "line", "complaint"),
    [
        ("core/x.py", "import colonnade.spec.model", "core may not import spec"),
        ("core/x.py", "from colonnade.core.clock import Clock", ""),
        ("gateway/x.py", "from colonnade.database import state", "gateway may not import database"),
        ("gateway/x.py", "from colonnade import runtime", "gateway may not import runtime"),
        ("gateway/x.py", "from ..runtime import state", "gateway may not import runtime"),
        ("gateway/x.py", "from . import config", ""),
        ("gateway/x.py", "from colonnade import __version__", ""),
        ("gateway/x.py", "def f():\n    import colonnade.cli.main", "gateway may not import cli"),
        ("system/x.py", "from colonnade.gateway import config", ""),
        ("drill/x.py", "from colonnade.deploy import export", "drill may not import deploy"),
        ("cli/x.py", "from colonnade.client import connect", "cli may not import client"),
        ("client/x.py", "from colonnade.core.clock import Clock", "client may not import core"),
    ],
)
def test_the_check_sees(where: str, line: str, complaint: str) -> None:
    found = complaints_about(PACKAGE / where, line)
    assert [complaint] * bool(complaint) == [text.split(": ")[1] for text in found]


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def complaints_about(path: Path, text: str | None = None) -> list[str]:
    """One line per import that points up or sideways. Files beside the packages (`colonnade/x.py`) import nothing."""
    inside = path.relative_to(PACKAGE).parts
    own = inside[0] if len(inside) > 1 else ""
    found = []
    for module, line in imports_of(path, path.read_text() if text is None else text):
        parts = module.split(".")
        if parts[0] != "colonnade" or len(parts) == 1:
            continue
        other = parts[1]
        if other != own and (other in LEVEL or other in ALONE) and not is_below(other, own):
            found.append(f"{'/'.join(inside)}, line {line}: {own or 'colonnade'} may not import {other}")
    return sorted(set(found))


def is_below(other: str, own: str) -> bool:
    return own in LEVEL and other in LEVEL and LEVEL[other] > LEVEL[own]


def foreign_imports(path: Path) -> Iterator[str]:
    """What the file imports from neither the standard library nor us, whatever of ours it goes through."""
    waiting, seen = [path], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for module, line in imports_of(path, path.read_text()):
            if module.startswith("colonnade."):
                file = PACKAGE.joinpath(*module.split(".")[1:])
                ours = [*(parent / "__init__.py" for parent in (file, *file.parents)), file.with_suffix(".py")]
                waiting += [
                    each for each in ours if each.exists() and each.is_relative_to(PACKAGE) and each not in seen
                ]
            elif module.split(".")[0] not in sys.stdlib_module_names:
                yield f"{path.relative_to(PACKAGE)}, line {line}: {module}"


def imports_of(path: Path, text: str) -> Iterator[tuple[str, int]]:
    """Every module that the text may import, at any depth, with its line: `from a import b` gives a and a.b."""
    package = ("colonnade", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)
