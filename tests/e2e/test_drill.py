"""Whole drills of a small application: from the command to the report, and nothing is left of them."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from colonnade.core.processes import marked_processes
from colonnade.drill.instance import SCRATCH_PREFIX, sweep
from colonnade.drill.record import FaultEnd, FaultRecord
from colonnade.drill.record_file import read_record

from .harness import TINY_SERVICE, WAIT_S, Runner

pytestmark = pytest.mark.slow

DRILL_TIMEOUT_S = 100.0
"""A drill of 15 s takes 25 on an idle machine."""

NOTES_APP = """
import json
import sqlite3

def connect():
    found = sqlite3.connect("data/notes.sqlite3", timeout=10, isolation_level=None)
    found.execute("PRAGMA journal_mode = WAL")
    found.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE)")
    return found

def app(environ, start_response):
    database = connect()
    status, value = "200 OK", {}
    if environ["REQUEST_METHOD"] == "POST":
        text = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
        database.execute("INSERT INTO notes (text) VALUES (?) ON CONFLICT DO NOTHING", (text,))
        (number,) = database.execute("SELECT id FROM notes WHERE text = ?", (text,)).fetchone()
        status, value = "201 Created", {"id": number, "text": text}
    elif environ["PATH_INFO"] == "/notes":
        rows = database.execute("SELECT id, text FROM notes ORDER BY id DESC LIMIT 1000").fetchall()
        value = [{"id": number, "text": text} for number, text in rows]
    database.close()
    body = json.dumps(value).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
"""Keeps notes in a file that its replicas share: something that can be lost, without a server to wait for."""

NOTES = """
[system]
shared = ["data"]
[services.web]
app = "notes:app"
route = "/"
replicas = 3
idempotency_key = true
[drill]
reads = [{ path = "/" }, { path = "/notes" }]
writes = [{ path = "/notes", body = "{token}", headers = { Idempotency-Key = "{key}" }, status = 201 }]
list = "/notes"
text_field = "text"
own = [{ path = "/notes", newest = 1000 }]
"""

SCENARIO = """
title = "One replica dies and another one freezes, and nobody notices."
steady = "2s"
recovery = "3s"
[load]
rate = 40
write_share = 0.2
session_share = 0.4
[[fault]]
kind = "kill"
at = "3s"
role = "replica"
[[fault]]
kind = "kill"
at = "4s"
role = "standby"
[[fault]]
kind = "freeze"
at = "6s"
lasts = "LASTS"
role = "replica"
[rules]
lost_writes_max = 0
doubled_writes_max = 0
phantom_writes_max = 0
stale_session_reads_max = 0
two_primaries_s_max = 0
failed_reads_share_max = 0.2
read_gap_s_max = 10
recovery_s_max = 30
leftovers_max = 0
"""


SHORT = """
title = "One replica dies."
steady = "1s"
recovery = "2s"
load = { rate = 20 }
fault = [{ kind = "kill", at = "1s", role = "replica" }]
rules = { lost_writes_max = 0, read_gap_s_max = 10 }
"""


@pytest.fixture
def scratch(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where drills make their instances: in the test's own directory, so that what they leave is seen."""
    place = runner.directory / "scratch"
    place.mkdir(mode=0o755)
    runner.env["TMPDIR"] = str(place)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@pytest.fixture
def notes(runner: Runner, scratch: Path) -> Runner:
    """An application of its own, beside which `scratch` lies."""
    project = Runner(runner.directory / "project", runner.port, runner.env)
    project.directory.mkdir(mode=0o755)
    project.write("notes.py", NOTES_APP)
    project.declare(NOTES)
    data = project.directory / "data"
    data.mkdir()
    data.chmod(0o777)
    return project


def write_scenario(project: Runner, lasts: str = "2s") -> str:
    return str(project.write("small.toml", SCENARIO.replace("LASTS", lasts)))


def begin(project: Runner, *options: str, lasts: str = "60s") -> subprocess.Popen[str]:
    return project.begin("drill", "run", write_scenario(project, lasts), "--seed", "5", *options)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What it prints up to the line with these words; fails when it ends before."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if words in line:
            return text
    raise AssertionError(f"ended without {words!r}:\n{text}{process.stderr.read() if process.stderr else ''}")


def report_in(project: Runner) -> Path:
    (directory,) = (project.directory / ".colonnade" / "drills").iterdir()
    return directory


def by_kind(faults: tuple[FaultRecord, ...]) -> dict[str, FaultRecord]:
    return {f"{fault.planned.kind} {fault.planned.aim.role}": fault for fault in faults}


def instances(scratch: Path) -> list[Path]:
    return list(scratch.glob(f"{SCRATCH_PREFIX}*"))


def test_a_drill_breaks_a_copy_and_comes_to_a_verdict(notes: Runner, scratch: Path) -> None:
    ran = notes.run("drill", "run", write_scenario(notes), "--seed", "5", timeout_s=DRILL_TIMEOUT_S)
    directory = report_in(notes)
    report: dict[str, Any] = json.loads((directory / "report.json").read_text())
    record = read_record(directory)

    # A machine that is busy with other tests may keep the generator from being on time: then nothing is known.
    late = [doubt for doubt in report["doubts"] if "keep up" in doubt or "late" in doubt]
    assert ran.exit_code == (6 if late else 0), ran.text
    assert report["verdict"] == ("unknown" if late else "valid"), ran.text
    assert {path.name for path in directory.iterdir()} >= {"report.html", "junit.xml", "record.json"}

    faults = by_kind(record.faults)
    assert (faults["kill standby"].end, faults["kill standby"].reason) == (FaultEnd.SKIPPED, "no_such_target")
    for name in ("kill replica", "freeze replica"):
        assert faults[name].end is FaultEnd.DONE, faults[name]
        assert faults[name].whole_at is not None
    assert any(event.kind == "replica_exited" for event in record.events)
    assert record.held
    assert "two_primaries_s_max" not in record.scenario.rules, "there is no database to ask about"
    assert record.leftovers is not None
    assert len(record.leftovers) == 0, record.leftovers

    assert instances(scratch) == []
    assert not (notes.directory / "data" / "notes.sqlite3").exists(), "the original's data was not touched"
    shown = notes.run("drill", "show", str(directory))
    assert report["verdict"] in shown.out
    compared = notes.run("drill", "compare", str(directory), str(directory))
    assert "0 of" in compared.out


def test_repeats_are_told_together_and_each_is_held_against_the_one_before(notes: Runner, scratch: Path) -> None:
    short = notes.write("short.toml", SHORT)
    ran = notes.run("drill", "run", str(short), "--repeat", "2", "--seed", "5", timeout_s=DRILL_TIMEOUT_S)
    assert ran.exit_code in (0, 6), ran.text  # a machine that is busy with other tests may leave it unknown
    assert "seed 5 (1 of 2)" in ran.out
    assert ran.out.count("since the run before it (seed 5, ") == 1
    assert "2 runs with " in ran.out
    pages = sorted(path.read_text() for path in (notes.directory / ".colonnade" / "drills").glob("*/report.html"))
    assert [("This is one run." in page, "2 runs with " in page) for page in pages] == [(True, False), (False, True)]
    assert instances(scratch) == []


def test_an_interrupted_drill_heals_and_still_writes_its_report(notes: Runner, scratch: Path) -> None:
    with begin(notes) as process:
        text = read_until(process, "freeze replica")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DRILL_TIMEOUT_S)
    assert process.returncode == 130, text + out + err

    directory = report_in(notes)
    record = read_record(directory)
    frozen = by_kind(record.faults)["freeze replica"]
    assert record.is_interrupted
    assert (directory / "report.html").exists()
    assert frozen.end is FaultEnd.DONE
    assert frozen.healed_at is not None
    assert record.history.stopped_at is not None
    assert record.held is not None
    assert record.leftovers is not None
    assert len(record.leftovers) == 0, record.leftovers
    assert instances(scratch) == []


