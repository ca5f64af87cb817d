"""The back-off: at once the first time, then ever later, never not at all."""

import pytest

from colonnade.runtime.restart import (
    CRASH_LOOP_FAILURES,
    DELAY_MAX_S,
    STABLE_AFTER_S,
    is_crash_loop,
    is_looping,
    next_restart,
)
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState, RestartHistory

MIDDLE = 0.5
"""The jitter that changes nothing."""


def delays(count: int, jitter: float = MIDDLE) -> list[float]:
    """Back-off after each of `count` failures in a row."""
    found, history = [], RestartHistory()
    for number in range(count):
        history = next_restart(history, float(number), 0.0, jitter)
        found.append(history.restart_delay_s)
    return found


def test_the_delay_doubles_from_nothing_to_its_cap() -> None:
    assert delays(9) == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_replica_that_dies_for_a_year_is_still_tried() -> None:
    history = RestartHistory(failures_in_a_row=1_000_000, total_restarts=1_000_000)
    again = next_restart(history, 1.0, 0.0, MIDDLE)
    assert again.restart_delay_s == DELAY_MAX_S
    assert again.total_restarts == 1_000_001


@pytest.mark.parametrize("jitter", [0.0, 0.25, 0.999])
def test_jitter_spreads_by_a_fifth_and_keeps_the_second_start_from_coming_at_once(jitter: float) -> None:
    for delay, middle in zip(delays(9, jitter)[1:], delays(9)[1:], strict=True):
        assert middle * 0.8 <= delay <= middle * 1.2


@pytest.mark.parametrize(
    ("ready_for_s", "failures", "delay_s"),
    [(0.0, 5, 4.0), (STABLE_AFTER_S - 0.01, 5, 4.0), (STABLE_AFTER_S, 1, 0.0), (3600.0, 1, 0.0)],
)
def test_having_served_for_a_while_starts_afresh(ready_for_s: float, failures: int, delay_s: float) -> None:
    history = next_restart(RestartHistory(4, 0.0, 2.0, 9), 10.0, ready_for_s, MIDDLE)
    assert history == RestartHistory(failures, 10.0, delay_s, total_restarts=10)


@pytest.mark.parametrize(("failures", "is_loop"), [(0, False), (CRASH_LOOP_FAILURES - 1, False), (3, True), (99, True)])
def test_three_failures_in_a_row_are_a_crash_loop(failures: int, is_loop: bool) -> None:
    assert is_crash_loop(RestartHistory(failures)) is is_loop


@pytest.mark.parametrize(
    ("failures", "state", "for_s", "is_loop"),
    [
        (3, ReplicaState.WAITING, 60.0, True),
        (3, ReplicaState.STARTING, 60.0, True),
        (3, ReplicaState.READY, 4.9, True),
        (3, ReplicaState.READY, 5.0, False),
        (2, ReplicaState.WAITING, 0.0, False),
    ],
)
def test_a_crash_loop_is_over_once_it_has_been_ready_for_long(
    failures: int, state: ReplicaState, for_s: float, is_loop: bool
) -> None:
    replica = ObservedReplica(ReplicaId("web", 1), state, 100.0 - for_s, history=RestartHistory(failures))
    assert is_looping(replica, 100.0) is is_loop
