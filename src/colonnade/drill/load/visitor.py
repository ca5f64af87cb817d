"""A visitor: the cookies they carry, the item they wrote, and whether an answer shows it.

Like a person with one browser window they do one thing after the other; who waits for whom is the runner's business.
Never sends anything. Read next: `runner`; `checkers/sessions.py` for what is made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

from colonnade.drill.load.ledger import Outcome

COOKIES_MAX = 50
"""What a browser keeps for one site, roughly. A system that sets more names than that meets what a browser would do."""
GONE = frozenset({404, 410})
"""Answers that say that the item is not there; other errors say nothing about it."""


class Visitor:
    """One session. Its state changes only between its own steps."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.token: str | None = None
        """Of the item they wrote."""
        self.item_id: str | None = None
        """Its id, once an answer has told."""
        self.turn = asyncio.Lock()
        """Held by the step that is under way: a person does not click before the page has come."""
        self._cookies: dict[str, str] = {}

    def cookie_header(self) -> str:
        """What to send along; empty for none."""
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def keep(self, set_cookies: Iterable[str]) -> None:
        """Take over what an answer sets. Unreadable cookies are dropped, as browsers do."""
        for text in set_cookies:
            try:
                found = SimpleCookie(text)
            except CookieError:
                continue
            for name, morsel in found.items():
                self._cookies.pop(name, None)
                if morsel["max-age"].strip() != "0" and len(self._cookies) < COOKIES_MAX:
                    self._cookies[name] = morsel.coded_value

    def has_found(self, outcome: Outcome, status: int | None, body: bytes | bytearray) -> bool | None:
        """Whether an answer to a look for their own item shows it; None when it cannot say."""
        if self.token is None:
            return None
        if outcome is Outcome.OK:
            return self.token.encode() in body
        return False if status in GONE else None
