"""Who counts as sick beside its peers, with the numbers on both sides of each rule, and how many are replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from colonnade.core.histogram import BOUNDS_MS, Histogram
from colonnade.runtime.outlier_decision import (
    AGAIN_AFTER_S,
    LASTS_S,
    REPLACED_WITHIN_S,
    EndReplica,
    Pool,
    Replacement,
    ReplaceReplica,
    again_after_s,
    decide,
)
from colonnade.runtime.outliers import (
    ANY_NUMBER,
    Finding,
    Holds,
    Look,
    Seen,
    Sickness,
    beside_peers,
    find,
    recent,
    see,
    share_bounds,
    window,
)
from colonnade.runtime.state import ReplicaId

NOW = 1_000.0


def answers(count: int, time_s: float) -> Histogram:
    bucket = next((index for index, bound in enumerate(BOUNDS_MS) if time_s * 1000 < bound), len(BOUNDS_MS))
    return Histogram(tuple(count if index == bucket else 0 for index in range(len(BOUNDS_MS) + 1)))


def seen(
    number: int,
    *,
    rate: float = 20.0,
    time_s: float = 0.05,
    failing: float = 0.0,
    broken: float = 0.0,
    in_flight: int = 1,
    for_s: int = 60,
    peers: str = "",
    warm_from_s: float = 0.0,
    holds: Holds = ANY_NUMBER,
) -> Seen:
    """A replica that has gone on like this for `for_s` seconds; `failing` and `broken` are per second."""
    looks = [
        Look(
            NOW - for_s + second,
            answers(round(rate * second), time_s),
            round(failing * second),
            round(broken * second),
            in_flight,
        )
        for second in range(for_s + 1)
    ]
    return see(ReplicaId("web", number), looks, peers, warm_from_s, holds)


def finding_of(odd: Seen, *, peers: int = 3, **normal: float) -> Finding | None:
    others = [seen(number, **normal) for number in range(2, 2 + peers)]  # type: ignore[arg-type]
    return find(odd, [odd, *others])


@pytest.mark.parametrize(
    ("odd", "sickness"),
    [
        (seen(1), None),
        (seen(1, time_s=0.09), None),  # within twice: cores differ
        (seen(1, time_s=0.25), Sickness.SLOW),
        (seen(1, time_s=0.25, for_s=4), None),  # not looked at for a span yet
        (seen(1, time_s=0.25, rate=1.0), Sickness.SLOW),  # few answers: judged over a minute
        (seen(1, time_s=0.25, rate=0.3), None),  # too few even so
        (seen(1, failing=2.0), Sickness.ERRING),
        (seen(1, failing=0.05), None),  # three in a minute may be chance
        (seen(1, rate=1.0, failing=1.0), Sickness.ERRING),
        (seen(1, rate=0.0, broken=0.1), Sickness.ERRING),  # all six of a minute, none of theirs
        (seen(1, rate=0.0, in_flight=3), Sickness.SILENT),
        (seen(1, rate=0.0, in_flight=2), None),  # two long requests
        (seen(1, rate=0.0, in_flight=0), None),  # nobody asks it
        # With one place or two nothing more can wait: then one has to be given up first.
        (seen(1, rate=0.0, broken=0.03, in_flight=1, for_s=36, holds=Holds(1, 30.0)), Sickness.SILENT),
        (seen(1, rate=0.0, broken=0.03, in_flight=1, for_s=34, holds=Holds(1, 30.0)), None),
        (seen(1, rate=0.0, in_flight=1, for_s=60, holds=Holds(1, 30.0)), None),  # a long download
        (seen(1, rate=0.0, broken=0.03, in_flight=2, for_s=36, holds=Holds(2, 30.0)), Sickness.SILENT),
        (seen(1, rate=0.0, broken=0.03, in_flight=1, for_s=60, holds=Holds(2, 30.0)), None),
        (seen(1, rate=0.0, in_flight=3, for_s=6, holds=Holds(8, 30.0)), Sickness.SILENT),
    ],
)
def test_a_replica_is_judged_by_its_peers(odd: Seen, sickness: Sickness | None) -> None:
    found = finding_of(odd)
    assert (found.sickness if found else None) is sickness
    if found is not None:
        assert "web/1" in found.message


def test_a_slow_tenth_is_seen_although_the_median_is_good() -> None:
    looks = [
        replace(look, latency=look.latency.plus(answers(3 * index, 2.0))) for index, look in enumerate(seen(1).looks)
    ]
    found = finding_of(see(ReplicaId("web", 1), looks))
    assert found is not None
    assert found.sickness is Sickness.SLOW
    assert "10%" in found.message


def test_what_is_three_times_nothing_is_not_slow() -> None:
    assert finding_of(seen(1, time_s=0.019), time_s=0.003) is None


def test_peers_that_are_as_slow_are_no_reason() -> None:
    assert finding_of(seen(1, time_s=0.25), time_s=0.25) is None
    assert finding_of(seen(1, failing=5.0), failing=5.0) is None


def test_replicas_of_another_kind_are_no_peers() -> None:
    odd = seen(1, time_s=0.25, peers="small")
    assert find(odd, [odd, seen(2), seen(3)]) is None
    assert find(odd, [odd, seen(2, peers="small"), seen(3)]) is not None


def test_alone_nobody_is_an_outlier() -> None:
    odd = seen(1, time_s=5.0, failing=20.0)
    assert find(odd, [odd]) is None


def test_silence_is_no_reason_while_peers_take_long_too() -> None:
    assert finding_of(seen(1, rate=0.0, in_flight=3, for_s=6), time_s=2.5) is None


def test_silence_is_no_reason_before_it_lasts() -> None:
    quick = seen(1, rate=0.0, in_flight=3, for_s=4)
    assert finding_of(quick) is None


def test_a_gateway_that_counts_anew_confuses_nobody() -> None:
    odd = seen(1)
    cut = see(odd.id, [*odd.looks[:-1], Look(NOW, answers(3, 0.05), 0, 0, 1)])
    part = window(cut.looks, 5.0)
    assert part is not None
    assert (part.answers, part.failed) == (3, 0)
    assert finding_of(cut) is None


def test_recent_takes_the_shortest_span_that_has_enough() -> None:
    enough = recent(seen(1, rate=1.0), 10)
    assert enough is not None
    assert enough.answers == 20
    assert recent(seen(1, rate=0.1), 10) is None


def test_the_pace_beside_the_peers_is_a_multiple() -> None:
    odd = seen(1, time_s=0.25)
    ratio = beside_peers(odd, [odd, seen(2), seen(3)])
    assert ratio == pytest.approx(5, rel=0.3)
    assert beside_peers(odd, [odd, seen(2, rate=0.1)]) is None


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.474), (10, 10, 0.526, 1.0), (50, 100, 0.356, 0.644), (5, 1000, 0.0014, 0.0174)],
)
def test_the_bounds_of_a_share_are_those_of_the_score_interval(hits: int, count: int, low: float, high: float) -> None:
    assert share_bounds(hits, count) == pytest.approx((low, high), abs=0.001)


def test_a_replica_is_not_compared_before_it_is_warm_but_silence_is_seen() -> None:
    assert finding_of(seen(1, time_s=0.25, failing=5.0, warm_from_s=NOW - 4)) is None
    silent = finding_of(seen(1, rate=0.0, in_flight=3, warm_from_s=NOW - 4))
    assert silent is not None
    assert silent.sickness is Sickness.SILENT


# How many are replaced

SICK = Finding(Sickness.SLOW, "web/1 takes 250 ms")


def pool_of(count: int, sick: Sequence[int], *, since_s: float = 10.0, finding: Finding = SICK) -> Pool:
    replicas = [ReplicaId("web", number) for number in sick]
    return Pool(
        "web",
        [seen(number) for number in range(1, count + 1)],
        dict.fromkeys(replicas, finding),
        {replica: NOW - since_s - replica.number for replica in replicas},
    )


def reason_of(pool: Pool, past: Sequence[Replacement] = (), *, is_whole: bool = True) -> str:
    decision = decide(pool, past, NOW, is_whole=is_whole)
    assert len(decision.actions) <= 1
    assert decision.message
    return decision.reason


def test_the_one_that_is_outside_for_longest_is_replaced() -> None:
    decision = decide(pool_of(5, [1, 2]), (), NOW, is_whole=True)
    assert decision.actions == (ReplaceReplica(ReplicaId("web", 2)),)
    assert decision.reason == "replica_slow"


def test_a_silent_one_is_ended() -> None:
    decision = decide(pool_of(3, [1], finding=Finding(Sickness.SILENT, "silent")), (), NOW, is_whole=True)
    assert decision.actions == (EndReplica(ReplicaId("web", 1)),)
    assert decision.reason == "replica_silent"


@pytest.mark.parametrize("sickness", [Sickness.SLOW, Sickness.ERRING])
def test_nobody_is_replaced_before_it_has_lasted(sickness: Sickness) -> None:
    finding = Finding(sickness, "sick")
    # pool_of adds a second for replica 1.
    assert reason_of(pool_of(4, [1], since_s=LASTS_S[sickness] - 1.1, finding=finding)) == "as_its_peers"
    assert reason_of(pool_of(4, [1], since_s=LASTS_S[sickness] - 1.0, finding=finding)) == f"replica_{sickness.value}"


def test_nobody_is_replaced_while_another_is_missing() -> None:
    assert reason_of(pool_of(4, [1]), is_whole=False) == "one_at_a_time"


@pytest.mark.parametrize(("count", "others", "reason"), [(4, 1, "enough_replaced"), (6, 1, "replica_slow")])
def test_at_most_a_third_is_replaced_within_five_minutes(count: int, others: int, reason: str) -> None:
    past = [Replacement(ReplicaId("web", 4), NOW - REPLACED_WITHIN_S + 1)] * others
    assert reason_of(pool_of(count, [1]), past) == reason
    assert (
        reason_of(pool_of(count, [1]), [replace(one, at_s=NOW - REPLACED_WITHIN_S) for one in past]) == "replica_slow"
    )


def test_what_replacing_did_not_mend_waits_ever_longer() -> None:
    once = [Replacement(ReplicaId("web", 1), NOW - 400)]
    assert reason_of(pool_of(4, [1]), once) == "replaced_lately"
    twice = [Replacement(ReplicaId("web", 1), NOW - 4_000), Replacement(ReplicaId("web", 1), NOW - 1.5 * AGAIN_AFTER_S)]
    assert again_after_s(ReplicaId("web", 1), once, NOW) == pytest.approx(AGAIN_AFTER_S - 400)
    assert again_after_s(ReplicaId("web", 1), twice, NOW) == pytest.approx(0.5 * AGAIN_AFTER_S)
    assert reason_of(pool_of(4, [1, 2]), once) == "replica_slow"


@pytest.mark.parametrize(("count", "sick", "reason"), [(4, 2, "replica_slow"), (4, 3, "pool_sick_together")])
def test_most_of_a_pool_is_never_taken_for_outliers(count: int, sick: int, reason: str) -> None:
    assert reason_of(pool_of(count, range(1, sick + 1))) == reason


def test_a_pool_that_errs_as_a_whole_is_told() -> None:
    pool = Pool("web", [seen(number, failing=10.0) for number in range(1, 5)], {}, {})
    decision = decide(pool, (), NOW, is_whole=True)
    assert (decision.actions, decision.reason) == ((), "pool_sick_together")
    assert "4 of 4" in decision.message


def test_nobody_is_slow_while_all_are_slower_than_usual() -> None:
    pool = pool_of(4, [1])
    slow = [seen(number, time_s=0.5) for number in range(1, 5)]
    assert reason_of(replace(pool, seen=slow, usual_s=0.05)) == "pool_sick_together"
    assert reason_of(replace(pool, seen=slow, usual_s=0.4)) == "replica_slow"
    erring = dict.fromkeys(pool.findings, Finding(Sickness.ERRING, "web/1 errs"))
    assert reason_of(replace(pool, seen=slow, usual_s=0.05, findings=erring)) == "replica_erring"
