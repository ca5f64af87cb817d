"""The program that pods run before their service: it lets them start only after their release step has ended well."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import certifi
import pytest
from tests.unit.deploy.kubernetes.api_server import FakeCluster, serving

from colonnade.deploy.kubernetes.inside import wait_for_release

PATH = "/apis/batch/v1/namespaces/shop/jobs/web-release-1"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeCluster, str]]:
    """With the pod's account as the cluster mounts it."""
    monkeypatch.setattr(wait_for_release, "ACCOUNT", str(tmp_path))
    (tmp_path / "namespace").write_text("shop\n")
    (tmp_path / "token").write_text("a-token")
    shutil.copy(certifi.where(), tmp_path / "ca.crt")
    fake = FakeCluster()
    with serving(fake) as url:
        yield fake, url


def then(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[float]:
    """Instead of waiting, do this; gives how long each wait was to be."""
    waits: list[float] = []

    def sleep(duration_s: float) -> None:
        waits.append(duration_s)
        act()

    monkeypatch.setattr(time, "sleep", sleep)
    return waits


def test_it_waits_for_a_job_that_is_not_there_yet(
    api: tuple[FakeCluster, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake, url = api
    waits = then(monkeypatch, lambda: fake.put(PATH, {"metadata": {"name": "web-release-1"}, "spec": {}}))
    assert wait_for_release.main("web-release-1", url) == 0
    assert waits == [wait_for_release.POLL_S]
    assert "is not there" in capsys.readouterr().out


def test_a_job_that_failed_keeps_the_pod_from_starting(
    api: tuple[FakeCluster, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fake, url = api
    fake.release = "Failed"
    fake.put(PATH, {"metadata": {"name": "web-release-1"}, "spec": {}})
    assert wait_for_release.main("web-release-1", url) == 1
    assert "has failed: as told; see `kubectl logs job/web-release-1`" in capsys.readouterr().out


def test_a_job_that_runs_is_waited_for(api: tuple[FakeCluster, str], monkeypatch: pytest.MonkeyPatch) -> None:
    fake, url = api
    fake.objects[PATH] = {"metadata": {"name": "web-release-1"}, "status": {"active": 1}}
    waits = then(monkeypatch, lambda: fake.put(PATH, {"metadata": {"name": "web-release-1"}, "spec": {}}))
    assert wait_for_release.main("web-release-1", url) == 0
    assert len(waits) == 1


def test_the_token_is_shown_to_the_api_server_alone(
    api: tuple[FakeCluster, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake, _ = api

    class Enough(Exception):
        pass

    def stop() -> None:
        raise Enough

    then(monkeypatch, stop)
    with pytest.raises(Enough):
        wait_for_release.main("web-release-1", "http://127.0.0.1:1")
    assert "the API server does not answer" in capsys.readouterr().out
    assert fake.requests == []
