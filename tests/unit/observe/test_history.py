"""The history on disk: what goes in comes out, coarser with age, whatever happens to the file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.core.events import Event
from colonnade.observe.history import folding, levels
from colonnade.observe.history.reader import Line, read_history
from colonnade.observe.history.schema import HistoryDamaged, aside, open_for_writing
from colonnade.observe.history.writer import HistoryWriter
from colonnade.observe.sample import Sample, Sight

BEGIN_S = 1_700_000_400
"""A full ten minutes, and not a full hour."""

LABELS = (("service", "backend"),)


def sights(count: int, *, begin_s: int = BEGIN_S, every_s: int = 1) -> Iterable[Sight]:
    """A gauge that goes 0, 1, … 59 and again, and a counter that grows by two a second."""
    for number in range(0, count, every_s):
        at_s = begin_s + number
        yield Sight(at_s, (Sample("queued", LABELS, number % 60), Sample("requests_total", LABELS, 2.0 * number)))


def keep(path: Path, what: Iterable[Sight], *, every: int = 300) -> float:
    """Write in batches; the time of the last sight."""
    writer = HistoryWriter(path)
    at_s = 0.0
    for number, sight in enumerate(what, start=1):
        writer.add(sight)
        at_s = sight.at_s
        if number % every == 0:
            writer.commit(at_s)
    writer.commit(at_s)
    writer.close()
    assert not writer.trouble
    return at_s


def read(path: Path, name: str, *, since_s: float, until_s: float = 1e10, points_max: int = 1500) -> Line:
    with read_history(path) as history:
        assert history is not None
        (line,) = history.read(name, {"service": "backend"}, since_s=since_s, until_s=until_s, points_max=points_max)
    return line


def test_the_newest_minutes_come_back_second_by_second(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    last_s = keep(path, sights(100))
    queued, requests = (read(path, name, since_s=last_s - 9) for name in ("queued", "requests_total"))
    assert [point.last for point in queued.points] == list(range(30, 40))
    assert queued.step_s == 1
    assert {point.mean for point in requests.points} == {2.0}


@pytest.mark.parametrize(("points_max", "step_s"), [(800, 10), (200, 60), (12, 600)])
def test_what_is_folded_and_what_is_not_yet_are_one_line(tmp_path: Path, points_max: int, step_s: int) -> None:
    path = tmp_path / "history.sqlite"
    keep(path, sights(3000))
    queued = read(path, "queued", since_s=BEGIN_S, points_max=points_max)
    assert queued.step_s == step_s
    assert [point.at_s for point in queued.points] == list(range(BEGIN_S, BEGIN_S + 3000, step_s))
    assert max(point.max for point in queued.points) == 59
    requests = read(path, "requests_total", since_s=BEGIN_S, points_max=points_max)
    # The first sight of a counter says only where it stood.
    assert sum(point.mean * step_s for point in requests.points) == pytest.approx(2 * 2999)


def test_hours_come_from_ten_minutes(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    keep(path, sights(9000, every_s=10))
    requests = read(path, "requests_total", since_s=BEGIN_S, points_max=3)
    assert requests.step_s == 3600
    assert sum(point.mean * 3600 for point in requests.points) == pytest.approx(2 * 8990)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM block WHERE step_s = 3600").fetchone()[0] > 0
    connection.close()


def test_a_counter_goes_on_over_a_restart_of_who_looks_and_of_who_counts(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    for at_s, value in ((0, 100.0), (1, 110.0), (61, 170.0), (62, 5.0)):  # away for a minute; counting anew
        keep(path, [Sight(BEGIN_S + at_s, (Sample("requests_total", LABELS, value),))])
    line = read(path, "requests_total", since_s=BEGIN_S)
    assert [point.max for point in line.points] == [10.0, 1.0, 5.0]
    assert [point.mean for point in line.points] == [10.0, 60.0, 5.0]  # nothing is lost of what came meanwhile


def test_replicas_that_come_and_go_keep_their_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    changing = [
        Sight(
            BEGIN_S + second,
            tuple(
                Sample("in_flight", (("replica", f"b/{number}"), *LABELS), float(number))
                for number in (1, 2, 3)
                if (second // 100) % 3 != number - 1
            ),
        )
        for second in range(1300)
    ]
    keep(path, changing)
    with read_history(path) as history:
        assert history is not None
        lines = history.read("in_flight", since_s=BEGIN_S, until_s=1e10, points_max=200)
    assert [len(line.points) for line in lines] == [80, 90, 90]
    for number, line in enumerate(lines, start=1):
        assert {point.mean for point in line.points} == {float(number)}


def test_old_things_are_forgotten_and_the_file_stays_within_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = (levels.Level(10, 600, 600), levels.Level(60, 1200, 600), levels.Level(600, 3600, 600))
    # As time is, it would have to be a month's worth.
    monkeypatch.setattr(folding, "LEVELS", (*short, levels.COARSEST))
    monkeypatch.setattr(folding, "FOLDED_LEVELS", short)
    path = tmp_path / "history.sqlite"
    keep(path, sights(12_000, every_s=10), every=50)
    with sqlite3.connect(path) as connection:
        found = dict(connection.execute("SELECT step_s, count(*) FROM block GROUP BY step_s"))
        (count,) = connection.execute("SELECT count(*) FROM sight").fetchone()
    connection.close()
    assert found[10] <= 2 * 3
    assert found[600] <= 2 * 8
    assert count <= (levels.FOLD_S + levels.SIGHTS_KEPT_S) / 10 + 1


def test_the_bound_is_what_the_document_says() -> None:
    assert levels.bytes_max() < 400e6
    assert levels.bytes_max(300) < 140e6


def test_more_series_than_may_be_are_refused_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colonnade.observe.history.writer.SERIES_MAX", 5)
    writer = HistoryWriter(tmp_path / "history.sqlite")
    writer.add(Sight(BEGIN_S, tuple(Sample("x", (("n", str(n)),), 1.0) for n in range(7))))
    writer.commit(BEGIN_S)
    writer.close()
    assert writer.samples_refused == 2


def test_series_that_are_silent_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "SERIES_AFTER_FORGETTING", 3)
    path = tmp_path / "history.sqlite"
    keep(path, (Sight(BEGIN_S + n, (Sample("x", (("n", str(n // 300)),), 1.0),)) for n in range(3000)))
    with read_history(path) as history:
        assert history is not None
        assert [each.labels[0][1] for each in history.series("x")] == ["6", "7", "8", "9"]


def test_only_what_is_kept_is_kept_and_what_is_no_number_is_not(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.sqlite", kept={"a"})
    writer.add(Sight(BEGIN_S, (Sample("a", (), 1.0), Sample("b", (), 1.0), Sample("a", LABELS, float("nan")))))
    writer.commit(BEGIN_S)
    writer.close()
    assert writer.samples_refused == 1
    with read_history(tmp_path / "history.sqlite") as history:
        assert history is not None
        lines = history.read("", since_s=0, until_s=1e10)
    assert [(line.series.name, len(line.points)) for line in lines if line.points] == [("a", 1)]


def test_a_clock_that_is_set_back_loses_what_claimed_to_be_later(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    keep(path, sights(2000))
    keep(path, sights(100, begin_s=BEGIN_S + 700))
    queued = read(path, "queued", since_s=BEGIN_S, points_max=200)
    times_s = [point.at_s for point in queued.points]
    assert times_s == sorted(set(times_s))
    assert times_s[-1] < BEGIN_S + 800
    assert times_s[0] == BEGIN_S


def test_events_and_last_words_come_back(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.sqlite")
    for seq, (kind, subject) in enumerate([("scaled", "a"), ("exited", "a/1"), ("exited", "ab/1")], start=1):
        writer.add_event(Event(seq, BEGIN_S + seq, kind, subject, "because", "m" * 3000, {"n": seq}))
    writer.tell("slo", BEGIN_S, {"x": 1})
    writer.tell("slo", BEGIN_S + 1, {"x": 2})
    writer.commit(BEGIN_S + 5)
    writer.add_event(Event(3, BEGIN_S + 3, "exited", "ab/1", "because", "again", {}))
    writer.commit(BEGIN_S + 6)
    writer.close()
    with read_history(tmp_path / "history.sqlite") as history:
        assert history is not None
        assert [event.seq for event in history.events()] == [1, 2, 3]
        assert [event.seq for event in history.events(subject="a")] == [1, 2]
        assert [event.seq for event in history.events(kinds=["exited"], count_max=1)] == [3]
        assert history.events()[0].data == {"n": 1}
        assert len(history.events()[0].message) == levels.EVENT_TEXT_MAX
        assert history.said("slo") == (BEGIN_S + 1, {"x": 2})
        assert history.said("alerts") is None


def test_no_history_is_none(tmp_path: Path) -> None:
    with read_history(tmp_path / "history.sqlite") as history:
        assert history is None


@pytest.mark.parametrize("where", [0, 5000])
def test_a_file_that_cannot_be_read_is_set_aside_with_a_message(tmp_path: Path, where: int) -> None:
    path = tmp_path / "history.sqlite"
    keep(path, sights(1300))
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(where)
        file.write(os.urandom(size - where) if where else b"not ours at all")
    writer = HistoryWriter(path)
    for sight in sights(10, begin_s=BEGIN_S + 5000):
        writer.add(sight)
    for second in range(4):
        writer.commit(BEGIN_S + 6000 + second)
    writer.close()
    assert "set aside" in writer.notice
    assert not writer.trouble
    assert aside(path).exists()
    assert len(read(path, "queued", since_s=BEGIN_S + 4990).points) > 0


def test_a_reader_says_clearly_that_the_file_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"no history" * 1000)
    with pytest.raises(HistoryDamaged, match="cannot be read"), read_history(path):
        pass


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    keep(path, sights(10))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(HostError, match="newer Colonnade"), read_history(path):
        pass
    writer = HistoryWriter(path)
    for sight in sights(10, begin_s=BEGIN_S + 100):
        writer.add(sight)
    writer.commit(BEGIN_S + 110)
    writer.close()
    assert "newer Colonnade" in writer.trouble
    assert path.read_bytes() == before


def test_a_full_disk_is_told_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    keep(path, sights(10))
    writer = HistoryWriter(path)
    writer.commit(BEGIN_S + 10)
    connection = writer._connection  # SQLite's own bound on the file refuses with the very error of a full disk
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 1")
    many = tuple(Sample("x", (("n", str(n)),), 1.0) for n in range(1000))
    for second in range(20, 40):
        writer.add(Sight(BEGIN_S + second, many))
    writer.commit(BEGIN_S + 40)
    assert "disk is full" in writer.trouble
    connection.execute("PRAGMA max_page_count = 1000000")
    writer.add(Sight(BEGIN_S + 40, many))
    writer.commit(BEGIN_S + 41)
    writer.close()
    assert not writer.trouble
    assert writer.sights_lost == 0
    with read_history(path) as history:
        assert history is not None
        lines = history.read("x", since_s=BEGIN_S, until_s=1e10)
    assert {len(line.points) for line in lines} == {21}


def test_what_waits_for_a_full_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colonnade.observe.history.writer.WAITING_MAX", 10)
    path = tmp_path / "history.sqlite"
    open_for_writing(path).close()
    writer = HistoryWriter(path)
    writer.commit(BEGIN_S)
    assert writer._connection is not None
    writer._connection.execute("PRAGMA max_page_count = 1")
    many = tuple(Sample("x", (("n", str(n)),), 1.0) for n in range(1500))
    for second in range(40):
        writer.add(Sight(BEGIN_S + second, many))
        if second % 5 == 4:
            writer.commit(BEGIN_S + second)
    assert writer.trouble
    assert writer.sights_lost == 30
    writer.close()
