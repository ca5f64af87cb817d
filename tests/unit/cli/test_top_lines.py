"""Text that has to fit, and that must do a terminal no harm."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from colonnade.cli.top.lines import Span, clean, fit, pad, per_second, size, sparkline, text_of, wrap


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("web", 5, "web  "), ("backend", 5, "back…"), ("日本語", 4, "日…"), ("", 3, "   "), ("web", 0, "")],
)
def test_a_cell_is_as_wide_as_it_is_told(text: str, width: int, shown: str) -> None:
    assert pad(text, width).replace(" …", "…") == shown
    assert cell_len(pad(text, width)) == width


def test_a_line_is_cut_and_keeps_its_tones() -> None:
    assert text_of(fit((Span("abc"), Span("defgh")), 6)) == "abcde…"
    assert fit((Span("abc"), Span("def")), 6) == (Span("abc"), Span("def"))


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b2J", "a\rb", "\u202eabc", "\x1b]0;title\x07"])
def test_what_an_application_says_cannot_steer_the_terminal(text: str) -> None:
    assert all(character.isprintable() for character in clean(text))


def test_sentences_are_broken_between_words_and_the_last_line_is_cut() -> None:
    assert wrap("one two three four", 9, 3) == ["one two", "three", "four"]
    assert wrap("one two three four five", 9, 2) == ["one two", "three fo…"]
    assert wrap("immeasurable", 5, 2) == ["imme…"]
    assert wrap("", 5, 2) == [""]


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ([], 10, ""),
        ([0.0, 0.0], 10, "▁▁"),
        ([0.0, 5.0, 10.0], 10, "▁▅█"),
        ([None, 10.0], 10, " █"),
        ([1.0, 9.0, 9.0], 2, "▂█"),
        ([1.0, 2.0], 0, ""),
    ],
)
def test_a_chart_of_one_line(values: list[float | None], width: int, bars: str) -> None:
    assert sparkline(values, width) == bars


def test_numbers_as_people_read_them() -> None:
    assert [per_second(value) for value in (None, 0.0, 0.3, 9.96, 1234.5)] == ["—/s", "0/s", "0.3/s", "10/s", "1,234/s"]
    assert [size(value) for value in (0, 999, 1234, 12_345, 2_500_000)] == ["0 B", "999 B", "1.2 kB", "12 kB", "2.5 MB"]
