"""When checks are not believed any more, and when again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.gateway.actions import HeedHealth, IgnoreHealth
from colonnade.gateway.failopen import decide_fail_open, is_mostly_out
from colonnade.gateway.state import ObservedServer, Pool, Server, ServerState

READY = ServerState.READY


def pool(count: int) -> Pool:
    return Pool("web", 8, tuple(Server(slot, f"h:{slot}", READY) for slot in range(1, count + 1)))


def looks(*words: str) -> dict[int, ObservedServer]:
    """`up`, `down`, `refused` (down, nothing listens) or `blind` (checks switched off), by slot from 1."""
    return {
        slot: ObservedServer(
            f"h:{slot}",
            READY,
            1,
            is_up=word in {"up", "blind"},
            has_checks=True,
            ignores_health=word == "blind",
            check_status={"refused": "L4CON", "down": "L7STS"}.get(word, "L7OK"),
        )
        for slot, word in enumerate(words, start=1)
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("up", "up", "down"), False),
        (("up", "down"), False),  # half is not more than half
        (("up", "down", "down"), True),
        (("down",), True),
        (("refused", "refused", "up"), False),
        (("refused", "refused", "refused"), False),  # sending there would help nobody
        (("refused", "refused", "down"), True),
        ((), False),
    ],
)
def test_more_than_half_of_those_that_listen(words: tuple[str, ...], expected: bool) -> None:
    assert is_mostly_out(pool(len(words)), looks(*words)) is expected


def test_it_takes_two_looks_to_open() -> None:
    servers = looks("down", "down", "up")
    first = decide_fail_open(pool(3), servers, {}, bad_looks=1)
    assert (first.actions, first.reason) == ((), "waiting_for_another_look")
    second = decide_fail_open(pool(3), servers, {}, bad_looks=2)
    assert second.reason == "most_are_out"
    assert "2 of 3 replicas of web fail" in second.message
    assert second.actions == tuple(IgnoreHealth("web", slot) for slot in (1, 2, 3))


def test_nobody_is_turned_away_while_another_look_is_waited_for() -> None:
    """With nobody up, HAProxy answers 503 by itself."""
    for words in (("down", "down"), ("down", "refused"), ("down",)):
        decision = decide_fail_open(pool(len(words)), looks(*words), {}, bad_looks=1)
        assert decision.reason == "most_are_out", words


def test_it_stays_open_while_less_than_half_pass_and_takes_newcomers_along() -> None:
    servers = looks("blind", "blind", "down")
    decision = decide_fail_open(pool(3), servers, {1: True, 2: False, 3: False}, bad_looks=0)
    assert (decision.actions, decision.reason) == ((IgnoreHealth("web", 3),), "still_failed_open")


def test_a_check_that_was_under_way_takes_nobody_out_for_good() -> None:
    servers = looks("blind", "blind", "blind")
    servers[2] = replace(servers[2], is_up=False, check_status="")
    servers[3] = replace(servers[3], is_up=False, check_status="L4CON")
    decision = decide_fail_open(pool(3), servers, {}, bad_looks=0)
    assert (decision.actions, decision.reason) == ((IgnoreHealth("web", 2),), "still_failed_open")


def test_it_closes_when_half_pass() -> None:
    servers = looks("blind", "blind")
    decision = decide_fail_open(pool(2), servers, {1: True, 2: False}, bad_looks=0)
    assert decision.reason == "health_is_back"
    assert decision.actions == (HeedHealth("web", 1), HeedHealth("web", 2))


def test_a_pool_without_checks_never_opens() -> None:
    servers = {1: ObservedServer("h:1", READY, 1, is_up=False)}
    assert decide_fail_open(pool(1), servers, {}, bad_looks=9).reason == "enough_are_up"


def test_a_draining_replica_does_not_count() -> None:
    draining = Pool("web", 8, (Server(1, "h:1", READY), Server(2, "h:2", ServerState.DRAIN)))
    servers = looks("up", "down")
    servers[2] = ObservedServer("h:2", ServerState.DRAIN, 1, is_up=False, has_checks=True)
    assert not is_mostly_out(draining, servers)
