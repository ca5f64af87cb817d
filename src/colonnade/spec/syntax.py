"""Strings with a shape: names, routes, commands, import strings, addresses. Each says in words what it expects. Pure.

A pattern alone would answer "does not match ^[a-z]…"; here every refusal is a sentence with an example, and never
repeats the value: it may be a secret that landed in the wrong place.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def matching(pattern: str, expected: str) -> AfterValidator:
    """A validator that wants the whole string to match `pattern` and otherwise says what was `expected`."""
    compiled = re.compile(pattern)

    def validate(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(validate)


def parse_route(value: str) -> str:
    """A path prefix in its one canonical form, so that equal routes are equal strings."""
    if value in ("", "/"):
        return value
    if re.fullmatch(r"/[A-Za-z0-9._~/-]*", value) is None:
        raise ValueError('expected a path prefix such as "/" or "/api" (letters, digits and . _ ~ -)')
    if value.endswith("/"):
        raise ValueError('expected no slash at the end: "/api" also covers everything below it')
    if any(part in ("", ".", "..") for part in value[1:].split("/")):
        raise ValueError('expected plain path segments, without "//", "." or ".."')
    return value


def parse_command(value: object) -> object:
    """A command as one string (split as a shell would) or as a list of words."""
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value) and value[0]:
        return value
    if not isinstance(value, str):
        raise ValueError('expected a command such as "gunicorn -b 127.0.0.1:$PORT app:app", or a list of words')
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"expected a command with balanced quotes ({str(error).lower()})") from None
    if value and not words:
        raise ValueError("expected a command, got only blanks")
    return value


def command_words(command: str | list[str]) -> list[str]:
    """The argv of a `command` or `release`, `$NAME`s not yet filled in; empty when there is none."""
    return shlex.split(command) if isinstance(command, str) else list(command)


@dataclass(frozen=True, slots=True)
class AppTarget:
    """`package.module:name`, or `package.module:factory()` when calling it gives the application."""

    module: str
    name: str
    factory: bool

    @property
    def target(self) -> str:
        """As an application server takes it: `module:name`, the parentheses left out."""
        return f"{self.module}:{self.name}"


_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_APP = re.compile(rf"({_DOTTED}):({_DOTTED})(\(\))?")


def parse_app(text: str) -> AppTarget:
    """Raises ValueError when `text` is not an import string."""
    match = _APP.fullmatch(text)
    if match is None:
        raise ValueError('expected an import string such as "module:app" or "package.module:create_app()"')
    return AppTarget(match[1], match[2], factory=match[3] is not None)


def _check_app(value: str) -> str:
    if value:
        parse_app(value)
    return value


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where the gateway listens. `host` is a plain IP address, without brackets."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


def parse_listen(text: str) -> ListenAddress:
    """`127.0.0.1:8080`, `[::1]:8080` or `localhost:8080` (which is 127.0.0.1). Raises ValueError for anything else.

    Other names are refused: what they resolve to can change between two starts.
    """
    match = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*)):(\d{1,5})", text)
    if match is None:
        raise ValueError('expected address:port, such as "127.0.0.1:8080" or "[::1]:8080"')
    host = match[1] if match[1] is not None else match[2]
    port = int(match[3])
    if not 1 <= port <= 65_535:
        raise ValueError("expected a port between 1 and 65535")
    if text.startswith("localhost:"):
        return ListenAddress("127.0.0.1", port)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("expected an IP address or localhost before the port (0.0.0.0 for every interface)") from None
    if (address.version == 6) != (match[1] is not None) or "%" in host:
        raise ValueError('expected brackets round an IPv6 address and only there, such as "[::1]:8080"')
    return ListenAddress(str(address), port)


def _check_listen(value: str) -> str:
    parse_listen(value)
    return value


def parse_scalar(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    raise ValueError("expected text, a number, true or false")


def only(kind: type, expected: str) -> Callable[[object], object]:
    """A validator for a value that must have been written as `kind`: "8" is not a number, and true is not 1."""

    def validate(value: object) -> object:
        if type(value) is not kind:
            raise ValueError(f"expected {expected}")
        return value

    return validate


def parse_inside_path(value: str) -> str:
    """A path below colonnade.toml's directory in its one canonical form."""
    path = posixpath.normpath(value) if value else "."
    if path in (".", "..") or path.startswith(("/", "../")) or "\0" in path:
        raise ValueError('expected a path below this directory, such as "instance" or "media/uploads"')
    return path


Name = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9-]{0,30}",
        'a name of lower-case letters, digits and dashes that begins with a letter, such as "web" (31 at most)',
    ),
]
"""Fit for a path, a HAProxy section, an environment variable and a host name at once."""

Route = Annotated[str, AfterValidator(parse_route)]
InsidePath = Annotated[str, AfterValidator(parse_inside_path)]
UrlPath = Annotated[str, matching(r"/[^\s]*", 'a path that begins with a slash, such as "/readyz"')]
HashBy = Annotated[
    str,
    matching(r"path|header:[A-Za-z0-9-]+|cookie:[A-Za-z0-9_-]+", '"path", "header:NAME" or "cookie:NAME"'),
]
DatabaseName = Annotated[
    str, matching(r"[a-z_][a-z0-9_]{0,40}", "a name of lower-case letters, digits and underscores (41 at most)")
]
TimeOfDay = Annotated[str, matching(r"([01]\d|2[0-3]):[0-5]\d", 'a time of day such as "08:00"')]
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
DayRange = Annotated[str, matching(rf"{_DAY}(?:-{_DAY})?", 'a day or days such as "mon-fri" or "sat"')]
OtlpEndpoint = Annotated[
    str,
    matching(
        r"(?:https?://[^\s/@?#]+(?:/[^\s@?#]*)?)?",
        'the address of a collector such as "http://127.0.0.1:4318", without a password in it',
    ),
]
AppString = Annotated[str, AfterValidator(_check_app)]
CommandLine = Annotated[str | list[str], BeforeValidator(parse_command)]
Listen = Annotated[str, AfterValidator(_check_listen)]
Scalar = Annotated[str | int | float | bool, BeforeValidator(parse_scalar)]
Whole = Annotated[int, BeforeValidator(only(int, "a whole number"))]
Flag = Annotated[bool, BeforeValidator(only(bool, "true or false"))]
