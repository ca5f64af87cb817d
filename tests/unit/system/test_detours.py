"""Where a way leads when something was put in between, and that without it nothing is asked and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.system.detours import STRAIGHT, Detours, end_file, port_file, replica_end


@pytest.fixture
def detours(tmp_path: Path) -> Detours:
    port_file(tmp_path, "a", "b").write_text('{"port": 20001}')
    return Detours(tmp_path)


def test_without_a_directory_every_way_is_straight() -> None:
    assert STRAIGHT.are_none
    assert STRAIGHT.through("a", "b", ("127.0.0.1", 15_000)) == ("127.0.0.1", 15_000)
    assert STRAIGHT.through_url("web", "database", "postgresql://u@h:1/d") == "postgresql://u@h:1/d"


def test_a_way_with_a_port_leads_there_and_its_end_is_written_down(detours: Detours, tmp_path: Path) -> None:
    assert detours.through("a", "b", ("127.0.0.1", 15_000)) == ("127.0.0.1", 20_001)
    assert json.loads(end_file(tmp_path, "a", "b").read_text()) == {"host": "127.0.0.1", "port": 15_000}


def test_an_end_that_moved_is_written_anew(detours: Detours, tmp_path: Path) -> None:
    for port in (15_000, 15_001, 15_001):
        assert detours.through("a", "b", ("127.0.0.1", port)) == ("127.0.0.1", 20_001)
        assert json.loads(end_file(tmp_path, "a", "b").read_text())["port"] == port


def test_a_way_without_a_port_is_straight(detours: Detours, tmp_path: Path) -> None:
    assert detours.through("b", "a", ("127.0.0.1", 15_000)) == ("127.0.0.1", 15_000)
    assert not end_file(tmp_path, "b", "a").exists()


@pytest.mark.parametrize(
    ("url", "through"),
    [
        ("postgresql://u:p%40w@127.0.0.1:15000/d?x=1", "postgresql://u:p%40w@127.0.0.1:20001/d?x=1"),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=/run/pg"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("", ""),
    ],
)
def test_a_url_keeps_all_but_its_host_and_port(detours: Detours, url: str, through: str) -> None:
    assert detours.through_url("a", "b", url) == through


@pytest.mark.parametrize("text", ['{"port": "x"}', "{}", "[]", "no"])
def test_a_port_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    port_file(tmp_path, "a", "b").write_text(text)
    with pytest.raises(HostError):
        Detours(tmp_path).through("a", "b", ("127.0.0.1", 1))


def test_a_replica_is_an_end_by_its_service_and_slot() -> None:
    assert replica_end("backend", 2) == "backend-2"
