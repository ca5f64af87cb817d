"""When a calibration is not to be believed: one stretch of load, and the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.core.processor import cores_count
from colonnade.drill.calibration.parts import Reading
from colonnade.drill.calibration.shot import _shot, _slowest_moment, settling_s, together, usual, usual_rate
from colonnade.drill.calibration.verify import change_of, doubt_of
from colonnade.planning.calibration import KERNEL

from ..builders import at_second, history, read
from .shots import CALM


def test_a_stretch_is_doubted_when_requests_were_late_or_strangers_worked() -> None:
    assert CALM.doubt == ""
    assert "40 ms late" in replace(CALM, lag_p99_s=0.04).doubt
    assert "others used 31% of the machine" in replace(CALM, others_share=0.31).doubt
    assert "one moment was 9 times as slow" in replace(CALM, slowest_moment=9.2).doubt


def test_a_moment_of_standing_still_is_seen_and_a_queue_that_grows_is_none() -> None:
    calm = [(part / 20, 0.01) for part in range(200)]
    assert _slowest_moment(calm, 10.0) == pytest.approx(1)
    stalled = [(at_s, 0.5 if 3 <= at_s < 4 else latency_s) for at_s, latency_s in calm]
    assert _slowest_moment(stalled, 10.0) == pytest.approx(50)
    growing = [(at_s, 0.01 + 0.1 * at_s) for at_s, _ in calm]
    assert _slowest_moment(growing, 10.0) < 3
    assert _slowest_moment(stalled[::2], 10.0) == 1, "too few to say"
    short = [(at_s / 5, latency_s) for at_s, latency_s in stalled]
    assert _slowest_moment(short, 2.0) > 5, "a fifth of a second, in two"


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


def test_how_much_the_machine_changed_between_rounds_is_the_median_of_all_stretches() -> None:
    first = {"a": 100.0, "b": 200.0, "c": 50.0, "d": 0.0}
    assert change_of([first, first]) == 0
    assert change_of([first, {"a": 90.0, "b": 180.0, "c": 500.0, "d": 10.0}]) == pytest.approx(-0.1), "c is a chance"
    assert change_of([first, {"e": 1.0}]) == 0
    rounds = [{"a": rate} for rate in (100.0, 120.0, 500.0, 5.0, 130.0, 134.0)]
    assert change_of(rounds) == pytest.approx(0.2), "of two rounds each, whatever was in between"


def test_stretches_of_one_load_are_pooled_and_the_worst_doubt_is_kept() -> None:
    other = replace(CALM, latencies_s=(0.005, 0.03), ok_rate=90.0, cpu_s={"web": 0.004}, lag_p99_s=0.04)
    both = together(
        [replace(CALM, by_action_s={"a": (0.01,)}), replace(other, by_action_s={"a": (0.005,), "b": (0.03,)})]
    )
    assert both.by_action_s == {"a": (0.01, 0.005), "b": (0.03,)}
    assert both.latencies_s == (0.005, 0.01, 0.03)
    assert both.ok_rate == 95.0
    assert both.cpu_s == pytest.approx({"web": 0.003})
    assert "40 ms late" in both.doubt


def test_of_several_rounds_the_slowest_and_the_fastest_quarter_do_not_count() -> None:
    fast, slower, slow, stalled = (replace(CALM, latencies_s=(mean_s,)) for mean_s in (0.01, 0.012, 0.02, 0.5))
    assert usual([stalled, fast, slow, slower]).latencies_s == (0.012, 0.02)
    assert usual([stalled, slower, fast]).latencies_s == (0.012,)
    assert usual([stalled, fast]).latencies_s == (0.01, 0.5)
    assert usual([stalled]).latencies_s == (0.5,)


def test_of_several_rounds_the_middle_ones_say_how_many_are_answered() -> None:
    def rate_of(*rates: float) -> float:
        return usual_rate([replace(CALM, ok_rate=rate) for rate in rates])

    assert rate_of(3.0, 400.0, 300.0, 999.0) == pytest.approx(350.0)
    assert rate_of(3.0, 400.0, 300.0) == pytest.approx(300.0)
    assert rate_of(200.0, 400.0) == pytest.approx(300.0)


def test_a_short_stretch_settles_for_half_a_second_or_half_of_it() -> None:
    assert [settling_s(duration_s) for duration_s in (20.0, 5.0, 2.0, 1.0, 0.4)] == [4.0, 1.0, 0.5, 0.5, 0.2]


def test_times_are_kept_for_each_kind_of_request() -> None:
    sent = history(*(at_second(read(), float(second), took_s=second / 100) for second in range(10)))
    operations = tuple(replace(each, action=("even", "odd")[index % 2]) for index, each in enumerate(sent.operations))
    shot = _shot(sent.plan, replace(sent, operations=operations), Reading({}, 1.0, 0.0), 0.1, 10.0, {})
    assert shot.by_action_s["even"] == pytest.approx((0.02, 0.04, 0.06, 0.08))
    assert shot.by_action_s["odd"] == pytest.approx((0.03, 0.05, 0.07, 0.09))


def test_what_is_late_while_connections_are_opened_is_no_reason_to_doubt() -> None:
    late = at_second(read(), 1.0, took_s=0.9, started_at=1.5, sent_at=1.5)
    sent = history(late, *(at_second(read(), float(second)) for second in range(2, 10)))
    shot = _shot(sent.plan, sent, Reading({"web": 0.5}, machine_busy_s=1.0, kernel_s=0.3), 0.1, 10.0, {})
    assert shot.lag_p99_s == 0
