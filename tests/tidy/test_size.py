"""Advice on size: a function is a screen, a file is a chapter. What is longer is listed with its reason."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOKED_AT = ("src", "apps", "examples", "bench", "scripts", "tests")

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500

LONGER_FOR_A_REASON: dict[str, str] = {}
"""`path` or `path:function` → why it is better left whole."""


def test_functions_fit_on_a_screen() -> None:
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                name = f"{path.relative_to(ROOT)}:{node.name}"
                if lines > FUNCTION_LINES_MAX and name not in LONGER_FOR_A_REASON:
                    found.append(f"{name} has {lines} lines: split it, or list it here with a reason")
    assert not found, "\n".join(found)


def test_files_are_chapters() -> None:
    found = []
    for path in sources():
        lines = len(path.read_text().splitlines())
        name = str(path.relative_to(ROOT))
        if lines > FILE_LINES_MAX and name not in LONGER_FOR_A_REASON:
            found.append(f"{name} has {lines} lines: split it, or list it here with a reason")
    assert not found, "\n".join(found)


def test_the_list_of_exceptions_is_not_stale() -> None:
    assert [name for name in LONGER_FOR_A_REASON if not (ROOT / name.split(":")[0]).exists()] == []


def sources() -> list[Path]:
    found = [path for place in LOOKED_AT for path in (ROOT / place).rglob("*.py")]
    return sorted(path for path in found if ".colonnade" not in path.parts)
