"""What a post may be, and which page may be asked for. Pure; the one place that knows the limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TITLE_LENGTH_MAX = 200
"""Longer is not a title. The column is as wide."""

CONTENT_LENGTH_MAX = 16_000
"""Characters, some 2,500 words. Three bytes each in Chinese makes 48 kB: still small enough for the gateway to keep a
copy and send it again when a replica dies (its buffer holds 64 kB)."""

PER_PAGE_DEFAULT = 20
PER_PAGE_MAX = 100
PAGE_MAX = 10_000
"""The database walks over every row of the pages before; this bounds the walk."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|[\ud800-\udfff]")
"""Control characters other than tab and newline (PostgreSQL refuses the first of them), and halves of characters."""


class Invalid(Exception):
    """The request cannot be served as it is; `errors` says for each field what is wrong, in words for its author."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {error}" for field, error in errors.items()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Draft:
    """A title and a content that may be stored."""

    title: str
    content: str

    @classmethod
    def from_json(cls, body: Any) -> "Draft":
        """Raises Invalid."""
        if not isinstance(body, dict):
            raise Invalid({"body": "Expected a JSON object with a title and a content."})
        errors: dict[str, str] = {}
        title = _text(body, "title", TITLE_LENGTH_MAX, errors)
        content = _text(body, "content", CONTENT_LENGTH_MAX, errors)
        if "title" not in errors and "\n" in title:
            errors["title"] = "A title is one line."
        if errors:
            raise Invalid(errors)
        return cls(title, content)

    def as_json(self) -> dict[str, str]:
        return {"title": self.title, "content": self.content}


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of the list of posts."""

    number: int
    size: int

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Page":
        """Raises Invalid."""
        errors: dict[str, str] = {}
        number = _whole(query, "page", 1, PAGE_MAX, errors)
        size = _whole(query, "per_page", PER_PAGE_DEFAULT, PER_PAGE_MAX, errors)
        if errors:
            raise Invalid(errors)
        return cls(number, size)


def _text(body: dict[str, Any], field: str, length_max: int, errors: dict[str, str]) -> str:
    value = body.get(field)
    if not isinstance(value, str):
        errors[field] = f"The {field} is missing; expected text."
        return ""
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        errors[field] = f"The {field} is empty."
    elif len(text) > length_max:
        errors[field] = f"The {field} has {len(text):,} characters; at most {length_max:,} are possible."
    elif _CONTROL.search(text):
        errors[field] = f"The {field} contains characters that cannot be stored."
    return text


def _whole(query: Mapping[str, str], name: str, default: int, most: int, errors: dict[str, str]) -> int:
    text = query.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= most:
        return int(text)
    errors[name] = f"Expected a whole number from 1 to {most:,}."
    return default
