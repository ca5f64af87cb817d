"""Pass the backend's token of what a visitor has written on to the browser, and back.

The backend signs it and reads it; to us it is text like any other. With it the pages that somebody sees after
publishing come from a database node that has what they wrote, whichever replicas answer.
"""

import re

from flask import Request, Response

COOKIE = "recent_write"

FOR_S = 3600
"""As long as the backend honours any; after that it would only be dead weight."""

_TOKEN = re.compile(r"[\w.-]{1,200}", re.ASCII)


def readable_token(request: Request) -> str | None:
    """The visitor's token, if it looks like one: it is about to be written into a header."""
    token = request.cookies.get(COOKIE, "")
    return token if _TOKEN.fullmatch(token) else None


def pass_on(response: Response, token: str, *, secure: bool) -> None:
    response.set_cookie(COOKIE, token, max_age=FOR_S, httponly=True, samesite="Lax", secure=secure)
