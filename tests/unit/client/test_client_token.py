"""What a user carries: signed, never going backwards, and honoured by whoever has what it stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import TimestampSigner

from colonnade.client.position import Fork, Point, Position, parse_history
from colonnade.client.routing import NotFresh, Route, Wish
from colonnade.client.signing import LENGTH_MAX, TokenSigner
from colonnade.client.token import PRIMARY_FOR_S, Token, wall_s

KEY = b"k" * 32
SYSTEM = "7543210987654321098"
TOKEN = Token(Point(SYSTEM, 3, 0x1_0000_0028))

points = st.builds(Point, st.just(SYSTEM), st.integers(1, 5), st.integers(0, 60))
"""Of one cluster."""


@st.composite
def positions(draw: st.DrawFn) -> Position:
    """Standbys and primaries on one and the same line of history: 1 → 2 at 10, 2 → 3 at 20, and so on."""
    timeline = draw(st.integers(1, 5))
    forks = tuple(Fork(number, 10 * number) for number in range(1, timeline))
    lsn = draw(st.integers(10 * (timeline - 1), 60))
    return Position(SYSTEM, timeline, lsn, forks, in_recovery=draw(st.booleans()), received=lsn)


# Text and signature.


@given(points, st.floats(0, 2e9))
def test_token_reads_back(point: Point, until_s: float) -> None:
    token = Token.parse(str(Token(point, until_s)))
    assert token is not None
    assert token.point == point
    assert until_s <= token.primary_until_s <= until_s + 1, "a demand for the primary may not end early"
    assert len(TokenSigner(KEY).sign(token)) <= LENGTH_MAX


@pytest.mark.parametrize(
    "text", ["", ".", "1.2", "x.1.1.1", "1.1.1.1.1", "-1.1.1.1", "1.1.1.١", " 1.1.1.1", "1.1.1.1\n"]
)
def test_other_text_is_no_token(text: str) -> None:
    assert Token.parse(text) is None


def test_every_replica_with_the_same_key_recognises_it() -> None:
    assert TokenSigner(KEY).verify(TokenSigner(KEY).sign(TOKEN)) == TOKEN


@pytest.mark.parametrize("forged", [None, "", str(TOKEN), f"{TOKEN}.abc.def", "x" * 10_000, "é"])
def test_forged_and_foreign_tokens_count_for_nothing(forged: str | None) -> None:
    assert TokenSigner(KEY).verify(forged) is None
    assert TokenSigner(b"another").verify(TokenSigner(KEY).sign(TOKEN)) is None


def test_each_character_is_covered_by_the_signature() -> None:
    signed = TokenSigner(KEY).sign(TOKEN)
    for at, character in enumerate(signed[:-1]):  # the last one has bits that base64 does not use
        other = "1" if character != "1" else "2"
        assert TokenSigner(KEY).verify(signed[:at] + other + signed[at + 1 :]) is None


def test_it_wears_off(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = TokenSigner(KEY, lifetime_s=60)
    signed = signer.sign(TOKEN)
    now = TimestampSigner(KEY).get_timestamp()
    # The signer reads the clock itself; there is no other way to let seconds pass without waiting for them.
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: now + 62)
    assert signer.verify(signed) is None


def test_a_clock_that_jumped_back_keeps_nobody_on_the_primary() -> None:
    ahead = Token(primary_until_s=wall_s() + 86_400)
    token = TokenSigner(KEY).verify(TokenSigner(KEY).sign(ahead))
    assert token is not None
    assert token.primary_until_s <= wall_s() + 2 * PRIMARY_FOR_S + 1


# Merging.


@given(st.lists(points, min_size=1))
def test_merging_never_goes_back_and_order_does_not_matter(seen: list[Point]) -> None:
    def merged(order: list[Point]) -> Point:
        token = Token()
        for point in order:
            token = token.merged(point)
        assert token.point is not None
        return token.point

    latest = merged(seen)
    assert latest == merged(seen[::-1])
    assert all((each.timeline, each.lsn) <= (latest.timeline, latest.lsn) for each in seen)


def test_a_token_of_another_cluster_is_replaced() -> None:
    restored = Point("8", 1, 5)
    assert TOKEN.merged(restored).point == restored


# Who may answer.


@given(points, positions())
def test_no_standby_answers_that_has_not_replayed_what_the_token_stands_for(point: Point, position: Position) -> None:
    route = Route(Wish(Token(point)), has_standbys=True, has_position=True, now=0.0)
    step = route.next(0.0)
    assert (step.node, step.asks_position) == ("standby", True)
    try:
        route.met_position(position)
    except NotFresh:
        assert position.in_recovery, "a primary refuses nobody"
        return
    if position.in_recovery:
        assert position.lsn >= point.lsn
        # The line of history is one: timeline n covers the bytes from 10·(n-1) to 10·n, and the newest has no end.
        assert position.timeline >= point.timeline
        assert 10 * (point.timeline - 1) <= point.lsn
        assert point.timeline == position.timeline or point.lsn <= 10 * point.timeline


def test_standbys_are_tried_twice_and_then_the_primary() -> None:
    route = Route(Wish(TOKEN), has_standbys=True, has_position=True, now=0.0)
    assert [route.next(0.0).node for _ in range(6)] == ["standby", "standby", "primary"] * 2


def test_strict_reads_and_tokens_that_demand_it_go_to_the_primary() -> None:
    for wish in (Wish(Token(), strict=True), Wish(Token().with_primary())):
        assert Route(wish, has_standbys=True, has_position=True, now=0.0).next(0.0).node == "primary"
    without_function = Route(Wish(TOKEN), has_standbys=True, has_position=False, now=0.0)
    assert without_function.next(0.0).node == "primary"
    nothing_to_keep = Route(Wish(Token()), has_standbys=True, has_position=False, now=0.0)
    assert nothing_to_keep.next(0.0).node == "standby"


def test_lag_bound_passes_over_who_is_behind() -> None:
    route = Route(Wish(Token(), lag_s_max=2.0), has_standbys=True, has_position=True, now=0.0)
    assert route.next(0.0).asks_position
    behind = Position(SYSTEM, 1, 5, in_recovery=True, received=9, lag_s=3.0)
    with pytest.raises(NotFresh, match=r"3\.0 s old"):
        route.met_position(behind)
    with pytest.raises(NotFresh):
        route.met_position(Position(SYSTEM, 1, 5, in_recovery=True, received=9, lag_s=None))
    route.met_position(Position(SYSTEM, 1, 5, in_recovery=True, received=9, lag_s=1.0))


def test_a_point_on_a_branch_that_was_left_is_replaced_at_the_primary() -> None:
    """Flushed on the old primary and never acknowledged by anybody: no node will ever have it."""
    route = Route(Wish(Token(Point(SYSTEM, 1, 15))), has_standbys=True, has_position=True, now=0.0)
    history = (Fork(1, 10),)
    for _ in range(2):
        assert route.next(0.0).node == "standby"
        with pytest.raises(NotFresh):
            route.met_position(Position(SYSTEM, 2, 50, history, in_recovery=True, received=50))
    step = route.next(0.0)
    assert (step.node, step.asks_position) == ("primary", True)
    route.met_position(Position(SYSTEM, 2, 55, history))
    assert route.token.point == Point(SYSTEM, 2, 55)


def test_after_long_enough_an_older_page_beats_none_if_the_application_says_so() -> None:
    route = Route(Wish(TOKEN, stale_after_s=2.0), has_standbys=True, has_position=True, now=0.0)
    assert route.next(1.9).is_fresh
    step = route.next(2.1)
    assert (step.node, step.asks_position, step.is_fresh) == ("standby", False, False)


# What a node says of itself.


def test_history_files_are_read_and_nonsense_is_not() -> None:
    text = "1\t0/3000028\tno recovery target specified\n\n2\t1/0\tno recovery target specified\n"
    assert parse_history(text) == (Fork(1, 0x3000028), Fork(2, 0x1_0000_0000))
    assert parse_history("") == ()


def test_a_node_that_does_not_know_its_history_has_no_position() -> None:
    assert Position.from_row(("7", None, 5, True, "", 5, 0.0)) is None, "a standby that does not stream"
    assert Position.from_row(("7", 2, 5, False, "", 5, 0.0)) is None, "a new timeline whose file is not there yet"
    assert Position.from_row(("7", 1, 5, False, "", 5, 0.0)) == Position("7", 1, 5, received=5)


def test_what_was_seen_half_replayed_is_reached_only_by_who_replayed_the_next_record() -> None:
    assert Position("7", 1, 5, in_recovery=True, received=9).seen == Point("7", 1, 6)
    assert Position("7", 1, 5, in_recovery=True, received=5).seen == Point("7", 1, 5)
    assert Position("7", 1, 5, received=5).seen == Point("7", 1, 5)
