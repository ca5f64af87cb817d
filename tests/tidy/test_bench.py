"""Measurements are named by module and function, and imported only when asked for: each name leads somewhere."""

from __future__ import annotations

import ast
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def names_of(where: Path) -> set[str]:
    return {
        each.name for each in ast.parse(where.read_text(encoding="utf-8")).body if isinstance(each, ast.FunctionDef)
    }


def test_every_measurement_is_a_function_that_is_there() -> None:
    tables = [
        each.value
        for each in ast.parse((BENCH / "run.py").read_text(encoding="utf-8")).body
        if isinstance(each, ast.AnnAssign)
    ]
    wanted = [ast.literal_eval(table) for table in tables if isinstance(table, ast.Dict)]
    assert len(wanted) == 2
    for where in {**wanted[0], **wanted[1]}.values():
        module, _, function = where.partition(".")
        assert function in names_of(BENCH / f"{module}.py"), where
