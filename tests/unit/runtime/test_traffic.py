"""What is remembered of the gateway's looks at a replica."""

import pytest

from colonnade.runtime.restart import STABLE_AFTER_S
from colonnade.runtime.state import ReplicaState, RestartHistory
from colonnade.runtime.traffic import Traffic, noted

from .builders import NOW, replica

READY = ReplicaState.READY
FAILS, PASSES = Traffic(3, is_unhealthy=True), Traffic(2)


def test_failing_counts_from_the_first_look_at_it() -> None:
    first = noted(replica(READY), FAILS, NOW)
    assert (first.unhealthy_since_s, first.in_flight) == (NOW, 3)
    assert noted(first, FAILS, NOW + 5).unhealthy_since_s == NOW


def test_a_replica_that_passes_again_has_no_past() -> None:
    seen = replica(READY, unhealthy_since_s=NOW - 5, answers=True, is_unreached=True)
    well = noted(seen, PASSES, NOW)
    assert (well.unhealthy_since_s, well.answers, well.is_unreached) == (None, None, False)


def test_whoever_leaves_is_not_judged() -> None:
    assert noted(replica(ReplicaState.DRAINING), FAILS, NOW).unhealthy_since_s is None


@pytest.mark.parametrize(
    ("for_s", "traffic", "in_vain"),
    [(STABLE_AFTER_S, PASSES, 0), (STABLE_AFTER_S - 0.1, PASSES, 1), (3600.0, FAILS, 1)],
)
def test_it_is_reached_when_the_gateway_passes_it_for_a_while(for_s: float, traffic: Traffic, in_vain: int) -> None:
    """The first looks may be of the process before."""
    seen = replica(READY, for_s=for_s, history=RestartHistory(in_vain=1))
    assert noted(seen, traffic, NOW).history.in_vain == in_vain
