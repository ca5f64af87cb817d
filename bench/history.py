"""What the history costs: processor time per second of a system, and bytes on the disk.

    python bench/history.py cost              # 300 and 1500 series, a sight a second, batches of 5 s, folding included
    python bench/history.py fill --days 8     # how large the file of a whole week gets
    python bench/history.py power             # what FULL costs against NORMAL

Time goes faster than life. Figures of `cost` are processor time, so a busy machine does not spoil them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from colonnade.observe.history.reader import read_history
from colonnade.observe.history.writer import HistoryWriter
from colonnade.observe.sample import Sample, Sight

BEGIN_S = 1_700_000_400

BATCH_S = 5


def sights(series: int, seconds: int, *, every_s: int = 1) -> Iterator[Sight]:
    """Half of the series are counters, half of the gauges never change: much as a real system has them."""
    random = Random(1)  # noqa: S311 — the same each time
    counts = [0.0] * series
    labels = [(("service", f"s{n % 5}"), ("replica", f"s{n % 5}/{n}")) for n in range(series)]
    names = [f"colonnade_metric_{n % 7}{'_total' if n % 2 else ''}" for n in range(series)]
    for second in range(0, seconds, every_s):
        for n in range(series):
            if n % 2:
                counts[n] += random.random() * 20
            elif n % 4:
                counts[n] = random.random() * 100
        # Names and labels are made anew each second, as the dashboard does.
        yield Sight(
            BEGIN_S + second,
            tuple(Sample(names[n], tuple((key, value) for key, value in labels[n]), counts[n]) for n in range(series)),
        )


def cost(series: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "history.sqlite"
        writer = HistoryWriter(path)
        batches, wall = [], []
        for number, sight in enumerate(sights(series, seconds), start=1):
            writer.add(sight)
            if number % BATCH_S == 0:
                began, began_wall = time.process_time(), time.monotonic()
                writer.commit(sight.at_s)
                batches.append(time.process_time() - began)
                wall.append(time.monotonic() - began_wall)
        writer.close()
        share = sum(batches) / seconds * 100
        print(
            f"{series} series, {seconds} s: {share:.3f} % of a core; batches n={len(batches)} median "
            f"{statistics.median(batches) * 1e3:.1f} ms, worst {max(batches) * 1e3:.0f} ms of processor time "
            f"({max(wall) * 1e3:.0f} ms until it was on the disk); file {path.stat().st_size / 1e6:.1f} MB"
        )
        began = time.process_time()
        with read_history(path) as history:
            assert history is not None
            (line, *_) = history.read(
                "colonnade_metric_1_total", {"replica": "s1/1"}, since_s=BEGIN_S, until_s=BEGIN_S + seconds
            )
        print(f"  reading one line of {len(line.points)} points: {(time.process_time() - began) * 1e3:.1f} ms")


def fill(series: int, days: float) -> None:
    """A sight every ten seconds makes the same points as one a second does."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "history.sqlite"
        writer = HistoryWriter(path)
        for number, sight in enumerate(sights(series, int(days * 86_400), every_s=10), start=1):
            writer.add(sight)
            if number % 60 == 0:
                writer.commit(sight.at_s)
        writer.close()
        print(f"{series} series, {days:g} days: {path.stat().st_size / 1e6:.1f} MB")


def power(series: int, batches: int) -> None:
    for mode in ("NORMAL", "FULL"):
        with tempfile.TemporaryDirectory(dir=".") as directory:
            writer = HistoryWriter(Path(directory) / "history.sqlite")
            writer.commit(BEGIN_S)
            assert writer._connection is not None
            writer._connection.execute(f"PRAGMA synchronous = {mode}")
            times = []
            for number, sight in enumerate(sights(series, batches * BATCH_S), start=1):
                writer.add(sight)
                if number % BATCH_S == 0:
                    began = time.monotonic()
                    writer.commit(sight.at_s)
                    times.append(time.monotonic() - began)
            writer.close()
            print(
                f"synchronous = {mode}: n={len(times)} median {statistics.median(times) * 1e3:.2f} ms, "
                f"worst {max(times) * 1e3:.1f} ms until a batch was committed"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["cost", "fill", "power"])
    parser.add_argument("--series", type=int, nargs="*", default=[300, 1500])
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--days", type=float, default=8)
    options = parser.parse_args()
    for series in options.series:
        match options.what:
            case "cost":
                cost(series, options.seconds)
            case "fill":
                fill(series, options.days)
            case _:
                power(series, 60)


if __name__ == "__main__":
    main()
