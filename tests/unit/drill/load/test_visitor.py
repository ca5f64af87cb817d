"""What a visitor carries from step to step, and what they ask."""

import json
from dataclasses import replace

import pytest

from colonnade.drill.load.ledger import Kind, Outcome
from colonnade.drill.load.response import ReplyParser
from colonnade.drill.load.visitor import COOKIES_MAX, Visitor
from colonnade.drill.load.workload import BLOG, Action

from .test_mix import mix


def visitor(*set_cookies: str, item_id: str | None = None) -> Visitor:
    made = Visitor(0)
    made.token, made.item_id = "drill-abc123-7", item_id
    made.keep(set_cookies)
    return made


@pytest.mark.parametrize(
    ("set_cookies", "sent"),
    [
        ((), ""),
        (("a=1; Path=/; HttpOnly",), "a=1"),
        (("a=1", "b=2; SameSite=Lax"), "a=1; b=2"),
        (("a=1", "a=2; Max-Age=3600"), "a=2"),
        (("a=1", "b=2", "a=; Max-Age=0"), "b=2"),
        (('a="x y"',), 'a="x y"'),
        (("no cookie",), ""),
    ],
)
def test_cookies_are_kept_as_a_browser_would(set_cookies: tuple[str, ...], sent: str) -> None:
    assert visitor(*set_cookies).cookie_header() == sent


def test_a_system_that_sets_ever_new_cookies_does_not_fill_the_memory() -> None:
    many = visitor(*(f"c{number}=1" for number in range(3 * COOKIES_MAX)))

    assert many.cookie_header().count("=") == COOKIES_MAX


def test_an_answer_that_sets_two_cookies_sets_both() -> None:
    parser = ReplyParser()
    parser.feed(b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=1; Path=/\r\nX: y\r\nset-cookie:b=2\r\n\r\n")

    assert parser.set_cookies == ("a=1; Path=/", "b=2")


@pytest.mark.parametrize(
    ("outcome", "status", "body", "found"),
    [
        (Outcome.OK, 200, b'[{"title": "drill-abc123-7"}]', True),
        (Outcome.OK, 200, b"[]", False),
        (Outcome.FAILED, 404, b"", False),
        (Outcome.FAILED, 503, b"", None),
        (Outcome.FAILED, None, b"", None),
    ],
)
def test_an_answer_shows_an_item_or_not_or_says_nothing(
    outcome: Outcome,
    status: int | None,
    body: bytes,
    found: bool | None,
) -> None:
    assert visitor().has_found(outcome, status, body) is found


def test_the_first_step_writes_with_a_token_and_the_others_carry_the_cookies() -> None:
    source = mix()
    one = visitor("seen=5", item_id="a/b")

    write = source.visitors_request(7, 0, Visitor(0))
    looks = [source.visitors_request(8 + number, number, one) for number in (1, 2)]

    assert write.token == "drill-abc123-7"
    assert json.loads(write.data.split(b"\r\n\r\n")[1])["title"] == "drill-abc123-7"
    assert b"Cookie:" not in write.data
    assert all(b"\r\nCookie: seen=5\r\n" in look.data and look.token is None for look in looks)
    assert {look.action.name for look in looks} == {"own_in_list", "own_post"}
    assert any(look.data.startswith(b"GET /api/posts/a%2Fb ") for look in looks)


def test_a_visitor_may_look_by_the_mark_that_they_wrote() -> None:
    workload = replace(BLOG, read_own=(Action("own", Kind.READ, "GET", "/page/{token}"),))
    source = mix(workload=workload)

    assert source.visitors_request(8, 1, visitor()).data.startswith(b"GET /page/drill-abc123-7 ")
    assert source.visitors_request(8, 1, Visitor(0)).action in BLOG.actions, "they know of nothing that they wrote"


def test_who_does_not_know_their_items_id_looks_into_the_list() -> None:
    looks = [mix().visitors_request(1, number, visitor()) for number in (1, 2, 3)]

    assert {look.action.name for look in looks} == {"own_in_list"}
