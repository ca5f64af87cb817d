"""Access logs as the shape of a load."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from colonnade.core.errors import SpecError
from colonnade.drill.load.trace import read_shape
from colonnade.planning.access_log import moment_of
from colonnade.planning.profile import SLICES, shape_of

COMBINED = '203.0.113.9 - - [10/Oct/2025:13:55:36 +0200] "GET /a HTTP/1.1" 200 23 "-" "Mozilla/5.0 (X11; Linux)"'
AT = datetime(2025, 10, 10, 11, 55, 36, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        (COMBINED, AT),
        ('::1 - anna [10/Oct/2025:11:55:36 +0000] "GET / HTTP/1.0" 304 -', AT),
        (json.dumps({"level": "info", "ts": AT, "status": 200}), AT),
        (json.dumps({"time": "2025-10-10T11:55:36Z"}), AT),
        (json.dumps({"@timestamp": "2025-10-10T13:55:36+02:00"}), AT),
        (json.dumps({"timestamp": "2025-10-10T11:55:36"}), AT),
        (json.dumps({"ts": AT * 1000}), AT),
        ("", None),
        ("GET / 200 12ms", None),
        ('x [99/Oct/2025:13:55:36 +0200] "GET /"', None),
        ("{half a line", None),
        ('{"time": null}', None),
        ('{"message": "started"}', None),
    ],
)
def test_the_moment_of_a_line_is_found_or_the_line_passed_over(line: str, moment: float | None) -> None:
    assert moment_of(line) == moment


def test_a_shape_is_the_share_of_each_slice_and_one_on_average() -> None:
    assert shape_of([0, 1, 2, 2.5, 3, 3.5, 4], slices=2) == pytest.approx((4 / 7, 10 / 7))
    assert shape_of([10, 20], slices=4) == (2.0, 0.0, 0.0, 2.0)


def test_a_log_is_read_whatever_else_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    lines = [
        COMBINED.replace("13:55:36", f"13:{minute:02}:{second:02}") for minute in range(10) for second in range(60)
    ]
    path.write_text(
        "\n".join(["# a comment", *lines, "\udcff broken".encode(errors="surrogateescape").decode("latin-1")])
    )

    shape = read_shape(path)

    assert len(shape) == SLICES
    assert shape == pytest.approx((1.0,) * SLICES, abs=0.25)


@pytest.mark.parametrize("text", ["", "nothing\n" * 200, (COMBINED + "\n") * 200])
def test_a_log_without_a_shape_is_refused_with_the_formats_that_are_known(text: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(text)
    with pytest.raises(SpecError, match="moment can be read") as caught:
        read_shape(path)
    assert "combined" in caught.value.hint


def test_a_log_that_is_not_there_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere\.log"):
        read_shape(tmp_path / "nowhere.log")
