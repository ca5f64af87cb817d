"""The event log: bounded, numbered across restarts, and nothing stops for a disk that refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from colonnade.core import events
from colonnade.core.clock import SimulatedClock
from colonnade.core.events import Event, EventLog, event_from_json, read_events


def log_in(directory: Path) -> EventLog:
    return EventLog(SimulatedClock(), directory / "events.jsonl")


def emit(log: EventLog, subject: str = "web/1") -> Event:
    return log.emit("replica_exited", subject, reason="exit_code", message="exit code 1", data={"exit_code": 1})


def test_an_event_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    event = emit(log_in(tmp_path))
    assert read_events(tmp_path / "events.jsonl") == [event]
    assert event_from_json(event.to_json()) == event


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    emit(log_in(tmp_path))
    again = log_in(tmp_path)
    assert emit(again).seq == 2
    assert [event.seq for event in again.recent()] == [1, 2]


def test_only_what_is_newer_is_given(tmp_path: Path) -> None:
    log = EventLog(SimulatedClock())
    for _ in range(5):
        emit(log)
    assert [event.seq for event in log.recent(after_seq=2)] == [3, 4, 5]
    assert [event.seq for event in log.recent(count_max=2)] == [4, 5]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    # The bound is patched, since the real one would take thousands of events to reach.
    monkeypatch.setattr(events, "EVENTS_IN_MEMORY_MAX", 3)
    log = EventLog(SimulatedClock())
    for _ in range(5):
        emit(log)
    assert [event.seq for event in log.recent()] == [3, 4, 5]


def test_a_listener_hears_each_event_until_it_leaves() -> None:
    log = EventLog(SimulatedClock())
    heard: list[int] = []
    leave = log.subscribe(lambda event: heard.append(event.seq))
    emit(log)
    leave()
    emit(log)
    assert heard == [1]


@pytest.mark.parametrize("line", ["", "{", "[]", "3", "null", '{"seq": 1}', '{"seq": 1, "no": 2}', "\x00"])
def test_a_line_that_is_no_event_is_none(line: str) -> None:
    assert event_from_json(line) is None


def test_a_line_that_a_crash_cut_costs_only_itself(tmp_path: Path) -> None:
    """Without a fresh line, the first event after the restart would be glued to the rest of the old one."""
    emit(log_in(tmp_path), "first")
    path = tmp_path / "events.jsonl"
    with path.open("a") as file:
        file.write('{"seq":2,"at_s":17000')
    emit(log_in(tmp_path), "after the crash")
    emit(log_in(tmp_path), "and on")
    assert [event.subject for event in read_events(path)] == ["first", "after the crash", "and on"]


def test_a_full_disk_stops_nothing_and_is_counted(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    log = EventLog(SimulatedClock())
    heard: list[int] = []
    log.subscribe(lambda event: heard.append(event.seq))
    # Given afterwards, since /dev/full never ends when it is read.
    log._path = tmp_path / "events.jsonl"
    emit(log)
    emit(log)
    assert log.dropped_count == 2
    assert [event.seq for event in log.recent()] == heard == [1, 2]


def test_an_event_that_fits_only_in_part_is_counted_and_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last free block takes half a line. Patched, because no file system is that small on purpose."""
    log = log_in(tmp_path)
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[: len(data) // 2]))
    emit(log, "cut")
    monkeypatch.setattr(os, "write", real_write)
    emit(log, "whole")
    assert log.dropped_count == 1
    assert [event.subject for event in read_events(tmp_path / "events.jsonl")] == ["whole"]


def test_a_directory_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    log = EventLog(SimulatedClock(), tmp_path / "gone" / "events.jsonl")
    emit(log)
    assert log.dropped_count == 1


def test_the_files_are_two_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVENTS_FILE_BYTES_MAX", 1000)
    log = log_in(tmp_path)
    for _ in range(50):
        emit(log)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.1.jsonl", "events.jsonl"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    kept = [event.seq for event in read_events(tmp_path / "events.jsonl")]
    assert kept == list(range(kept[0], 51))
    assert log.dropped_count == 0


def test_the_log_is_private(tmp_path: Path) -> None:
    emit(log_in(tmp_path))
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o077 == 0
