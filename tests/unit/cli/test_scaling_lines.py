"""What `status` says about services that scale by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colonnade.cli.screens import scaling_lines


def test_only_services_that_scale_have_a_line() -> None:
    services: list[Mapping[str, Any]] = [
        {"name": "web", "scaling": {"mode": "fixed", "reason": "fixed", "message": "its number is fixed"}},
        {"name": "api", "scaling": {"mode": "auto", "min": 2, "max": 8, "message": "api stays at 2: [quiet]"}},
        {"name": "of-an-older-controller"},
    ]
    assert scaling_lines(services) == ["[bold]api[/] [dim]auto, 2–8:[/] api stays at 2: \\[quiet]"]
