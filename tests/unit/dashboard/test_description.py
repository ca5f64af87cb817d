"""The API by its own description: whatever is sent, it is answered, and never by an error of ours."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from .page import HOST, Page

EXAMPLES_MAX = 25


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


@pytest.mark.slow
def test_nothing_that_is_sent_breaks_it(page: Page) -> None:
    # Imported here: it takes a second, which no other test shall wait for.
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.core.result import Ok

    async def begin() -> tuple[dict[str, str], dict[str, Any]]:
        headers = await page.log_in()
        answer = await page.ask("GET", "/api/openapi.json", headers=headers)
        return headers, answer.json()

    headers, description = asyncio.run(begin())
    # The stream has no end, and an ended session ends the test.
    for path in ("/api/live", "/api/logout"):
        del description["paths"][path]
    schema = schemathesis.openapi.from_dict(description)
    tried: dict[str, set[int]] = {}

    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES_MAX, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            sent = {name: str(value) for name, value in (case.query or {}).items()}
            more = {"json": case.body} if case.method == "POST" else {"params": sent}
            answer = asyncio.run(page.ask(case.method, case.path, headers={**headers, "Host": HOST}, **more))
            assert answer.status_code < 500, (case.method, case.path, more, answer.text)
            tried.setdefault(case.path, set()).add(answer.status_code)

        send()
    assert tried.keys() == description["paths"].keys()
    assert all(200 in statuses for path, statuses in tried.items() if path not in NEEDS_A_NAME)


NEEDS_A_NAME = {"/api/login", "/api/scale", "/api/drill"}
"""What is made up is no token and no service of this system, and it cannot be drilled."""
