"""What `status` and `scale` say about services that scale by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from colonnade.cli.main import _parse_scale
from colonnade.cli.screens import scaling_lines
from colonnade.core.errors import SpecError


def test_only_services_that_scale_have_a_line() -> None:
    services: list[Mapping[str, Any]] = [
        {"name": "web", "scaling": {"mode": "fixed", "reason": "fixed", "message": "its number is fixed"}},
        {"name": "api", "scaling": {"mode": "auto", "min": 2, "max": 8, "message": "api stays at 2: [quiet]"}},
        {"name": "of-an-older-controller"},
    ]
    assert scaling_lines(services) == ["[bold]api[/] [dim]auto, 2–8:[/] api stays at 2: \\[quiet]"]


@pytest.mark.parametrize(("text", "expected"), [("web=3", ("web", 3)), ("web=auto", ("web", None))])
def test_a_number_or_auto(text: str, expected: tuple[str, int | None]) -> None:
    assert _parse_scale(text) == expected


@pytest.mark.parametrize("text", ["web", "=auto", "web=", "web=many", "web=-1"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        _parse_scale(text)
