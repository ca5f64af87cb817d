"""Lines of text with tones, before any terminal is involved. Pure.

A tone is a meaning and not a colour: what it says is said by a sign or a word as well, for those who see no colours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from rich.cells import cell_len, set_cell_size

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal may obey instead of showing it, or that turns the order of what is shown."""

BARS = "▁▂▃▄▅▆▇█"


class Tone(Enum):
    PLAIN = "plain"
    DIM = "dim"
    STRONG = "strong"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]


def text_of(line: Line) -> str:
    return "".join(span.text for span in line)


def clean(text: str) -> str:
    """What applications said, on one line and harmless to a terminal."""
    return CONTROL.sub("·", text.replace("\t", "    ").replace("\n", " "))


def pad(text: str, width: int, *, is_right: bool = False) -> str:
    """Exactly so many cells wide: cut with an ellipsis, or filled."""
    if width <= 0:
        return ""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    fill = " " * (width - cell_len(text))
    return fill + text if is_right else text + fill


def fit(line: Line, width: int) -> Line:
    """The line, cut where it is too long."""
    kept: list[Span] = []
    left = width
    for span in line:
        size = cell_len(span.text)
        if size > left:
            return (*kept, Span(pad(span.text, left), span.tone))
        kept.append(span)
        left -= size
    return tuple(kept)


def wrap(text: str, width: int, lines_max: int) -> list[str]:
    """Broken between words; the last line that is allowed is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if cell_len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > lines_max:
        lines = [*lines[: lines_max - 1], " ".join(lines[lines_max - 1 :])]
    return [pad(line, width).rstrip() if cell_len(line) > width else line for line in lines]


def sparkline(values: Sequence[float | None], width: int) -> str:
    """One bar for each value, or for the mean of several when there are more than fit; a gap where nothing is known.
    The highest bar is the highest value: what it stands for is written beside it."""
    if width <= 0 or not values:
        return ""
    step = -(-len(values) // width)
    # From the end, so that a bar does not change its values while they move to the left.
    chunks = [values[max(0, end - step) : end] for end in range(len(values), 0, -step)][::-1]
    means = [
        sum(known) / len(known) if (known := [one for one in chunk if one is not None]) else None for chunk in chunks
    ]
    top = max((mean for mean in means if mean is not None), default=0.0)
    return "".join(" " if mean is None else _bar(mean, top) for mean in means)


def _bar(value: float, top: float) -> str:
    return BARS[0] if top <= 0 else BARS[min(len(BARS) - 1, int(value / top * (len(BARS) - 1) + 0.5))]


def per_second(value: float | None) -> str:
    if value is None:
        return "—/s"
    return f"{value:.1f}/s" if 0 < value < 9.95 else f"{value:,.0f}/s"


def size(count_bytes: int) -> str:
    """`0 B`, `12 kB`, `3.4 MB`: with powers of ten, as disks have it."""
    value = float(count_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 9.95 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
