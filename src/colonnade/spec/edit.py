"""Changing single values in the text of a declaration, everything else left as somebody wrote it. Pure.

Not a writer of TOML: it looks for the line of a key, puts another value there, and proves by reading the result that
nothing but this has changed. What is laid out in a way that it does not know is refused, with what to write by hand.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from colonnade.core.errors import SpecError

Value = int | Mapping[str, int]
"""A number, or an inline table of numbers."""

_HEADER = re.compile(r"^\s*\[(?!\[)([^\[\]]+)\]\s*(#.*)?$")
_ANY_HEADER = re.compile(r"^\s*\[")


def set_values(text: str, values: Mapping[tuple[str, ...], Value], *, subject: str) -> str:
    """The text with these keys set; a key that is not there yet comes right below the header of its table. Raises
    SpecError for a layout that it does not know."""
    lines = text.split("\n")
    for key, value in values.items():
        _set(lines, key, value, subject)
    changed = "\n".join(lines)
    wanted: Any = copy.deepcopy(tomllib.loads(text))
    for key, value in values.items():
        table = wanted
        for part in key[:-1]:
            table = table.setdefault(part, {})
        table[key[-1]] = dict(value) if isinstance(value, Mapping) else value
    try:
        is_right = tomllib.loads(changed) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise _unknown_layout(values, subject)
    return changed


def value_as_written(value: Value) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {number}' for key, number in value.items())} }}"
    return str(value)


def _set(lines: list[str], key: tuple[str, ...], value: Value, subject: str) -> None:
    begin = _header_of(lines, key[:-1])
    if begin is None:
        raise _unknown_layout({key: value}, subject)
    pattern = re.compile(rf'^(\s*"?{re.escape(key[-1])}"?\s*=\s*)(\d[\d_]*|\{{[^{{}}]*\}})(\s*(?:#.*)?)$')
    for index in range(begin + 1, len(lines)):
        if _ANY_HEADER.match(lines[index]):
            break
        if match := pattern.match(lines[index]):
            lines[index] = f"{match[1]}{value_as_written(value)}{_comment(match[2], value, match[3])}"
            return
    lines.insert(begin + 1, f"{key[-1]} = {value_as_written(value)}")


def _comment(before: str, value: Value, comment: str) -> str:
    """What follows the value, in the column where it was as far as that is possible."""
    if not comment.strip():
        return comment
    blanks = len(comment) - len(comment.lstrip()) + len(before) - len(value_as_written(value))
    return " " * max(1, blanks) + comment.lstrip()


def _header_of(lines: Sequence[str], path: tuple[str, ...]) -> int | None:
    for index, line in enumerate(lines):
        if match := _HEADER.match(line):
            parts = [part.strip().strip("\"'") for part in match[1].split(".")]
            if tuple(parts) == path:
                return index
    return None


def _unknown_layout(values: Mapping[tuple[str, ...], Value], subject: str) -> SpecError:
    wanted = "; ".join(f"{'.'.join(key)} = {value_as_written(value)}" for key, value in values.items())
    return SpecError(
        "is laid out in a way that cannot be changed safely; nothing was written",
        subject=subject,
        hint=f"write by hand: {wanted}",
    )
