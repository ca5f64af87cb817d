"""A TOML file as plain tables, or an error that shows the very line. Reads; judges nothing but the syntax."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from colonnade.core.errors import SpecError

FILE_BYTES_MAX = 1_000_000
"""A declaration has a few kilobytes; more than this is some other file."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of `path`. Raises SpecError: no such file, not readable, not UTF-8, not TOML."""
    return parse_toml(_read_text(path), subject=str(path))


def parse_toml(text: str, *, subject: str) -> dict[str, Any]:
    """The tables of a file's text. Raises SpecError."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        # Not chained: the exception of newer Pythons carries the whole document, secrets and all.
        raise SpecError(
            _describe(str(error), text),
            subject=subject,
            hint='values are quoted text ("…"), numbers, true, false, [lists] or { tables }: see https://toml.io',
        ) from None


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise SpecError(
                f"is larger than {FILE_BYTES_MAX} bytes, so it is hardly a declaration",
                subject=str(path),
                hint="give the path of colonnade.toml",
            )
        # Editors on Windows put a byte-order mark in front, which TOML forbids: utf-8-sig takes it away.
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise SpecError(
            "there is no such file",
            subject=str(path),
            hint="run `colonnade init` to write one, or `colonnade up module:app` to do without",
        ) from None
    except UnicodeDecodeError as error:
        raise SpecError(
            f"is not UTF-8 text (byte {error.start})", subject=str(path), hint="save it as UTF-8 in your editor"
        ) from None
    except OSError as error:
        raise SpecError(
            f"cannot be read: {(error.strerror or str(error)).lower()}",
            subject=str(path),
            hint=f"look at it with `ls -ld {path}`",
        ) from error


def _describe(complaint: str, text: str) -> str:
    match = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", complaint, re.DOTALL)
    if match is None:
        return f"is not TOML: {_lower_first(complaint)}"
    line, column = int(match[2]), int(match[3])
    shown, is_whole = _shown(text.split("\n"), line)
    caret = "\n" + " " * (len(f"  {line} | ") + column - 1) + "^" if is_whole else ""
    return f"is not TOML: {_lower_first(match[1])}, at line {line}, column {column}\n  {line} | {shown}{caret}"


def _shown(lines: list[str], number: int) -> tuple[str, bool]:
    """Line `number` for an error message, and whether it is whole: a value that may be a secret is left out."""
    line = lines[number - 1] if number <= len(lines) else ""
    headers = [candidate.strip() for candidate in lines[:number] if candidate.lstrip().startswith("[")]
    in_env = bool(headers) and re.search(r"env\W*$", headers[-1].partition("#")[0]) is not None
    if in_env or re.search(r"env|url|://|secret|password|token|key|auth|header", line, re.IGNORECASE):
        name, equals, _ = line.partition("=")
        return (f"{name}= …", False) if equals else ("…", False)
    return line, True


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
