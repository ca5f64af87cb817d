"""Which answers mean that a replica is ready."""

import pytest

from colonnade.runtime.probe import judge


@pytest.mark.parametrize(
    ("status", "is_ok"),
    [
        *[(100, False), (200, True), (204, True), (302, True), (401, True), (404, True), (499, True)],
        *[(500, False), (503, False)],
    ],
)
def test_any_answer_below_500_means_ready(status: int, is_ok: bool) -> None:
    result = judge(status)
    assert (result.is_ok, result.message) == (is_ok, f"answered {status}")
