"""The history's writer, killed with SIGKILL in the middle of its writes, again and again on one file; and a system that
is killed as a whole.

    HISTORY_KILLS=50 HISTORY_SYSTEM_KILLS=50 pytest tests/e2e/test_history_kills.py      # for longer

With the writer alone time goes faster than life: a sight for each second, written as fast as the disk takes batches, so
that the file is folded many times a second and the kills meet that too.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from colonnade.observe.history.reader import HistoryReader, read_history

from .harness import TINY_SERVICE, Runner, kill

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("HISTORY_KILLS", "5"))

SYSTEM_KILLS = int(os.environ.get("HISTORY_SYSTEM_KILLS", "1"))

LOST_MAX_S = 15.0
"""Five seconds are a batch; the rest is for a machine that stands still now and then."""

BATCH = 5

SERIES = 20

WRITER = f"""
import sys
from pathlib import Path
from colonnade.observe.history.writer import HistoryWriter
from colonnade.observe.sample import Sample, Sight

begin_s = int(sys.argv[2])
writer = HistoryWriter(Path(sys.argv[1]))
for second in range(begin_s, begin_s + 10**6):
    samples = [Sample("gauge", (("n", str(n)),), float(second % 1000 + n)) for n in range({SERIES})]
    writer.add(Sight(second, (*samples, Sample("counter_total", (), 3.0 * second))))
    if second % {BATCH} == 0:
        writer.commit(second)
        assert not writer.trouble and not writer.notice, (writer.trouble, writer.notice)
        print(second, flush=True)
"""


@pytest.mark.timeout(60 + 5 * KILLS)
def test_a_killed_writer_leaves_a_file_that_is_whole_up_to_the_last_batch(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    random = Random(7)
    next_s = first_s = 1_700_000_400
    for _ in range(KILLS):
        acknowledged_s = killed_while_writing(path, next_s, lines=random.randint(1, 150))
        last_s = last_sight(path)
        # What was written is there; what is there was handed over, the batch that was under way at most.
        assert acknowledged_s <= last_s <= acknowledged_s + BATCH
        next_s = last_s + 1
    assert next_s - first_s > 600 * (KILLS // 5)


def killed_while_writing(path: Path, begin_s: int, *, lines: int) -> int:
    """Let a writer begin at `begin_s`, and kill it after it acknowledged so many batches; the last one's time."""
    command = [sys.executable, "-c", WRITER, str(path), str(begin_s)]
    acknowledged_s = begin_s - 1
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for _ in range(lines):
                line = process.stdout.readline()
                assert line, process.stderr.read()
                acknowledged_s = int(line)
        finally:
            process.send_signal(signal.SIGKILL)
        # What it had told before it was killed counts too.
        rest = [line for line in process.stdout.read().split("\n")[:-1] if line]
    return int(rest[-1]) if rest else acknowledged_s


def last_sight(path: Path) -> int:
    """Look through the whole file; the time of its newest sight."""
    with read_history(path) as history:
        assert history is not None
        span_s = history.span_s()
        assert span_s is not None
        check_values(history, int(span_s[1]))
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    return int(span_s[1])


def check_values(history: HistoryReader, last_s: int) -> None:
    """Each second once, each value right, and nothing counted twice where old and new meet."""
    lines = history.read("gauge", since_s=last_s - 500, until_s=last_s + 1)
    assert len(lines) == SERIES
    for line in lines:
        number = int(line.series.labels[0][1])
        times_s = [point.at_s for point in line.points]
        assert times_s == list(range(times_s[0], last_s + 1))
        assert all(point.last == point.at_s % 1000 + number for point in line.points)
    for points_max in (500, 100):
        (counter,) = history.read("counter_total", since_s=last_s - 3000, until_s=last_s, points_max=points_max)
        full = [point for point in counter.points if point.at_s + counter.step_s < last_s][1:]
        assert all(point.mean == pytest.approx(3.0, rel=1e-6) for point in full)


@pytest.mark.timeout(120 + 40 * SYSTEM_KILLS)
def test_a_system_that_is_killed_as_a_whole_keeps_its_history(runner: Runner) -> None:
    runner.declare(f"{TINY_SERVICE}\n[dashboard]\nenabled = true\n")
    known: set[int] = set()
    for _ in range(SYSTEM_KILLS):
        runner.up()
        runner.wait_until(lambda: seconds_of(runner) - known, "it writes")
        # Whatever it does at this moment: between two batches, in one, or folding.
        time.sleep(Random(len(known)).uniform(0.0, 6.0))
        acknowledged = seconds_of(runner)
        killed_at_s = time.time()
        kill(*runner.processes())
        found = seconds_of(runner)
        assert acknowledged <= found
        assert killed_at_s - max(found) < LOST_MAX_S
        connection = sqlite3.connect(runner.paths.history)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        assert not list(runner.paths.history.parent.glob("*.unreadable.*"))
        known.update(found)
    runner.run("down", "--force")


def seconds_of(runner: Runner) -> set[int]:
    """All seconds of the last minutes that the history knows."""
    with read_history(runner.paths.history) as history:
        if history is None:
            return set()
        lines = history.read("colonnade_service_requests_total", since_s=time.time() - 590, until_s=1e10)
        return {point.at_s for line in lines for point in line.points}
