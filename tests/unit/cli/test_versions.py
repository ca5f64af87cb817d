"""`colonnade versions` and `colonnade diff` on what is kept, without a running system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.system.project import Project

from colonnade.cli.versions import show_difference, show_versions
from colonnade.core.errors import HostError
from colonnade.system.target import Target, find_target


@pytest.fixture
def project(work_dir: Path) -> Iterator[Project]:
    made = Project(work_dir / "app")
    yield made
    made.remove()


@pytest.fixture
def target(project: Project) -> Target:
    return find_target(project.directory, "", None)


def difference_of(target: Target, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    show_difference(target, as_json=True)
    value: dict[str, object] = json.loads(capsys.readouterr().out)
    return value


def test_without_versions_there_is_nothing_to_compare_with(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    show_versions(target, as_json=False)
    assert "no version" in capsys.readouterr().out
    show_versions(target, as_json=True)
    assert json.loads(capsys.readouterr().out) == []
    with pytest.raises(HostError, match="no version is kept here yet"):
        show_difference(target, as_json=False)


def test_exit_codes_are_those_of_diff(project: Project, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    project.take()
    assert show_difference(target, as_json=False) == 0
    assert "nothing" in capsys.readouterr().out
    project.write("web/web.py", "web 2")
    assert show_difference(target, as_json=False) == 1
    assert "web/web.py" in capsys.readouterr().out


def test_a_difference_is_keys_files_and_services_with_their_effect(
    project: Project, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    project.take()
    project.write("common.py", "common 2")
    project.declare(project.text + 'queue_max = 5\n[services.worker]\napp = "w:app"\n')
    found = difference_of(target, capsys)
    assert found["version"] == 1
    assert found["added_services"] == ["worker"]
    assert found["keys"] == [
        {"key": "services.api.queue_max", "service": "api", "old": "200", "new": "5", "effect": "gateway"}
    ]
    assert found["files"] == {name: {"added": [], "changed": ["common.py"], "removed": []} for name in ("web", "api")}
    assert found["rollout"] == ["api", "web"]
    show_difference(target, as_json=False)
    shown = capsys.readouterr().out
    for words in ("services.worker", "200 → 5", "nothing restarts", "common.py", "by a rollout of the service"):
        assert words in shown


def test_the_one_that_runs_counts_and_not_the_newest(
    project: Project, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    project.take()
    project.write("web/web.py", "web 2")
    project.take()
    project.store.set_current(1)
    assert difference_of(target, capsys)["version"] == 1
    assert show_difference(target, as_json=False) == 1
    project.store.set_current(2)
    assert show_difference(target, as_json=False) == 0


def test_versions_are_listed_with_when_and_why(
    project: Project, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    project.take()
    project.write("web/web.py", "web 2")
    project.take()
    project.store.set_current(1)
    show_versions(target, as_json=False)
    shown = capsys.readouterr().out
    for words in ("the first version", "web/web.py", "ran last", "2023-11-1"):
        assert words in shown
    show_versions(target, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [(each["number"], each["is_current"], each["is_running"]) for each in listed] == [
        (1, True, False),
        (2, False, False),
    ]
