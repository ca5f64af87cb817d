"""The screens of `colonnade top` as text, at the widths of a phone's terminal, of a classic one, and of a wide one.

`UPDATE_GOLDEN=1 pytest tests/golden/test_top.py` rewrites them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from colonnade.cli.top.detail import About, page
from colonnade.cli.top.frame import headline_lines, keys_line, title_line
from colonnade.cli.top.history import History
from colonnade.cli.top.lines import Line, text_of
from colonnade.cli.top.rows import View, header, rows
from colonnade.cli.top.watch import Contact
from colonnade.system.sentences import Sentence

from ..unit.cli.top_builders import Part, many, replica, service, shop

GOLDEN = Path(__file__).with_name("top")
WIDTHS = (40, 80, 120)


def remembered() -> History:
    """A minute in which the load of `web` rose, and fell."""
    history = History()
    for second in range(60):
        picture = shop(at_s=float(second))
        for part in picture["parts"]:
            if part["id"] == "web":
                part["requests_per_s"] = float(min(second, 60 - second))
            elif part["id"] == "web/1":
                part["requests"] = 20 * second
        picture["flows"][0]["per_s"] = float(min(second, 60 - second))
        history.note(picture)
    return history


def overview(width: int) -> list[Line]:
    history, picture, view = remembered(), shop(), View(width)
    return [
        *headline_lines(picture, Contact.ANSWERS, 0.0, "/srv/shop", width),
        title_line(picture, width),
        header(view),
        *(row.line for row in rows(picture, history, view)),
        keys_line(width),
    ]


def crowd(width: int) -> list[Line]:
    return [row.line for row in rows(many(200, {7: "sick", 120: "coming"}), History(), View(width))]


def inside(width: int) -> list[Line]:
    told = Sentence("web/1 was ended by signal 9; it starts again now", at_s=40.0, reason="exited", hint="see `dmesg`")
    about = About((Sentence("web/1 is ready"), told), ("one line", "\x1b[31mred\tand tabbed"), "web-1.log", now_s=100.0)
    lines = [
        *page(replica(), about, remembered(), width),
        (),
        *page(service(), About(now_s=100.0), remembered(), width),
    ]
    for part in shop()["parts"]:
        if part["kind"] in ("node", "database", "gateway"):
            lines += [(), *_facts(part, width)]
    return lines


def _facts(part: Part, width: int) -> list[Line]:
    """Without the story, which is the same for all."""
    return page(part, About(), History(), width)[:-2]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("screen", [overview, crowd, inside], ids=lambda screen: screen.__name__)
def test_the_screen_is_the_reviewed_one(screen: object, width: int) -> None:
    assert callable(screen)
    text = "\n".join(text_of(line).rstrip() for line in screen(width)) + "\n"
    path = GOLDEN / f"{screen.__name__}-{width}.txt"  # type: ignore[attr-defined]
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
