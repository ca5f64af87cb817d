"""When a calibration is not to be believed: one stretch of load, and the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.core.processor import cores_count
from colonnade.drill.calibration.measure import doubt_of, slower_of
from colonnade.drill.calibration.parts import Reading
from colonnade.drill.calibration.shot import Shot, _shot, _slowest_second
from colonnade.planning.calibration import KERNEL, Contention

from ..builders import at_second, history, read

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
    assert "one second was 9 times as slow" in replace(CALM, slowest_second=9.2).doubt


def test_a_moment_of_standing_still_is_seen_and_a_queue_that_grows_is_none() -> None:
    usual = [(second + part / 10, 0.01) for second in range(10) for part in range(10)]
    assert _slowest_second(usual) == pytest.approx(1)
    stalled = [(at_s, 0.5 if 3 <= at_s < 4 else latency_s) for at_s, latency_s in usual]
    assert _slowest_second(stalled) == pytest.approx(50)
    growing = [(at_s, 0.01 + 0.1 * at_s) for at_s, _ in usual]
    assert _slowest_second(growing) < 3
    assert _slowest_second(stalled[:30]) == 1


def test_the_whole_is_doubted_from_a_fifth_of_its_stretches_on_and_never_for_one() -> None:
    assert doubt_of([], 12) == ""
    assert doubt_of(["late"], 2) == ""
    assert doubt_of(["late", "late"], 12) == ""
    assert doubt_of(["late", "late", "busy"], 12).startswith("3 of 12 stretches of load are doubtful (the last: busy)")


def test_packets_count_as_a_request_s_cost_and_nobody_s_time_twice() -> None:
    """What the kernel did in between is a part of its own, where it is missing in all others' time."""
    sent = history(*(at_second(read(), float(second)) for second in range(10)))
    used = Reading({"web": 0.5}, machine_busy_s=1.0, kernel_s=0.3)
    background = {"web": 0.01, KERNEL: 0.01}
    shot = _shot(sent.plan, sent, used, 0.1, 10.0, background)
    assert shot.cpu_s == pytest.approx({"web": 0.04, KERNEL: 0.02})
    assert shot.others_share == pytest.approx(0.1 / 10 / cores_count())
    booked = _shot(sent.plan, sent, replace(used, machine_busy_s=0.6), 0.1, 10.0, background)
    assert booked.cpu_s == pytest.approx({"web": 0.04, KERNEL: 0.0}), "in the time of who was interrupted"


def test_a_machine_that_got_slower_while_it_was_measured_is_told() -> None:
    contention = Contention(((1.0, 155.0), (16.0, 483.0)), None, None, None, None)
    assert "483/s were answered" in slower_of(contention, 402.0)
    assert slower_of(contention, 440.0) == ""
    assert slower_of(contention, None) == "", "the capacity was not reached"
    assert slower_of(None, 402.0) == ""
