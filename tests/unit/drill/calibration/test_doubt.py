"""When a calibration is not to be believed: one stretch of load, and the whole."""

from __future__ import annotations

from dataclasses import replace

from colonnade.drill.calibration.measure import doubt_of
from colonnade.drill.calibration.shot import Shot

CALM = Shot(
    rate_per_s=100.0,
    latencies_s=(0.01,),
    ok_rate=100.0,
    failed_share=0.0,
    cpu_s={"web": 0.002},
    generator_cpu_s=0.0005,
    others_share=0.04,
    lag_p99_s=0.002,
)


def test_a_stretch_is_doubted_when_requests_were_late_or_strangers_worked() -> None:
    assert CALM.doubt == ""
    assert "40 ms late" in replace(CALM, lag_p99_s=0.04).doubt
    assert "others used 31% of the machine" in replace(CALM, others_share=0.31).doubt


def test_the_whole_is_doubted_from_a_fifth_of_its_stretches_on_and_never_for_one() -> None:
    assert doubt_of([], 12) == ""
    assert doubt_of(["late"], 2) == ""
    assert doubt_of(["late", "late"], 12) == ""
    assert doubt_of(["late", "late", "busy"], 12).startswith("3 of 12 stretches of load are doubtful (the last: busy)")
