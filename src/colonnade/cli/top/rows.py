"""The picture as rows of a list: gateway, services with their replicas, database with its nodes. Pure.

A service with many replicas is folded: one sign for each, and rows only for those that are not well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.cli.top.history import ALL, History
from colonnade.cli.top.lines import Line, Span, Tone, clean, fit, pad, per_second, size, sparkline

Part = Mapping[str, Any]

SIGNS: Mapping[str, tuple[str, Tone]] = {
    "well": ("●", Tone.GOOD),
    "coming": ("◐", Tone.WARN),
    "leaving": ("◑", Tone.WARN),
    "held": ("○", Tone.WARN),
    "sick": ("▲", Tone.BAD),
    "dead": ("✖", Tone.BAD),
}
"""By health: each has a shape of its own, and a word beside it."""

WORDS: Mapping[str, str] = {"coming": "starts", "leaving": "ends", "held": "drained", "sick": "sick", "dead": "dead"}

WELL_WORDS: Mapping[str, str] = {"replica": "ready", "gateway": "up", "database": "writable"}

FOLDED_FROM = 13
"""Replicas: a dozen fit a terminal of 24 lines together with the rest."""

FOLDED_ROWS_MAX = 20
"""Of replicas that are not well, in a folded service; the others are in its signs."""

NAME_WIDTH_MIN, NAME_WIDTH_MAX = 14, 22
CHART_WIDTH_MIN, CHART_WIDTH_MAX = 8, 60


@dataclass(frozen=True, slots=True)
class View:
    """How one looks: the width in cells, the words to search for, services that are folded or not against the rule."""

    width: int
    words: str = ""
    turned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """`part` is None where there is nothing to look into."""

    key: str
    line: Line
    part: Part | None = None


def rows(picture: Mapping[str, Any], history: History, view: View) -> list[Row]:
    parts: Sequence[Part] = picture["parts"]
    found = []
    for part in parts:
        if part.get("parent") or part["kind"] == "controller":
            continue
        inside = [one for one in parts if one.get("parent") == part["id"]]
        kept = [one for one in inside if _is_meant(one, view.words)]
        if not kept and not _is_meant(part, view.words):
            continue
        found.append(Row(part["id"], _row(part, picture, history, view), part))
        shown = kept if view.words else inside
        if part["kind"] == "service" and not view.words and is_folded(part, len(inside), view):
            found += _folded(part, inside, history, view)
        else:
            found += [Row(one["id"], _row(one, picture, history, view), one) for one in shown]
    return found


def is_folded(service: Part, replicas: int, view: View) -> bool:
    return (replicas >= FOLDED_FROM) != (service["id"] in view.turned)


def header(view: View) -> Line:
    columns = _columns(view.width)
    titles = [("", 2), ("part", columns.name), ("state", columns.state)]
    texts = [pad(title, width) for title, width in titles]
    numbers = [("requests", columns.rate), ("answer", columns.time), ("busy", columns.load)]
    texts += [pad(title, width - 1, is_right=True) + " " for title, width in numbers if width]
    return fit((Span("".join(texts) + pad(" last 3 minutes", columns.rest).rstrip(), Tone.DIM),), view.width)


@dataclass(frozen=True, slots=True)
class _Columns:
    name: int
    state: int
    rate: int
    time: int
    load: int
    rest: int


def _columns(width: int) -> _Columns:
    """What is narrow loses the columns on the right first."""
    name = min(NAME_WIDTH_MAX, max(NAME_WIDTH_MIN, width // 4))
    state = 9
    rate = 10 if width >= 40 else 0
    time = 9 if width >= 54 else 0
    load = 9 if width >= 64 else 0
    return _Columns(name, state, rate, time, load, max(0, width - 2 - name - state - rate - time - load))


def _row(part: Part, picture: Mapping[str, Any], history: History, view: View) -> Line:
    columns = _columns(view.width)
    sign, tone = SIGNS[part["health"]]
    label = ("  " if part.get("parent") else "") + part["label"]
    name = Span(pad(label, columns.name - 1) + " ", Tone.STRONG if not part.get("parent") else Tone.PLAIN)
    word = Span(pad(state_word(part), columns.state - 1) + " ", tone)
    beginning: Line = (Span(f"{sign} ", tone), name, word)
    if part["health"] != "well" and part["kind"] in ("replica", "node", "gateway"):
        return fit((*beginning, Span(clean(part["why"]), tone)), view.width)
    numbers = _numbers(part, picture, history)
    if not any(numbers):
        return fit((*beginning, *_rest(part, history, view.width - 2 - columns.name - columns.state)), view.width)
    cells = [
        Span(pad(text, width - 1, is_right=True) + " ")
        for text, width in zip(numbers, (columns.rate, columns.time, columns.load), strict=True)
        if width
    ]
    return fit((*beginning, *cells, *_rest(part, history, columns.rest)), view.width)


def state_word(part: Part) -> str:
    """The word beside the sign."""
    kind, health = str(part["kind"]), str(part["health"])
    if kind == "service":
        return f"{part['ready']}/{part['desired']}"
    if kind == "node" and health == "well":
        return str(part["role"])
    return WORDS.get(health, WELL_WORDS.get(kind, "well"))


def _numbers(part: Part, picture: Mapping[str, Any], history: History) -> tuple[str, str, str]:
    """Requests a second, how long until an answer begins, and how much of what there is is in use."""
    match part["kind"]:
        case "gateway" if part["id"] == ALL:
            rate = next((flow["per_s"] for flow in picture["flows"] if flow["from"] == "visitors"), None)
            return per_second(rate), "", ""
        case "service":
            time = f"{part['response_ms']:.0f} ms" if part["response_ms"] else ""
            return per_second(part["requests_per_s"]), time, f"{part['busy']}/{part['places']}"
        case "replica":
            time = f"{part['response_ms']:.0f} ms" if part["response_ms"] else ""
            return per_second(history.replica_rate(part["id"])), time, str(part["in_flight"] or 0)
        case _:
            return "", "", ""


def _rest(part: Part, history: History, width: int) -> Line:
    """The last minutes as far as there is room, and what is worth saying beside the numbers."""
    notes = list(_notes(part))
    text = " · ".join(note for note, _ in notes)
    tone = Tone.WARN if any(tone is Tone.WARN for _, tone in notes) else Tone.DIM
    rates = history.rates(part["id"])
    room = width - 1 - (len(text) + 1 if text else 0)
    spans = []
    if len(rates) > 1 and room >= CHART_WIDTH_MIN:
        spans.append(Span(f" {sparkline(rates, min(CHART_WIDTH_MAX, room))}"))
    if text:
        spans.append(Span(f" {text}", tone))
    return tuple(spans)


def _notes(part: Part) -> Iterator[tuple[str, Tone]]:
    match part["kind"]:
        case "service":
            if part["queued"]:
                yield f"{part['queued']} wait", Tone.WARN
            if part["rejected_per_s"]:
                yield f"{per_second(part['rejected_per_s'])} turned away", Tone.WARN
            if part["errors_per_s"]:
                yield f"{per_second(part['errors_per_s'])} errors", Tone.WARN
            if part["rollout"]:
                yield clean(part["rollout"]), Tone.WARN
        case "replica" | "gateway" if part["restarts"]:
            yield f"restarted {part['restarts']}×", Tone.DIM
        case "node" if part["role"] != "primary" and part["lag_bytes"] is not None:
            yield f"{size(part['lag_bytes'])} behind" + f", {part['sync_state']}" * bool(part["sync_state"]), Tone.DIM
        case "database":
            yield clean(part["why"]), Tone.DIM if part["health"] == "well" else Tone.WARN
        case _:
            return


def _folded(service: Part, replicas: Sequence[Part], history: History, view: View) -> Iterator[Row]:
    """All as signs, and those that are not well as rows."""
    signs = [SIGNS[one["health"]] for one in replicas]
    for start in range(0, len(signs), max(1, view.width - 4)):
        here = signs[start : start + view.width - 4]
        spans = [Span("    ")]
        for sign, tone in here:
            # Neighbours of one tone are one span: a terminal is told once.
            spans = (
                [*spans[:-1], Span(spans[-1].text + sign, tone)]
                if spans[-1].tone is tone
                else [*spans, Span(sign, tone)]
            )
        yield Row(f"{service['id']} signs {start}", tuple(spans))
    unwell = [one for one in replicas if one["health"] != "well"]
    for one in unwell[:FOLDED_ROWS_MAX]:
        yield Row(one["id"], _row(one, {"flows": ()}, history, view), one)
    more = len(unwell) - FOLDED_ROWS_MAX
    well = len(replicas) - len(unwell)
    said = [f"{more} more are not well"] * (more > 0) + [f"{well} are well"] * (well > 0)
    yield Row(f"{service['id']} more", fit((Span(f"    {', '.join(said)}: Space shows each", Tone.DIM),), view.width))


def _is_meant(part: Part, words: str) -> bool:
    """Each of the words is in its name, its state or its kind."""
    text = f"{part['id']} {part['kind']} {part['health']} {state_word(part)}".lower()
    return all(word in text for word in words.lower().split())
