"""Quorums overlap, positions compare by history, and the election takes who has it all."""

from __future__ import annotations

from itertools import combinations

import pytest

from colonnade.database.election import Elected, NotElected, elect
from colonnade.database.history import parse_history
from colonnade.database.quorum import QuorumRule, have_flushed
from colonnade.database.state import Fork, Position, format_lsn, parse_lsn

RULE = QuorumRule(frozenset("bc"), 1)


@pytest.mark.parametrize(("n", "k", "seen_min"), [(1, 1, 1), (2, 1, 2), (2, 2, 1), (3, 1, 3), (3, 2, 2), (8, 3, 6)])
def test_an_election_must_see_n_minus_k_plus_1(n: int, k: int, seen_min: int) -> None:
    rule = QuorumRule(frozenset("bcdefghi"[:n]), k)
    assert rule.seen_min == seen_min
    rule.check_invariant()


def test_every_acknowledgement_is_seen_by_every_election_at_every_interruption_of_a_rejoin() -> None:
    """Old primary a comes back under b: recorded as voter, then started. Whoever acknowledges at any prefix of that
    is among the voters that an election at that prefix counts on."""
    recorded, running = {"c"}, {"c"}
    for step in ("record", "start"):
        if step == "record":
            recorded = recorded | {"a"}
        else:
            running = running | {"a"}
        rule = QuorumRule(frozenset(recorded), 1)
        for acknowledging in combinations(sorted(running), 1):
            for seen in combinations(sorted(recorded), rule.seen_min):
                assert set(acknowledging) & set(seen)


@pytest.mark.parametrize(
    ("whole", "part", "is_contained"),
    [
        (Position(1, 10), Position(1, 10), True),
        (Position(1, 10), Position(1, 9), True),
        (Position(1, 9), Position(1, 10), False),
        (Position(2, 20, (Fork(1, 10),)), Position(1, 10), True),
        (Position(2, 20, (Fork(1, 10),)), Position(1, 11), False),
        (Position(2, 20, (Fork(1, 10),)), Position(2, 15, (Fork(1, 10),)), True),
        (Position(2, 20, (Fork(1, 10),)), Position(2, 15, (Fork(1, 12),)), False),
        (Position(3, 30, (Fork(1, 10), Fork(2, 20))), Position(2, 20, (Fork(1, 10),)), True),
        (Position(3, 30, (Fork(1, 10),)), Position(2, 20, (Fork(1, 10),)), False),
        (Position(2, 20, (Fork(1, 10),)), Position(2, 8, (Fork(1, 10),)), True),
    ],
)
def test_position_contains(whole: Position, part: Position, is_contained: bool) -> None:
    assert whole.contains(part) is is_contained


def test_highest_is_elected_and_ties_go_to_the_first_name() -> None:
    result = elect({"b": Position(1, 9), "c": Position(1, 10)}, {"b", "c"}, RULE)
    assert isinstance(result, Elected)
    assert result.node == "c"
    result = elect({"b": Position(1, 10), "c": Position(1, 10)}, {"b", "c"}, RULE)
    assert isinstance(result, Elected)
    assert result.node == "b"


@pytest.mark.parametrize(
    ("positions", "candidates", "reason"),
    [
        ({"b": Position(1, 10)}, {"b"}, "too_few_standbys_seen"),
        ({}, set(), "too_few_standbys_seen"),
        ({"b": Position(1, 10), "c": Position(1, 9)}, {"c"}, "no_candidate_has_it_all"),
        ({"b": Position(2, 15, (Fork(1, 10),)), "c": Position(1, 12)}, {"b", "c"}, "histories_diverged"),
    ],
)
def test_nobody_is_elected(positions: dict[str, Position], candidates: set[str], reason: str) -> None:
    result = elect(positions, candidates, RULE)
    assert isinstance(result, NotElected)
    assert result.reason == reason
    assert result.message


def test_the_stricter_rule_holds_while_members_change() -> None:
    old, new = QuorumRule(frozenset("bc"), 1), QuorumRule(frozenset("bcd"), 1)
    seen = {"b": Position(1, 10), "c": Position(1, 10)}
    assert isinstance(elect(seen, seen, old), Elected)
    assert isinstance(elect(seen, seen, new), NotElected)


def test_whoever_is_preferred_wins_if_nobody_has_more() -> None:
    equal = {"b": Position(1, 10), "c": Position(1, 10)}
    result = elect(equal, equal, RULE, "c")
    assert isinstance(result, Elected)
    assert result.node == "c"
    result = elect({**equal, "b": Position(1, 11)}, equal, RULE, "c")
    assert isinstance(result, Elected)
    assert result.node == "b"


def test_flushed_counts_nodes_and_not_connections() -> None:
    assert have_flushed([("b", 10), ("c", 10)], 10, 2)
    assert not have_flushed([("b", 10), ("b", 10), ("c", 9)], 10, 2)
    assert have_flushed([], 10, 0)


def test_history_files_and_lsns_are_read_as_postgresql_writes_them() -> None:
    text = "1\t0/3000148\tno recovery target specified\n\n2\t1/A0\tbefore\n"
    assert parse_history(text) == (Fork(1, 0x3000148), Fork(2, (1 << 32) + 0xA0))
    assert format_lsn(parse_lsn("1/2A3B4C5D")) == "1/2A3B4C5D"


def test_who_was_ahead_on_a_timeline_that_was_left_does_not_hold_up_the_next_election() -> None:
    positions = {"b": Position(2, 12, (Fork(1, 10),)), "c": Position(1, 15)}
    assert isinstance(elect(positions, positions, RULE), NotElected)
    result = elect(positions, positions, RULE, outdated={"c"})
    assert isinstance(result, Elected)
    assert result.node == "b"
    assert isinstance(elect({"c": Position(1, 15)}, {"c"}, RULE, outdated={"c"}), NotElected), "it has to be seen"
