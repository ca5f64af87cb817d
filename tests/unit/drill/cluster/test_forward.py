"""A port-forward by kubectl, of which only the words and the ways to end are ours: a program of the test's own stands
for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("lightkube")

from tests.unit.deploy.kubernetes.api_server import kubeconfig

from colonnade.core.errors import ColonnadeError, DriverUnavailable, HostError
from colonnade.deploy.kubernetes.breakable import BreakableCluster
from colonnade.drill.cluster.forward import forwarded

SPEAKS = """#!/bin/sh
echo "$@" > {words}
echo "Forwarding from 127.0.0.1:4711 -> 8080"
exec sleep {sleeps}
"""


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BreakableCluster:
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, "http://127.0.0.1:1"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return BreakableCluster.connect("here", "shop")


def kubectl(tmp_path: Path, text: str) -> None:
    program = tmp_path / "kubectl"
    program.write_text(text)
    program.chmod(0o755)


def test_it_leads_to_the_gateways_of_this_context_and_ends_with_the_drill(
    api: BreakableCluster, tmp_path: Path
) -> None:
    kubectl(tmp_path, SPEAKS.format(words=tmp_path / "words", sleeps=60))

    async def main() -> None:
        async with forwarded(api) as forward:
            assert forward.url == "http://127.0.0.1:4711"
            assert not forward.has_ended
        assert forward.has_ended

    asyncio.run(main())
    words = (tmp_path / "words").read_text().split()
    assert words[:5] == ["--context", "here", "--namespace", "shop", "port-forward"]
    assert words[-2:] == ["service/gateway", ":80"]


def test_one_that_ends_by_itself_is_noticed(api: BreakableCluster, tmp_path: Path) -> None:
    kubectl(tmp_path, SPEAKS.format(words=tmp_path / "words", sleeps=0))

    async def main() -> bool:
        async with forwarded(api) as forward:
            await forward.process.wait()
            return forward.has_ended

    assert asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "problem", "message"),
    [
        ("#!/bin/sh\necho 'error: service not found' >&2\nexit 1\n", DriverUnavailable, "service not found"),
        ("", HostError, "needs kubectl"),
    ],
)
def test_what_does_not_get_through_is_told(
    api: BreakableCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    problem: type[ColonnadeError],
    message: str,
) -> None:
    if text:
        kubectl(tmp_path, text)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))

    async def main() -> None:
        async with forwarded(api):
            pass

    with pytest.raises(problem, match=message):
        asyncio.run(main())
