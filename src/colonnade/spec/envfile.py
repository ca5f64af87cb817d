"""Env files: `KEY=value` lines for secrets that do not belong into a repository. Pure parsing.

    # a comment
    export API_KEY=abc          # `export` and trailing comments are fine
    GREETING='as it "stands"'   # single quotes: literally
    KEY_PEM="first\\nsecond"     # double quotes: \\n \\t \\" \\\\ are understood

Nothing is expanded: a `$` in a password stays a `$`. Errors name the line and never show what is on it. python-dotenv
reads a superset, but expands variables by default and skips a broken line with a log message where we must refuse.
"""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_LINE = re.compile(
    rf"""(?:export\s+)?(?P<name>{NAME.pattern})\s*=\s*
    (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<bare>[^\s'"\#][^\n]*?)? )
    (?:\s+\#.*|\s*)""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class EnvFileError(ValueError):
    """Line `line` cannot be read; the message never holds a value."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


def parse_env(text: str) -> dict[str, str]:
    """Variables in the order of the file. Raises EnvFileError for a line that is not one, or a name given twice."""
    values: dict[str, str] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, value = _parse_line(number, line)
        if name in values:
            raise EnvFileError(number, f"{name} is given for the second time")
        values[name] = value
    return values


def _parse_line(number: int, line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise EnvFileError(number, _complaint(line))
    if match["double"] is not None:
        return match["name"], re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), match["double"])
    return match["name"], match["single"] if match["single"] is not None else match["bare"] or ""


def _complaint(line: str) -> str:
    name, equals, value = line.removeprefix("export ").partition("=")
    if not equals:
        return "expected KEY=value"
    if NAME.fullmatch(name.strip()) is None:
        return "expected a name of letters, digits and underscores before the ="
    if value.strip()[:1] in ("'", '"'):
        return f"the quoted value of {name.strip()} does not end where the line does (write \\n for a line break)"
    return f"expected one value after {name.strip()}="
