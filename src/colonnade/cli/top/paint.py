"""From tones to the terminal's own sixteen colours, which fit a light and a dark one alike."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from colonnade.cli.top.lines import Line, Tone

STYLES: Mapping[Tone, str] = {
    Tone.PLAIN: "",
    Tone.DIM: "dim",
    Tone.STRONG: "bold",
    Tone.GOOD: "ansi_green",
    Tone.WARN: "ansi_yellow",
    Tone.BAD: "bold ansi_red",
}


def content(line: Line) -> Content:
    return Content.assemble(*((span.text, STYLES[span.tone]) for span in line))
