"""Strings with a shape, and quantities with a unit."""

from __future__ import annotations

import pytest

from colonnade.spec.syntax import AppTarget, ListenAddress, command_words, parse_app, parse_listen, parse_route
from colonnade.spec.units import parse_duration_s, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080"),
        ("0.0.0.0:80", "0.0.0.0", 80, "0.0.0.0:80"),
        ("localhost:65535", "127.0.0.1", 65535, "127.0.0.1:65535"),
        ("[::1]:8080", "::1", 8080, "[::1]:8080"),
        ("[0:0:0:0:0:0:0:1]:1", "::1", 1, "[::1]:1"),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int, shown: str) -> None:
    address = parse_listen(text)
    assert address == ListenAddress(host, port)
    assert str(address) == shown
    assert address.is_ipv6 == (":" in host)


@pytest.mark.parametrize(
    "text",
    [
        *("", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "1.2.3:80"),
        *("::1:8080", "[127.0.0.1]:80", "[::1]", "[]:80", "[fe80::1%eth0]:80", "example.com:80", "127.0.0.1:80 "),
        *("http://127.0.0.1:80", "[localhost]:80"),
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected "):
        parse_listen(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("hello:app", AppTarget("hello", "app", factory=False)),
        ("a.b.c:create_app()", AppTarget("a.b.c", "create_app", factory=True)),
        ("a:b.c", AppTarget("a", "b.c", factory=False)),
    ],
)
def test_import_strings_are_read(text: str, target: AppTarget) -> None:
    assert parse_app(text) == target
    assert target.target == text.removesuffix("()")


@pytest.mark.parametrize("route", ["", "/", "/api", "/api/v1", "/a-b_c~d.e", "/.well-known"])
def test_routes_have_one_form(route: str) -> None:
    assert parse_route(route) == route


@pytest.mark.parametrize("route", ["api", "/api/", "//", "/a//b", "/..", "/a/./b", "/a b", "/ä", "/a?b", "/a*", "/%41"])
def test_other_routes_are_refused(route: str) -> None:
    with pytest.raises(ValueError, match=r"^expected "):
        parse_route(route)


def test_a_command_is_split_as_a_shell_would() -> None:
    assert command_words("a 'b c' --d=\"e f\" $PORT") == ["a", "b c", "--d=e f", "$PORT"]
    assert command_words(["a", "b c"]) == ["a", "b c"]
    assert command_words("") == []


@pytest.mark.parametrize(
    ("value", "duration_s"),
    [
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        (3, 3.0),
        (0, 0.0),
        (" 5 s ", 5.0),
    ],
)
def test_durations_are_seconds(value: object, duration_s: float) -> None:
    assert parse_duration_s(value) == duration_s


@pytest.mark.parametrize("value", ["", "5", "s", "-1s", "1 year", True, None, -1, float("inf"), float("nan")])
def test_other_durations_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration_s(value)


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [("10MB", 10_000_000), ("512KiB", 524_288), ("1.5kB", 1500), ("7B", 7), ("1GiB", 2**30), (42, 42)],
)
def test_sizes_are_bytes(value: object, size_bytes: int) -> None:
    assert parse_size_bytes(value) == size_bytes


@pytest.mark.parametrize("value", ["", "10", "10 M", "-1MB", True, 1.5, None, -1])
def test_other_sizes_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size_bytes(value)
