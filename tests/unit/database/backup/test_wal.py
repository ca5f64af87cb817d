"""What the archive program stores and gives back: idempotent, loud about a conflict, right at a fork."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from colonnade.database.backup import wal

SIZE = 4 * 8192
"""A segment in small: four pages."""

FORK = 2 * SIZE + 2 * 8192 + 100
"""In the third page of segment 2."""


def name(timeline: int, number: int) -> str:
    return f"{timeline:08X}{0:08X}{number:08X}"


def content(number: int, valid: int = SIZE, fill: bytes = b"w", rest: bytes = b"o") -> bytes:
    """A segment with good page headers; `valid` bytes are WAL, what follows was there before, with older addresses."""
    pages = b""
    for offset in range(0, SIZE, 8192):
        address = number * SIZE + offset if offset < valid else offset
        pages += struct.pack("=HHIQ", 0xD118, 0, 1, address) + (fill if offset < valid else rest) * (8192 - 16)
    return pages[:valid] + rest * (SIZE - valid) if valid % 8192 else pages


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """pg_wal of a node, and the archive."""
    for each in ("pg_wal", "archive"):
        (tmp_path / each).mkdir()
    return tmp_path / "pg_wal", tmp_path / "archive"


def store(places: tuple[Path, Path], file: str, data: bytes) -> int:
    source = places[0] / file
    source.write_bytes(data)
    return wal.store(str(source), file, str(places[1]))


def history(place: Path, timeline: int, *forks: tuple[int, int]) -> None:
    lines = [f"{parent}\t{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}\tno recovery target specified\n" for parent, lsn in forks]
    (place / f"{timeline:08X}.history").write_text("".join(lines))


def archived(places: tuple[Path, Path]) -> list[str]:
    return sorted(file.name for file in places[1].iterdir())


def test_the_same_bytes_again_are_fine_and_other_bytes_are_refused(
    places: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert store(places, name(1, 2), content(2)) == wal.OK
    assert store(places, name(1, 2), content(2)) == wal.OK
    assert store(places, name(1, 2), content(2, fill=b"x")) == wal.CONFLICT
    assert wal.MARK in capfd.readouterr().err
    assert archived(places) == [name(1, 2)]
    assert (places[1] / name(1, 2)).read_bytes() == content(2)


def test_nothing_is_left_of_a_copy_that_fails(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    # A patch, because a full disk is hard to come by.
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        store(places, name(1, 2), content(2))
    assert archived(places) == []


def test_a_segment_of_a_timeline_that_has_ended_is_stored_as_partial(places: tuple[Path, Path]) -> None:
    history(places[0], 2, (1, FORK))
    assert store(places, name(1, 2), content(2, FORK - 2 * SIZE)) == wal.OK
    assert archived(places) == [f"{name(1, 2)}.partial"]


def test_up_to_the_fork_equal_is_equal_whatever_follows(places: tuple[Path, Path]) -> None:
    assert store(places, name(1, 2), content(2)) == wal.OK  # the old primary, before anybody knew of a fork
    history(places[1], 2, (1, FORK))
    assert store(places, name(1, 2), content(2, FORK - 2 * SIZE)) == wal.OK
    assert archived(places) == [name(1, 2), "00000002.history"]


def test_a_conflict_before_the_fork_is_refused_under_any_name(places: tuple[Path, Path]) -> None:
    assert store(places, name(1, 2), content(2)) == wal.OK
    history(places[1], 2, (1, FORK))
    assert store(places, name(1, 2), content(2, fill=b"x")) == wal.CONFLICT
    assert store(places, f"{name(1, 2)}.partial", content(2)) == wal.OK
    assert store(places, f"{name(1, 2)}.partial", content(2, fill=b"x")) == wal.CONFLICT


def test_partial_copies_that_differ_beyond_the_fork_are_all_kept(places: tuple[Path, Path]) -> None:
    history(places[1], 2, (1, FORK))
    at = FORK - 2 * SIZE
    assert store(places, f"{name(1, 2)}.partial", content(2, at)) == wal.OK
    assert store(places, f"{name(1, 2)}.partial", content(2, at, rest=b"r")) == wal.OK
    assert store(places, f"{name(1, 2)}.partial", content(2, at, rest=b"r")) == wal.OK
    assert len(archived(places)) == 3


def test_a_restore_gets_nothing_beyond_the_fork(places: tuple[Path, Path], tmp_path: Path) -> None:
    archive = places[1]
    for number in (1, 2, 3):
        assert store(places, name(1, number), content(number)) == wal.OK
    history(archive, 2, (1, FORK))
    target = tmp_path / "out"

    def fetch(file: str, timeline: int) -> int:
        return wal.fetch(file, str(target), str(archive), str(tmp_path / "kept"), timeline)

    assert fetch(name(1, 1), 2) == wal.OK
    assert target.read_bytes() == content(1)
    assert fetch(name(1, 2), 2) == wal.OK
    at = FORK - 2 * SIZE
    assert target.read_bytes() == content(2)[:at] + bytes(SIZE - at)
    assert fetch(name(1, 3), 2) == wal.FAILED
    assert fetch(name(1, 3), 1) == wal.OK
    assert fetch(name(2, 2), 2) == wal.FAILED
    assert fetch("00000002.history", 2) == wal.OK
    assert fetch("00000003.history", 2) == wal.FAILED


def test_of_partial_copies_the_one_with_most_wal_is_given(places: tuple[Path, Path]) -> None:
    archive = places[1]
    (archive / f"{name(1, 2)}.partial").write_bytes(content(2, 8192))
    (archive / f"{name(1, 2)}.partial.0badcafe").write_bytes(content(2, 3 * 8192))
    assert wal.best_copy(name(1, 2), str(archive)) == f"{archive}/{name(1, 2)}.partial.0badcafe"
    (archive / name(1, 2)).write_bytes(content(2))
    assert wal.best_copy(name(1, 2), str(archive)) == f"{archive}/{name(1, 2)}"


def test_what_fails_is_said_and_not_a_success(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert wal.main(["store", str(tmp_path / "none"), name(1, 1), str(tmp_path)]) == wal.FAILED
    assert wal.MARK in capfd.readouterr().err
