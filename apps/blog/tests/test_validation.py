"""What a post may be, and which pages may be asked for."""

from typing import Any

import pytest

from backend.validation import CONTENT_LENGTH_MAX, TITLE_LENGTH_MAX, Draft, Invalid, Page


def test_draft_is_trimmed_and_its_line_ends_are_made_equal() -> None:
    assert Draft.from_json({"title": "  A title ", "content": "one\r\ntwo\rthree\n"}) == Draft(
        "A title", "one\ntwo\nthree"
    )


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (["not an object"], {"body"}),
        (None, {"body"}),
        ({}, {"title", "content"}),
        ({"title": "t", "content": 3}, {"content"}),
        ({"title": " \t ", "content": "\n"}, {"title", "content"}),
        ({"title": "t" * (TITLE_LENGTH_MAX + 1), "content": "c"}, {"title"}),
        ({"title": "t", "content": "c" * (CONTENT_LENGTH_MAX + 1)}, {"content"}),
        ({"title": "two\nlines", "content": "c"}, {"title"}),
        ({"title": "t", "content": "nul \x00 byte"}, {"content"}),
        ({"title": "half a character \ud800", "content": "c"}, {"title"}),
    ],
)
def test_what_cannot_be_a_post_is_told_for_each_field(body: Any, wrong: set[str]) -> None:
    with pytest.raises(Invalid) as raised:
        Draft.from_json(body)
    assert set(raised.value.errors) == wrong


def test_longest_post_passes() -> None:
    Draft.from_json({"title": "標" * TITLE_LENGTH_MAX, "content": "柱" * CONTENT_LENGTH_MAX})


def test_page_defaults() -> None:
    assert Page.from_query({}) == Page(1, 20)
    assert Page.from_query({"page": "3", "per_page": "100"}) == Page(3, 100)


@pytest.mark.parametrize(
    "query",
    [
        {"page": "0"},
        {"page": "-1"},
        {"page": "x"},
        {"page": "10001"},
        {"page": "٣"},
        {"page": "9" * 5000},
        {"per_page": "101"},
    ],
)
def test_pages_out_of_bounds_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        Page.from_query(query)
