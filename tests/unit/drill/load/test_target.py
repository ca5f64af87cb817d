"""Where load may be sent."""

import asyncio

import pytest

from colonnade.core.errors import SpecError
from colonnade.drill.load.target import Target, resolve_target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1:8080", Target("127.0.0.1:8080", "127.0.0.1", 8080)),
        ("http://127.0.0.1", Target("127.0.0.1:80", "127.0.0.1", 80)),
        ("http://[::1]:8080/", Target("[::1]:8080", "::1", 8080)),
    ],
)
def test_a_loopback_url_is_a_target(url: str, target: Target) -> None:
    assert asyncio.run(resolve_target(url)) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "https://127.0.0.1",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1/path",
        "http://[x",
    ],
)
def test_what_is_no_plain_http_url_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(SpecError) as refusal:
        asyncio.run(resolve_target(url))

    assert refusal.value.hint


def test_another_machine_is_loaded_only_when_that_is_asked_for() -> None:
    with pytest.raises(SpecError, match="not this machine") as refusal:
        asyncio.run(resolve_target("http://192.0.2.1:80"))

    assert "--allow-remote" in refusal.value.hint
    assert asyncio.run(resolve_target("http://192.0.2.1:80", allow_remote=True)).address == "192.0.2.1"
