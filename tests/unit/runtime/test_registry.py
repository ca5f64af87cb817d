"""What a next controller reads of its predecessor's replicas: all that was written, or a clear refusal."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.core.processes import ProcessId
from colonnade.runtime.registry import RegisteredReplica, Registry, read_registry, write_registry
from colonnade.runtime.rollouts import Versions
from colonnade.runtime.state import ReplicaId
from colonnade.runtime.wanted import Rollout, Stage

REPLICAS = (
    RegisteredReplica(ReplicaId("backend", 1), ProcessId(100, 5), 15_000, is_ready=True, total_restarts=2),
    RegisteredReplica(ReplicaId("backend", 2), ProcessId(101, 6), 15_001, is_ready=False, total_restarts=0),
    RegisteredReplica(
        ReplicaId("backend", 3),
        ProcessId(102, 7),
        15_003,
        is_ready=False,
        total_restarts=0,
        is_draining=True,
        is_held=True,
    ),
)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "replicas.json"
    rollout = Rollout("backend", 2, 3, Stage.REPLACING, moved=frozenset({1, 6}), replaces={1: 100}, message="why")
    one = Rollout("backend", 2, 2, numbers=frozenset({1}), is_judged=False, doubt="12 answers")
    versions = Versions({"backend": 2}, {"backend": rollout}, {"web": replace(one, service="web")})
    write_registry(path, REPLICAS, {"backend": 5}, 15_002, versions)
    assert read_registry(path) == Registry(REPLICAS, {"backend": 5}, 15_002, versions)


def test_a_registry_of_a_time_without_versions_is_of_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "replicas.json"
    write_registry(path, REPLICAS[:2], {"backend": 5}, 15_002, Versions())
    value = json.loads(path.read_text())
    for replica in value["replicas"]:
        del replica["version"], replica["is_draining"], replica["is_held"]
    for key in ("versions", "rollouts", "ended_rollouts"):
        del value[key]
    path.write_text(json.dumps(value))
    assert read_registry(path) == Registry(REPLICAS[:2], {"backend": 5}, 15_002)


def test_no_file_is_an_empty_registry(tmp_path: Path) -> None:
    assert read_registry(tmp_path / "replicas.json") == Registry((), {}, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"replicas": [{}], "desired": {}, "port_cursor": 1}',
        '{"replicas": 3, "desired": {}, "port_cursor": 1}',
        "\x00\x00\x00",
    ],
)
def test_a_file_that_is_not_ours_is_refused_with_a_way_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "replicas.json"
    path.write_text(text)
    with pytest.raises(HostError) as caught:
        read_registry(path)
    assert caught.value.subject == str(path)
    assert "start again" in caught.value.hint


def test_a_file_that_is_no_text_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "replicas.json"
    path.write_bytes(b"\xff\xfe\x00garbage")
    with pytest.raises(HostError):
        read_registry(path)
