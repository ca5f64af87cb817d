"""Whoever has just written reads from the primary for a while, so that they find what they wrote.

A signed cookie carries it, not a process: the next request reaches another replica. The frontend hands the cookie on
to the browser and back, without looking into it. The signature keeps others from steering their reads to the primary.
"""

from flask import Request, Response
from itsdangerous import BadSignature, TimestampSigner

COOKIE = "recent_write"

FOR_S = 5
"""Standbys are usually milliseconds behind; five seconds cover one that has to catch up after a failover."""


class RecentWrite:
    """Marks answers to writes and recognises the mark."""

    def __init__(self, signing_key: bytes) -> None:
        self._signer = TimestampSigner(signing_key, salt=COOKIE)

    def mark(self, response: Response, request: Request) -> None:
        """Also for a write whose outcome is unknown: looking for it on a standby would prove nothing."""
        response.set_cookie(
            COOKIE,
            self._signer.sign(b"w").decode(),
            max_age=FOR_S,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure,
        )

    def is_marked(self, request: Request) -> bool:
        """True within FOR_S seconds of a write, give or take the second that the time stamp is rounded to."""
        value = request.cookies.get(COOKIE)
        if value is None:
            return False
        try:
            self._signer.unsign(value, max_age=FOR_S)
        except BadSignature:  # forged, or simply expired
            return False
        return True
