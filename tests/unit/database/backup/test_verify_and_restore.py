"""Comparing row counts taken while people write, and reading times."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade.core.errors import SpecError
from colonnade.database.backup.commands import archive_command, fetch_command
from colonnade.database.backup.recover import recovery_error
from colonnade.database.backup.restore_plan import parse_time
from colonnade.database.backup.verify import (
    Count,
    Verification,
    differences_between,
    verification_from_json,
    verification_to_json,
)
from colonnade.database.config import NodeConfig, postgresql_conf
from colonnade.spec.model import BackupSpec, DatabaseSpec


@pytest.mark.parametrize(
    ("before", "copy", "after", "says"),
    [
        (Count(5), Count(5), Count(5), ""),
        (Count(5), Count(4), Count(5), "t has 4 rows, expected 5"),
        (Count(5), Count(6), Count(8), ""),
        (Count(5), Count(9), Count(8), "t has 9 rows, expected 5 to 8"),
        # A queue: three came and three went.
        (Count(5, 10, 10), Count(7), Count(5, 13, 13), ""),
        (Count(5, 10, 10), Count(9), Count(5, 13, 13), "t has 9 rows, expected 2 to 8"),
        (Count(5), None, Count(5), "t is missing"),
        (None, Count(5), None, "t should not be there"),
        (None, Count(5), Count(5), ""),
        (Count(5), None, None, ""),
    ],
)
def test_what_differs(before: Count | None, copy: Count | None, after: Count | None, says: str) -> None:
    tables = [{"t": count} if count is not None else {} for count in (before, copy, after)]
    assert "; ".join(differences_between(*tables)) == says


def test_a_verification_survives_its_json() -> None:
    one = Verification("b1", 5.0, 1.0, 2, 3, ("x",), "", "b0", 4)
    assert verification_from_json(verification_to_json(one)) == one
    assert verification_from_json(None) is None
    assert verification_from_json({"backup_id": 5}) is None


@pytest.mark.parametrize(
    ("text", "time_s", "is_assumed"),
    [
        ("1970-01-02", 86400, True),
        ("1970-01-01 01:00:00", 3600, True),
        ("1970-01-01T01:00:00+01:00", 0, False),
        ("1970-01-01 00:00:05.5Z", 5.5, False),
        ("1970-01-01 00:00:05.250000 UTC", 5.25, False),
    ],
)
def test_times_are_read_with_their_zone(text: str, time_s: float, is_assumed: bool) -> None:
    assert parse_time(text) == (time_s, is_assumed)


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(SpecError, match="expected a time, got 'yesterday'"):
        parse_time("yesterday")


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (
            "FATAL:  recovery ended before configured recovery target was reached\n"
            "LOG:  last completed transaction was at log time 2026-01-02 03:04:05.678+00\n",
            "latest possible time is 2026-01-02 03:04:05 UTC",
        ),
        ("FATAL:  requested recovery stop point is before consistent recovery point", "before the end of the backup"),
        ("LOG:  x\nFATAL:  could not write: No space left on device", "No space left on device"),
        ("", "PostgreSQL gave up: nothing"),
    ],
)
def test_a_failed_recovery_is_told_in_our_words(tmp_path: Path, log: str, says: str) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    assert says in recovery_error(path).message


def test_every_node_archives_and_only_restores_read_the_archive() -> None:
    node = NodeConfig("b", 15_001, Path("/run/s"), Path("/data/history"), "", 18)
    text = postgresql_conf(DatabaseSpec(backup=BackupSpec(directory="/b d/50%")), node)
    assert "archive_mode = 'always'" in text
    assert "summarize_wal = on" in text
    assert "archive_timeout = 60" in text
    assert "%p %f" in text
    assert "50%%" in text
    assert "fetch" not in text
    assert "archive_mode" not in postgresql_conf(DatabaseSpec(), node)
    old = NodeConfig("b", 1, Path("/s"), Path("/h"), "", 16)
    assert "summarize_wal" not in postgresql_conf(DatabaseSpec(backup=BackupSpec()), old)


def test_paths_are_quoted_for_the_shell() -> None:
    assert archive_command(Path("/it's")).endswith("""store %p %f '/it'"'"'s'""")
    assert fetch_command(Path("/a b"), Path("/h"), 3).endswith("fetch %f %p '/a b' /h 3")
