"""The picture as rows: who is where, what is folded, what a search leaves, and what a key means there."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from colonnade.cli.top import acts
from colonnade.cli.top.acts import Act, NotHere, parse_number
from colonnade.cli.top.frame import event_lines, headline_lines, keys_line, title_line
from colonnade.cli.top.history import LOOKS_MAX, History
from colonnade.cli.top.lines import text_of
from colonnade.cli.top.rows import SIGNS, View, header, rows
from colonnade.cli.top.watch import Contact

from .top_builders import gateway, many, node, picture_of, replica, service, shop


def event_of(kind: str, message: str, reason: str = "exited") -> dict[str, Any]:
    return {"seq": 1, "at_s": 0.0, "kind": kind, "subject": "web/1", "reason": reason, "message": message, "data": {}}


def texts(picture: dict[str, Any], width: int = 80, **more: Any) -> list[str]:
    return [text_of(row.line) for row in rows(picture, History(), View(width, **more))]


def test_everything_has_its_place_under_its_own() -> None:
    keys = [row.key for row in rows(shop(), History(), View(80))]
    assert keys == ["gateway", "web", "web/1", "web/2", "database", "database/a", "database/b", "dbgate"]


def test_a_state_is_told_by_a_shape_and_a_word_and_not_by_colour_alone() -> None:
    assert len({sign for sign, _ in SIGNS.values()}) == len(SIGNS)
    line = next(text for text in texts(shop()) if "web/2" in text)
    assert line.startswith("✖   web/2")
    assert "dead" in line
    assert "died, and is started again" in line


@pytest.mark.parametrize("width", [20, 30, 40, 54, 64, 80, 120, 250])
@pytest.mark.parametrize("picture", [shop(), many(200, {7: "sick"})], ids=["shop", "many"])
def test_no_line_is_wider_than_the_terminal(picture: dict[str, Any], width: int) -> None:
    history = History()
    for second in range(100):
        history.note({**picture, "at_s": float(second)})
    view = View(width)
    lines = [row.line for row in rows(picture, history, view)]
    lines += [header(view), title_line(picture, width), keys_line(width)]
    lines += headline_lines(picture, Contact.ANSWERS, 0.0, "/srv/shop", width)
    lines += headline_lines(picture, Contact.DOWN, 9.0, "/srv/a/long/place/that/goes/on", width)
    lines += event_lines([event_of("replica_exited", "web/2 was ended by signal 9\x1b[2J" * 9)], width, 5)
    assert max(cell_len(text_of(line)) for line in lines) <= width


def test_two_hundred_replicas_are_one_sign_each_and_a_row_for_those_that_are_not_well() -> None:
    shown = texts(many(200, {7: "sick", 9: "dead"}))
    assert len(shown) <= 9
    assert sum(line.count("●") for line in shown if line.startswith("    ")) == 198
    assert [line.split()[:2] for line in shown if "does not answer" in line] == [["▲", "web/7"], ["✖", "web/9"]]
    assert "198 are well" in shown[-1]


def test_a_folded_service_can_be_opened_and_one_that_is_open_folded() -> None:
    assert len(texts(many(200, {}), turned=frozenset({"web"}))) == 202
    assert len(texts(many(12, {}))) == 14
    assert len(texts(many(12, {}), turned=frozenset({"web"}))) == 4


def test_a_service_that_is_all_sick_does_not_fill_the_screen() -> None:
    shown = texts(many(200, dict.fromkeys(range(1, 201), "sick")))
    assert len(shown) < 30
    assert "180 more are not well" in shown[-1]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("web/2", ["web", "web/2"]),
        ("dead", ["web", "web/2"]),
        ("node", ["database", "database/a", "database/b"]),
        ("standby", ["database", "database/b"]),
        ("DBGATE", ["dbgate"]),
        ("web ready", ["web", "web/1"]),
        ("nothing of this", []),
    ],
)
def test_a_search_leaves_what_is_meant_and_where_it_belongs(words: str, keys: list[str]) -> None:
    assert [row.key for row in rows(shop(), History(), View(80, words))] == keys


def test_rates_of_replicas_are_between_looks_at_the_same_gateway() -> None:
    history = History()

    def look(at_s: float, requests: int, pid: int = 40) -> float | None:
        history.note(picture_of(gateway(pid=pid), service(), replica(requests=requests), at_s=at_s))
        return history.replica_rate("web/1")

    assert [look(0, 100), look(1, 110), look(2, 130)] == [None, 10.0, 15.0]
    assert look(3, 5, pid=41) is None
    assert look(4, 9, pid=41) == 4.0
    assert history.replica_rate("web/9") is None


def test_a_replica_that_comes_back_into_the_gateway_was_not_sent_its_whole_past_at_once() -> None:
    history = History()
    for at_s, requests, in_flight in ((0.0, 1000, 1), (1.0, 0, None), (2.0, 1000, 0)):
        part = replica(requests=requests, in_flight=in_flight)
        history.note(picture_of(gateway(), service(), part, at_s=at_s))
        assert history.replica_rate("web/1") in (None, 0.0)


def test_the_chart_is_of_three_minutes_and_no_more() -> None:
    history = History()
    for second in range(LOOKS_MAX + 50):
        history.note(picture_of(gateway(), service(requests_per_s=float(second)), at_s=float(second)))
    assert len(history.rates("web")) == LOOKS_MAX
    assert history.rates("web")[-1] == history.rates("gateway")[-1] == LOOKS_MAX + 49
    history.note(picture_of(gateway(), at_s=999.0))
    assert history.rates("web") == ()


# What is told when nobody answers


@pytest.mark.parametrize(
    ("contact", "silent_s", "words"),
    [
        (None, 0.0, "asking the controller"),
        (Contact.ANSWERS, 0.4, "Web/2 died"),
        (Contact.ANSWERS, 6.0, "has not answered for 6 s"),
        (Contact.AWAY, 3.0, "controller is restarting (no answer for 3 s)"),
        (Contact.DOWN, 3.0, "system is down: nothing of /srv/shop runs"),
    ],
)
def test_the_headline_tells_the_state_or_why_it_is_not_known(
    contact: Contact | None, silent_s: float, words: str
) -> None:
    assert words in " ".join(text_of(line) for line in headline_lines(shop(), contact, silent_s, "/srv/shop", 120))


def test_before_the_first_answer_a_system_that_is_down_is_told_as_well() -> None:
    (line, *_) = headline_lines(None, Contact.DOWN, 0.0, "/srv/shop", 120)
    assert "down" in text_of(line)


def test_a_small_terminal_has_no_room_for_events() -> None:
    event = event_of("replica_ready", "web/1 is ready")
    assert event_lines([event] * 9, 80, 2) == []
    assert len(event_lines([event] * 9, 80, 4)) == 4


def test_what_tells_no_story_does_not_push_out_what_does() -> None:
    noise = event_of("gateway_changed", "to be set: web/1 maint", reason="membership_differs")
    (line,) = event_lines([event_of("replica_exited", "web/1 exited"), *[noise] * 30], 80, 4)
    assert text_of(line).endswith("web/1 exited")


# What a key means

PARTS = {part["id"]: part for part in [*shop()["parts"], replica("web/3", health="held"), node("c")]}


@pytest.mark.parametrize(
    ("key", "chosen", "kind", "command"),
    [
        ("restart", "web/1", "restart", "colonnade restart web/1"),
        ("restart", "web", "restart", "colonnade restart web"),
        ("drain", "web/1", "drain", "colonnade drain web/1"),
        ("drain", "web/3", "undrain", "colonnade drain --undo web/3"),
        ("switchover", "database/b", "switchover", "colonnade db switchover --to b"),
        ("switchover", "database", "switchover", "colonnade db switchover"),
        ("scale", "web", "scale", ""),
        ("scale", "web/1", "scale", ""),
    ],
)
def test_a_key_asks_about_what_is_chosen(key: str, chosen: str, kind: str, command: str) -> None:
    act = getattr(acts, key)(PARTS[chosen], PARTS)
    assert isinstance(act, Act)
    assert (act.kind, act.command) == (kind, command)
    assert act.name == ("web" if kind == "scale" else chosen.removeprefix("database").removeprefix("/"))
    assert act.number == (2 if kind == "scale" else None)


@pytest.mark.parametrize(
    ("key", "chosen"),
    [
        ("restart", "gateway"),
        ("restart", ""),
        ("drain", "web"),
        ("drain", "database/a"),
        ("switchover", "web/1"),
        ("switchover", "database/a"),
        ("scale", "database"),
        ("scale", ""),
    ],
)
def test_a_key_that_means_nothing_there_says_what_it_is_for(key: str, chosen: str) -> None:
    assert isinstance(getattr(acts, key)(PARTS.get(chosen), PARTS), NotHere)


def test_numbers_of_replicas() -> None:
    assert [parse_number(text) for text in ("5", " 12 ", "auto")] == [5, 12, None]
    assert all(isinstance(parse_number(text), NotHere) for text in ("", "-1", "x", "1.5", "9999999"))
