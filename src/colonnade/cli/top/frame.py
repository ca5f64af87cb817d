"""What is around the list of parts: the headline, who and where, what happened last, the keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from colonnade.cli.messages import EVENT_STYLES
from colonnade.cli.top.lines import Line, Span, Tone, clean, fit, wrap
from colonnade.cli.top.watch import Contact, contact_sentence
from colonnade.core.events import Event
from colonnade.system.episodes import Role, role_of

HEADLINE_LINES_MAX = 3

LEVELS: Mapping[str, tuple[str, Tone]] = {
    "well": ("✔", Tone.GOOD),
    "notice": ("◐", Tone.WARN),
    "trouble": ("▲", Tone.BAD),
    "outage": ("✖", Tone.BAD),
}

EVENTS_LINES_MIN = 3
"""Fewer say nothing: then the parts have the room."""

EVENTS_LINES_MAX = 10

EVENTS_LOOKED_AT = 100
"""Of the newest: some are true and of no interest."""

KEYS = ("↑↓ move", "Enter look", "q quit", "? help", "s scale", "r restart", "d drain", "w switchover", "/ filter")
"""The most needed first: what does not fit is left out, and in the help."""


def headline_lines(
    picture: Mapping[str, Any] | None, contact: Contact | None, silent_s: float, where: str, width: int
) -> list[Line]:
    """Whether all is well, and where not; before that, when nobody can be asked, that."""
    if contact is None:
        return [(Span("… asking the controller", Tone.DIM),)]
    told = contact_sentence(contact, silent_s, where)
    if told:
        sign, tone = LEVELS["outage" if contact is Contact.DOWN else "notice"]
    elif picture is not None:
        told = str(picture["headline"]["text"])
        sign, tone = LEVELS[picture["headline"]["level"]]
    else:
        return []
    return [
        (Span(f"{sign} " if not index else "  ", tone), Span(text, Tone.STRONG if tone is Tone.GOOD else tone))
        for index, text in enumerate(wrap(clean(told), max(10, width - 2), HEADLINE_LINES_MAX))
    ]


def title_line(picture: Mapping[str, Any] | None, width: int) -> Line:
    if picture is None:
        return ()
    spans = [
        Span(f"  {clean(picture['name'])}", Tone.STRONG),
        Span(f"  {picture['url']}  {picture['phase']}", Tone.DIM),
    ]
    if picture["version"] is not None:
        spans.append(Span(f"  version {picture['version']}", Tone.DIM))
    if (deployment := picture["deployment"]) is not None and deployment["is_open"]:
        spans.append(Span(f"  {deployment['kind']} to version {deployment['new']}: {deployment['stage']}", Tone.WARN))
    return fit(tuple(spans), width)


def event_lines(events: Sequence[Mapping[str, Any]], width: int, height: int) -> list[Line]:
    """The newest that tell a story, at the bottom. The time of day is the user's own."""
    if height < EVENTS_LINES_MIN:
        return []
    told = [event for event in events[-EVENTS_LOOKED_AT:] if role_of(Event(**event)) is not Role.ASIDE]
    return [_event(event, width) for event in told[-min(EVENTS_LINES_MAX, height) :]]


def _event(event: Mapping[str, Any], width: int) -> Line:
    at = datetime.fromtimestamp(event["at_s"]).strftime("%H:%M:%S")  # noqa: DTZ006
    style = EVENT_STYLES.get(str(event["kind"]).rpartition("_")[2], "")
    tone = Tone.BAD if "red" in style else Tone.GOOD if "green" in style else Tone.PLAIN
    kind = str(event["kind"]).replace("_", " ")
    message = clean(str(event["message"]))
    # Where there is little room the message alone is enough: it names its subject.
    what = (Span(f"{kind}: ", tone), Span(message)) if width >= 100 else (Span(message, tone),)
    return fit((Span(f"{at} ", Tone.DIM), *what), width)


def keys_line(width: int) -> Line:
    text = ""
    for key in KEYS:
        longer = f"{text} · {key}" if text else key
        if len(longer) > width:
            break
        text = longer
    return (Span(text, Tone.DIM),)
