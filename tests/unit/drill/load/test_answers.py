"""What is taken from the answer to a write."""

from __future__ import annotations

import pytest

from colonnade.drill.load.runner import id_in


@pytest.mark.parametrize(
    ("body", "item_id"),
    [
        (b'{"id": 7, "title": "x"}', "7"),
        (b'{"id": "a/b", "author": {"id": 1}}', "a/b"),
        (b'{"data": {"id": "0f3e", "title": "x"}, "permissions": {"write": ["me"]}}', "0f3e"),
        (b'{"post": {"id": 1}, "author": {"id": 2}}', None),
        (b'{"id": null, "data": {"id": 1}}', None),
        (b'{"data": {"id": [1]}}', None),
        (b'[{"id": 1}]', None),
        (b"{}", None),
        (b"<p>thank you</p>", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_an_item_is_called_by_the_id_that_stands_in_the_object_or_in_one_inside_it(
    body: bytes, item_id: str | None
) -> None:
    assert id_in(body) == item_id
