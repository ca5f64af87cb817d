"""Backups of a whole system, by its command line: a moment between two writes, a trial, and what a failure leaves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from colonnade.database.secrets import SUPERUSER, load_or_make_secrets

from .harness import TINY_SERVICE, Runner, kill

pytestmark = pytest.mark.slow


def start(runner: Runner, standbys: int = 2) -> None:
    """Up, with the first backup taken, which the schedule makes at once."""
    runner.declare(f"{TINY_SERVICE}\n[database]\nstandbys = {standbys}\n[database.backup]\n")
    runner.up()
    runner.wait_until(lambda: whole(runner, standbys) and backup_of(runner)["count"] >= 1, "there is a backup")


def database(runner: Runner) -> dict[str, Any]:
    status = runner.status()
    found = status["database"] if status is not None else None
    return found if found is not None and found["nodes"] else {"writable": False, "nodes": [], "primary": None}


def backup_of(runner: Runner) -> dict[str, Any]:
    found: dict[str, Any] = database(runner).get("backup") or {"count": 0, "archive_pending_segments": -1}
    return found


def whole(runner: Runner, standbys: int = 2) -> bool:
    found = database(runner)
    roles = sorted(
        node["role"] for node in found["nodes"] if node["sync_state"] == "quorum" or node["role"] == "primary"
    )
    return bool(found["writable"]) and roles == ["primary", *["standby"] * standbys]


@contextmanager
def session(runner: Runner) -> Iterator[psycopg.Connection[Any]]:
    found = database(runner)
    port = next(node["port"] for node in found["nodes"] if node["name"] == found["primary"])
    password = load_or_make_secrets(runner.paths.root / "database", None).superuser
    with psycopg.connect(
        host=str(runner.paths.sockets / "db"),
        port=port,
        user=SUPERUSER,
        password=password,
        dbname="app",
        autocommit=True,
    ) as connection:
        yield connection


def ask(runner: Runner, statement: str) -> Any:
    with session(runner) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def until_archived(runner: Runner) -> None:
    """All WAL so far is in the archive: switch, which also wakes archivers that gave up, and wait."""
    ask(runner, "SELECT pg_switch_wal()")
    runner.wait_until(lambda: backup_of(runner)["archive_pending_segments"] == 0, "the archive is up to date", 30)


def names_in(place: Path) -> list[tuple[str, int, int]]:
    return sorted((str(file), file.lstat().st_size, file.lstat().st_mtime_ns) for file in place.rglob("*"))


def marks(runner: Runner) -> list[str]:
    with session(runner) as connection:
        return [row[0] for row in connection.execute("SELECT word FROM marks ORDER BY word").fetchall()]


def restore(runner: Runner, *arguments: str, exit_code: int = 0) -> str:
    ran = runner.run("db", "restore", *arguments)
    assert ran.exit_code == exit_code, ran.text + runner.story()
    return ran.text


def down(runner: Runner) -> None:
    ran = runner.run("down", timeout_s=100)
    assert ran.exit_code == 0, ran.text


def test_a_moment_between_two_writes_comes_back_across_a_failover_with_the_archive_behind(runner: Runner) -> None:
    start(runner)
    ask(runner, "CREATE TABLE marks (word text)")
    ask(runner, "INSERT INTO marks VALUES ('first')")
    between = ask(runner, "SELECT clock_timestamp()::text")
    archive = runner.directory / "backups" / "wal"
    archive.chmod(0o500)
    for _ in range(4):
        ask(runner, "CREATE TABLE IF NOT EXISTS filling (text text)")
        ask(runner, "INSERT INTO filling SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
        ask(runner, "SELECT pg_switch_wal()")
    old = database(runner)
    kill(next(node["pid"] for node in old["nodes"] if node["name"] == old["primary"]))
    runner.wait_until(lambda: database(runner)["primary"] not in (None, old["primary"]) and whole(runner), "a failover")
    ask(runner, "INSERT INTO marks VALUES ('second')")
    runner.wait_until(lambda: backup_of(runner).get("archive_trouble"), "the trouble is shown", 30)
    assert not [file for file in archive.iterdir() if file.name.startswith("00000002")]
    assert any("archive" in problem for problem in (runner.status() or {})["problems"])
    assert "Permission denied" in runner.run("db", "status").text
    archive.chmod(0o700)
    until_archived(runner)
    refused = restore(runner, "--to-time", between, "--yes", exit_code=3)
    assert "colonnade down" in refused
    told = json.loads(runner.run("db", "backups", "--json").out)
    assert told["missing_wal"] == ""
    down(runner)
    assert "timeline 3" in restore(runner, "--to-time", between, "--yes")
    runner.up()
    runner.wait_until(lambda: whole(runner), "the restored system is whole")
    assert marks(runner) == ["first"]
    assert list((runner.paths.root / "database").glob("before-restore-*/nodes/a/PG_VERSION"))
    # The restored history is archived and backed up like any other.
    ask(runner, "INSERT INTO marks VALUES ('third')")
    assert runner.run("db", "backup").exit_code == 0
    assert "-incremental:" in runner.run("db", "backup", "--incremental").text, "summaries are made again"
    until_archived(runner)
    into = runner.directory / "copy"
    restore(runner, "--latest", "--into", str(into))
    assert (into / "PG_VERSION").exists()
    assert not (into / "postmaster.pid").exists()


def test_a_restore_that_fails_or_is_killed_leaves_everything_as_it_was(runner: Runner) -> None:
    start(runner, standbys=0)
    ask(runner, "CREATE TABLE marks (word text)")
    ask(runner, "INSERT INTO marks VALUES ('kept')")
    ask(runner, "INSERT INTO marks SELECT repeat('x', 1000) FROM generate_series(1, 9000)")
    ask(runner, "DELETE FROM marks WHERE word <> 'kept'")
    until_archived(runner)
    down(runner)
    before = names_in(runner.paths.root / "database" / "nodes")
    record = (runner.paths.root / "database" / "record.json").read_bytes()
    archive = runner.directory / "backups" / "wal"
    later = restore(runner, "--to-time", "2099-01-01 00:00:00", "--yes", exit_code=5)
    assert "UTC is assumed" in later
    assert "the latest possible time is 20" in later
    earlier = restore(runner, "--to-time", "2001-01-01T00:00:00+02:00", "--yes", exit_code=5)
    assert "the earliest possible time is 20" in earlier
    assert "no backup" in restore(runner, "--to-backup", "nothing", "--yes", exit_code=5)
    segments = sorted(file for file in archive.iterdir() if len(file.name) == 24)
    lost, content = segments[-3], segments[-3].read_bytes()
    lost.unlink()
    assert lost.name in restore(runner, "--latest", "--yes", exit_code=5)
    lost.write_bytes(bytes(len(content)))
    os.chown(lost, segments[-1].stat().st_uid, segments[-1].stat().st_gid)
    assert "damaged" in restore(runner, "--latest", "--yes", exit_code=5)
    lost.write_bytes(content)
    mode = runner.directory.stat().st_mode
    told = restore(runner, "--to-backup", backup_id(runner), "--into", str(runner.directory / "copy"))
    assert "timeline 2" in told
    assert runner.directory.stat().st_mode == mode, "the directory above is not ours to change"
    _kill_a_restore(runner)
    assert names_in(runner.paths.root / "database" / "nodes") == before
    assert (runner.paths.root / "database" / "record.json").read_bytes() == record
    assert runner.processes() == []
    runner.up()
    runner.wait_until(lambda: whole(runner, 0), "the system runs as before")
    assert marks(runner) == ["kept"]
    assert not (runner.paths.root / "database" / "restore.new").exists()


def backup_id(runner: Runner) -> str:
    """Of the oldest backup, from the disk: the system may be down."""
    return min(place.name for place in (runner.directory / "backups" / "base").iterdir())


def _kill_a_restore(runner: Runner) -> None:
    """SIGKILL while its server recovers: nothing of it may live on."""
    with runner.begin("db", "restore", "--latest", "--yes") as process:
        place = runner.paths.root / "database" / "restore.new" / "nodes" / "a" / "postmaster.pid"
        runner.wait_until(place.exists, "the restore's server starts")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    runner.wait_until(lambda: not runner.processes(), "its server has ended")


@pytest.fixture
def closed(runner: Runner) -> Iterator[Runner]:
    """As root: a project below a directory that the servers' user may not pass."""
    place = runner.directory
    if os.geteuid() == 0:
        runner.directory = place / "in between" / "project"
        runner.directory.mkdir(parents=True)
        place.chmod(0o700)
    yield runner
    runner.run("down")
    place.chmod(0o755)


def test_a_trial_restore_is_good_and_a_damaged_backup_is_found(closed: Runner) -> None:
    runner = closed
    start(runner, standbys=0)
    ask(runner, "CREATE TABLE marks AS SELECT i::text AS word FROM generate_series(1, 5000) i")
    taken = runner.run("db", "backup", "--full")
    assert taken.exit_code == 0, taken.text
    good = runner.run("db", "verify")
    assert good.exit_code == 0, good.text + runner.story()
    assert "5000 rows" in good.text
    restore(runner, "--latest", "--into", str(runner.directory / "copy"))
    assert not (runner.directory / "copy" / "postmaster.pid").exists()
    latest = json.loads(runner.run("db", "backups", "--json").out)["latest"]
    data = runner.directory / "backups" / "base" / latest / "data"
    victim = max((file for file in data.glob("base/*/*")), key=lambda file: file.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[9000] ^= 0xFF
    victim.write_bytes(content)
    bad = runner.run("db", "verify")
    assert bad.exit_code == 5, bad.text
    assert "pg_verifybackup" in bad.text
    problems = runner.wait_until(lambda: (runner.status() or {})["problems"], "the status tells")
    assert "trial restore" in str(problems)
    assert not list((runner.paths.root / "database" / "scratch").iterdir())
