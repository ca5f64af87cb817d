"""Where things stand in the picture."""

from dataclasses import replace
from itertools import pairwise

import pytest

from colonnade.drill.load.ledger import Outcome
from colonnade.drill.report.timeline import LEFT, RIGHT, ROW_HEIGHT, Timeline, timeline_of

from ...drill.builders import at_second, read, write
from ..records import FAULTS, clean_record, small_record


def test_faults_lie_at_their_times() -> None:
    drawn = timeline_of(clean_record())
    kill = next(band for band in drawn.bands if band.name == "kill primary")
    per_s = (RIGHT - LEFT) / 60.05

    assert kill.x == pytest.approx(LEFT + 20 * per_s)
    assert kill.width == pytest.approx(5 * per_s)


def test_names_of_faults_never_lie_on_each_other() -> None:
    crowd = tuple(
        replace(FAULTS[0], injected_at=1_000.0 + number, whole_at=1_001.0 + number) for number in range(0, 60, 3)
    )
    bands = timeline_of(replace(clean_record(), faults=crowd)).bands
    rows: dict[float, list[float]] = {}
    for band in bands:
        rows.setdefault(band.label_y, []).append(band.label_x)

    assert all(right - left > 100 for xs in rows.values() for left, right in pairwise(xs))
    assert all(band.label_x + 100 < RIGHT + 60 for band in bands)
    assert len(rows) * ROW_HEIGHT < 200


def test_failures_stand_in_the_second_for_which_they_were_meant() -> None:
    failed = at_second(read(Outcome.FAILED), 3.2, took_s=4.0)
    unknown = at_second(write("a", Outcome.UNKNOWN), 3.7)
    drawn = timeline_of(small_record(failed, unknown, *(at_second(read(), n / 10) for n in range(90))))

    assert [(bar.kind, bar.title) for bar in drawn.bars] == [
        ("failed", "1 failed, intended from 3 to 4 s"),
        ("unknown", "1 unknown, intended from 3 to 4 s"),
    ]
    assert drawn.bars[0].y == pytest.approx(drawn.bars[1].y + drawn.bars[1].height)


def test_a_second_without_an_answer_interrupts_the_line_of_latency() -> None:
    operations = [at_second(read(), second + 0.5) for second in (0, 1, 4, 5)]

    assert timeline_of(small_record(*operations)).p50_path.count("M") == 2


@pytest.mark.parametrize("duration_s", [1, 59, 600, 7_000, 90_000])
def test_any_length_of_run_has_a_readable_scale(duration_s: int) -> None:
    record = small_record(at_second(read(), 0.0))
    drawn = timeline_of(replace(record, history=replace(record.history, ended_at=float(duration_s))))

    assert 1 <= len(drawn.seconds) <= 26
    assert_within(drawn)


def assert_within(drawn: Timeline) -> None:
    assert all(LEFT <= mark.position <= RIGHT for mark in drawn.seconds)
    assert all(drawn.latency.top - 1e-6 <= mark.position <= drawn.latency.bottom for mark in drawn.latency_marks)


def test_everything_is_inside_the_drawing() -> None:
    drawn = timeline_of(clean_record())

    assert_within(drawn)
    assert all(LEFT <= tick.x <= RIGHT for tick in drawn.ticks)
    assert all(drawn.errors.top <= bar.y <= drawn.errors.bottom for bar in drawn.bars)
    assert drawn.height > drawn.ticks_y
