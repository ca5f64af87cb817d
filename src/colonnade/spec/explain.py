"""Pydantic's findings in the user's words: key path, what was got, what was expected, the nearest match. Pure.

Values under keys that hold secrets (`env`, database URLs) are never repeated, nor is anything that is not a short
scalar: a table in the wrong place may hold anything.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from colonnade.spec.problem import KeyPath, Problem, nearest, suggestion

SHOWN_CHARS_MAX = 60
"""Longer values are cut: they are shown to recognise them, not to read them."""

SECRET_KEYS = frozenset({"env", "url", "read_url", "parameters", "headers"})

_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}

_TYPES = {
    "string_type": "text in quotes",
    "list_type": 'a list such as ["backend"]',
    "dict_type": "a table",
    "model_type": "a table",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}


def explain(error: ValidationError, root: type[BaseModel]) -> list[Problem]:
    """One problem per finding of `error`, in the order of the file's tables."""
    return [_problem(cast(Mapping[str, Any], finding), root) for finding in error.errors(include_url=False)]


def _problem(finding: Mapping[str, Any], root: type[BaseModel]) -> Problem:
    key: KeyPath = finding["loc"]
    kind: str = finding["type"]
    context: Mapping[str, Any] = finding.get("ctx", {})
    if key and key[-1] == "[key]":
        return Problem(key[:-1], str(finding["msg"]).removeprefix("Value error, ") + " as its name")
    got = _got(finding["input"], key)
    if kind == "extra_forbidden":
        return _unknown_key(key, root)
    if kind in ("literal_error", "enum"):
        choices = re.findall(r"'([^']*)'", context["expected"])
        match = nearest(finding["input"], choices) if isinstance(finding["input"], str) else None
        return Problem(
            key, f"expected {_either(choices)}{got}", hint=f'did you mean "{match}"?' if match is not None else ""
        )
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return Problem(key, f"expected {words} {context[limit]:g}{got}")
    if kind == "value_error":
        # Our own validators; those of lists and tables have said in their words what they got.
        got = "" if isinstance(finding["input"], list | Mapping) else got
        return Problem(key, str(finding["msg"]).removeprefix("Value error, ") + got)
    if kind in _TYPES:
        return Problem(key, f"expected {_TYPES[kind]}{got}")
    return Problem(key, f"{finding['msg']}{got}")


def _unknown_key(key: KeyPath, root: type[BaseModel]) -> Problem:
    word = str(key[-1])
    known = keys_at(key[:-1], root)
    where = "a table of this file" if len(key) == 1 else "a key here"
    return Problem(key, f"is not {where}", hint=suggestion(word, known, what="known are"))


def keys_at(key: KeyPath, root: type[BaseModel]) -> list[str]:
    """The keys that the table at `key` may have, as they are written in the file."""
    current: Any = root
    for part in key:
        current = _step(current, part)
    models = list(_models_in(current))
    return [field.alias or name for model in models for name, field in model.model_fields.items() if not field.exclude]


def _step(current: Any, part: str | int) -> Any:
    """The type of `current[part]`: a field of a model, or the values of a list or table."""
    for model in _models_in(current):
        for name, field in model.model_fields.items():
            if part in (field.alias, name):
                return field.annotation
    for origin, arguments in _origins_in(current):
        if origin in (dict, list):
            return arguments[-1]
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, Annotated):
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _origins_in(annotation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        for argument in get_args(annotation):
            yield from _origins_in(argument)
    else:
        yield get_origin(annotation), get_args(annotation)


def _either(choices: list[str]) -> str:
    quoted = [f'"{choice}"' for choice in choices]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _got(value: object, key: KeyPath) -> str:
    """`, got 5`; empty where the value may be a secret."""
    if SECRET_KEYS.intersection(str(part) for part in key):
        return ""
    match value:
        case bool():
            return f", got {str(value).lower()}"
        case int() | float():
            return f", got {value}"
        case str():
            return f', got "{shown(value)}"'
        case Mapping():
            return ", got a table"
        case list():
            return ", got a list"
        case _:
            return f", got a {type(value).__name__}"


def shown(text: str) -> str:
    """`text`, shortened, and with the user and password of a URL left out."""
    masked = re.sub(r"://[^@/\s]*@", "://…@", text)
    return masked if len(masked) <= SHOWN_CHARS_MAX else masked[: SHOWN_CHARS_MAX - 1] + "…"
