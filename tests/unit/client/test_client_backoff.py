"""Waiting between attempts: short at first, bounded always."""

import itertools
import time

from colonnade.client.backoff import Backoff


def test_waits_double_from_tens_of_milliseconds_up_to_a_bound() -> None:
    waits = list(itertools.islice(Backoff(deadline_s=8).waits(), 12))
    assert 0.015 <= waits[0] <= 0.03
    assert 0.03 <= waits[1] <= 0.06
    assert all(0.2 <= wait <= 0.4 for wait in waits[5:])


def test_waits_are_jittered() -> None:
    assert len({next(Backoff(deadline_s=8).waits()) for _ in range(20)}) > 10


def test_attempts_end_before_the_deadline() -> None:
    begun = []
    for deadline in Backoff(deadline_s=0.3, first_s=0.01, longest_s=0.02).attempts():
        begun.append((time.monotonic(), deadline))
    assert len(begun) >= 4
    assert len({deadline for _, deadline in begun}) == 1
    # Who sleeps is woken when the machine has time: the last one may begin late, and no further one does.
    assert all(at < deadline for at, deadline in begun[:-1])


def test_there_is_always_a_first_attempt() -> None:
    assert len(list(Backoff(deadline_s=0).attempts())) == 1


def test_a_failover_is_met_by_several_attempts() -> None:
    waits = Backoff(deadline_s=8).waits()
    within_half_a_second = list(itertools.takewhile(lambda total: total < 0.5, itertools.accumulate(waits)))
    assert len(within_half_a_second) >= 3
