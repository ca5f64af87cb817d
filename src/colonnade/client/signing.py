"""Tokens as signed text, for a cookie or a header: recognised by every replica, made by nobody else, and not for ever.

The signature keeps others from steering reads to the primary, or to a standby that has less than they may expect.
"""

from __future__ import annotations

from itsdangerous import BadSignature, TimestampSigner

from colonnade.client.token import PRIMARY_FOR_S, Token, wall_s

LIFETIME_S = 3600
"""How long after a user's last write (or checked read) their token is honoured. A standby that is further behind than
that is one that somebody is looking after."""

COOKIE = "colonnade_token"
"""What the helpers for web frameworks call theirs."""

LENGTH_MAX = 200
"""Longer text is no token of ours, and not worth a hash."""


class TokenSigner:
    """Signs with a key that all replicas share."""

    def __init__(self, key: bytes, *, lifetime_s: int = LIFETIME_S) -> None:
        self.lifetime_s = lifetime_s
        self._signer = TimestampSigner(key, salt="colonnade.token")

    def sign(self, token: Token) -> str:
        """At most LENGTH_MAX characters of `[A-Za-z0-9_.-]`."""
        return self._signer.sign(str(token)).decode()

    def verify(self, text: str | None) -> Token | None:
        """The token; None for none, for a forged one and for an expired one."""
        if text is None or len(text) > LENGTH_MAX:
            return None
        try:
            signed = self._signer.unsign(text, max_age=self.lifetime_s).decode("ascii")
        except (BadSignature, UnicodeDecodeError):
            return None
        token = Token.parse(signed)
        if token is None or (token.point is None and not token.demands_primary()):
            return None
        # A clock that jumped back must not keep a user on the primary for ever.
        bounded = min(token.primary_until_s, wall_s() + 2 * PRIMARY_FOR_S)
        return Token(token.point, bounded)

    def max_age_s(self, token: Token) -> int:
        """How long a browser should keep it, in seconds."""
        return self.lifetime_s if token.point else int(PRIMARY_FOR_S)
