"""Every error for people says what to do next: whoever raises one gives a hint."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "colonnade"

TREE = "ColonnadeError"


def test_every_public_error_is_made_with_a_hint() -> None:
    trees = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
    errors = errors_that_ask_for_a_hint(trees.values())
    assert {"SpecError", "HostError", "AppError", "DriverError", "DriverUnavailable"} <= errors
    assert "Bug" not in errors, "Bug brings its own hint"
    found = [
        f"{path.relative_to(ROOT)}, line {line}: {name} without a hint: say which command to type next"
        for path, tree in trees.items()
        for name, line in made_without_hint(tree, errors)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("raise HostError('x', hint='y')", []),
        ("raise HostError('x')", ["HostError"]),
        ("raise errors.HostError('x')", ["HostError"]),
        ("raise HostError", ["HostError"]),
        ("return HostError('x', hint='')", ["HostError"]),
        ("HostError('x', **more)", []),
        ("raise ValueError('x')", []),
        ("try:\n    pass\nexcept HostError:\n    raise", []),
    ],
)
def test_the_check_sees(text: str, names: list[str]) -> None:
    assert [name for name, _ in made_without_hint(ast.parse(text), {"HostError"})] == names


def test_a_subclass_with_a_hint_of_its_own_need_not_be_given_one() -> None:
    text = """
class ColonnadeError(Exception):
    def __init__(self, message, *, hint): ...
class Full(ColonnadeError): ...
class Known(Full):
    def __init__(self): super().__init__("x", hint="y")
class Other(Exception): ...
"""
    assert errors_that_ask_for_a_hint([ast.parse(text)]) == {"ColonnadeError", "Full"}


def errors_that_ask_for_a_hint(trees: Iterable[ast.AST]) -> set[str]:
    """Names of ColonnadeError and all below it, those apart whose own __init__ takes no hint."""
    classes = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    return {name for name in classes if is_below_tree(name, classes) and asks_for_a_hint(name, classes)}


def is_below_tree(name: str, classes: Mapping[str, ast.ClassDef]) -> bool:
    return name == TREE or any(is_below_tree(base, classes) for base in bases_of(name, classes))


def asks_for_a_hint(name: str, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether the nearest __init__ has a `hint` parameter."""
    for node in classes[name].body if name in classes else ():
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return any(argument.arg == "hint" for argument in (*node.args.args, *node.args.kwonlyargs))
    return any(asks_for_a_hint(base, classes) for base in bases_of(name, classes))


def bases_of(name: str, classes: Mapping[str, ast.ClassDef]) -> list[str]:
    bases = classes[name].bases if name in classes else []
    return [base for node in bases if (base := last_name(node)) in classes]


def made_without_hint(tree: ast.AST, errors: set[str]) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := last_name(node.func)) in errors:
            hints = [keyword for keyword in node.keywords if keyword.arg in ("hint", None)]
            if not hints or any(isinstance(k.value, ast.Constant) and not k.value.value for k in hints):
                yield name, node.lineno
        elif isinstance(node, ast.Raise) and node.exc is not None and (name := last_name(node.exc)) in errors:
            yield name, node.lineno


def last_name(node: ast.expr) -> str:
    """`c` of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