def test_a_drill_that_is_interrupted_at_its_start_leaves_nothing(notes: Runner, scratch: Path) -> None:
    with begin(notes) as process:
        read_until(process, "starting an instance")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=DRILL_TIMEOUT_S)
    assert process.returncode == 130, out + err
    assert "nothing is left" in out
    assert instances(scratch) == []


def test_what_a_killed_drill_leaves_is_cleared_away_by_the_next(notes: Runner, scratch: Path) -> None:
    with begin(notes) as process:
        read_until(process, "kill replica")
        load = [
            each for each in psutil.Process(process.pid).children() if "colonnade.drill.load.apart" in each.cmdline()
        ]
        process.kill()
        process.communicate(timeout=DRILL_TIMEOUT_S)
    assert load, "it sends load"
    assert psutil.wait_procs(load, timeout=WAIT_S)[1] == [], "whose caller is dead ends by itself"
    (left,) = instances(scratch)
    assert marked_processes(str(left / "state")), "it was killed in the middle"

    assert sweep() == (str(left),)
    assert instances(scratch) == []
    assert marked_processes(str(left / "state")) == []
    assert sweep() == ()


def test_an_application_that_does_not_start_is_told_and_removed(notes: Runner, scratch: Path) -> None:
    notes.write("notes.py", "raise SystemExit('no way')")
    ran = notes.run("drill", "run", write_scenario(notes), timeout_s=DRILL_TIMEOUT_S)
    assert ran.exit_code not in (0, 1, 6, 130), ran.text
    assert "no way" in ran.err
    assert instances(scratch) == []


def test_a_declared_page_that_does_not_answer_is_told_before_anything_is_broken(runner: Runner, scratch: Path) -> None:
    runner.declare(TINY_SERVICE + '[drill]\nreads = [{ path = "/", status = 418 }]\n')
    scenario = write_scenario(runner)
    ran = runner.run("drill", "run", scenario, timeout_s=DRILL_TIMEOUT_S)
    assert ran.exit_code == 2, ran.text
    assert "GET / answers 200 before anything is broken, expected 418" in ran.err
    assert instances(scratch) == []


def test_the_default_of_an_application_that_says_nothing_is_to_read_it(runner: Runner, scratch: Path) -> None:
    runner.declare(TINY_SERVICE)
    with begin(runner, lasts="1s") as process:
        read_until(process, "kill replica")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DRILL_TIMEOUT_S)
    record = read_record(report_in(runner))
    assert {operation.action for operation in record.history.operations} == {"GET /", "GET /readyz"}
    assert record.history.plan.write_share == 0
    assert record.held is None
    assert any("nothing was written" in sentence for sentence in record.untested)


def test_a_database_of_somebody_else_is_not_written_to(runner: Runner, scratch: Path) -> None:
    runner.declare(TINY_SERVICE + '[database]\nurl = "postgresql://app@127.0.0.1:1/app"\n')
    ran = runner.run("drill", "run", "replicas")
    assert ran.exit_code == 2
    assert "--allow-external-database" in ran.err
    assert instances(scratch) == []
