"""Where the item of a write is asked for."""

from __future__ import annotations

import pytest

from colonnade.drill.load.itemback import path_of

from ..builders import write


@pytest.mark.parametrize(
    ("template", "item_id", "path"),
    [
        ("/n/{id}", "7", "/n/7"),
        ("/n/{id}", "a/b c", "/n/a%2Fb%20c"),
        ("/n/{id}", None, None),
        ("/n/{token}", None, "/n/drill-r-1"),
        ("/n/{token}?id={id}", "7", "/n/drill-r-1?id=7"),
    ],
)
def test_a_path_is_filled_in_or_not_known(template: str, item_id: str | None, path: str | None) -> None:
    assert path_of(template, write("drill-r-1", item_id=item_id)) == path
