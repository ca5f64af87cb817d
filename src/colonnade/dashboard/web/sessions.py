"""Who somebody is: from a token or a one-time code to a session, and from what a browser sends back to a role.

A session has two halves, and neither is of use without the other. The *cookie* is signed, HttpOnly and SameSite=Strict,
so no script can read it; but browsers send the cookies of 127.0.0.1 to every port of 127.0.0.1, the application behind
the gateway included. The *proof* is kept by the page in storage that belongs to its origin, port and all, and comes
back in a header that no form and no image can send: it is the token against forged requests, and what a cookie that was
seen by another port lacks.

Signed by itsdangerous, as Flask's sessions are.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from itsdangerous import BadData, URLSafeTimedSerializer

from colonnade.core.errors import HostError
from colonnade.dashboard.web.spent import Spent
from colonnade.system.dashboard_tokens import Tokens

SESSION_S_MAX = 12 * 3600
"""A working day; then one logs in again."""

CODE_S_MAX = 120
"""From `colonnade dashboard` to the browser: time to copy a line, and no more."""

PASS_S_MAX = 60
"""From asking for a document to the frame that shows it."""

_SESSION, _CODE, _PASS = "colonnade.dashboard.session", "colonnade.dashboard.code", "colonnade.dashboard.pass"


class Role(Enum):
    """What somebody may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Session:
    """Of one login; `cookie` and `proof` go to the browser, apart from each other."""

    role: Role
    cookie: str
    proof: str


def make_code(tokens: Tokens, role: Role) -> str:
    """A code that logs in once, within CODE_S_MAX: for an address that a terminal shows."""
    return _signer(tokens, _CODE).dumps([role.value, secrets.token_urlsafe(12)])


class Sessions:
    """Makes sessions and knows them again. Remembers nothing of them but which ended, and the codes that were used."""

    def __init__(self, tokens: Tokens, spent: Spent) -> None:
        self._tokens = tokens
        self._spent = spent

    def begin_by_token(self, token: str) -> Session | None:
        """None when it is nobody's."""
        given = token.encode()
        if hmac.compare_digest(given, self._tokens.operator.encode()):
            return self._begin(Role.OPERATOR)
        if hmac.compare_digest(given, self._tokens.viewer.encode()):
            return self._begin(Role.VIEWER)
        return None

    def begin_by_code(self, code: str) -> Session | None:
        """None when it is not ours, too old, or was used."""
        try:
            role, name = _signer(self._tokens, _CODE).loads(code, max_age=CODE_S_MAX)
        except BadData:
            return None
        if name in self._spent:
            return None
        with suppress(HostError):  # a full disk locks nobody out, and the code is over in two minutes
            self._spent.add(name, CODE_S_MAX)
        return self._begin(Role(role))

    def role_of(self, cookie: str, proof: str) -> Role | None:
        """Whose both halves these are; None when they are not ours, too old, or not of one session."""
        try:
            role, name = _signer(self._tokens, _SESSION).loads(cookie, max_age=SESSION_S_MAX)
        except BadData:
            return None
        if name in self._spent:
            return None
        is_whole = hmac.compare_digest(proof.encode(), self._proof_for(name).encode())
        return Role(role) if is_whole else None

    def end(self, cookie: str) -> None:
        """It is known no more, should somebody have kept a copy. Raises HostError when the disk refuses to remember it
        for the next process; in this one it is ended all the same."""
        try:
            _, name = _signer(self._tokens, _SESSION).loads(cookie)
        except BadData:
            return
        self._spent.add(name, SESSION_S_MAX)

    def pass_for(self, path: str) -> str:
        """Opens this one path for a moment: for a frame, which cannot send a header."""
        return _signer(self._tokens, _PASS).dumps(path)

    def opens(self, given: str, path: str) -> bool:
        try:
            named: object = _signer(self._tokens, _PASS).loads(given, max_age=PASS_S_MAX)
        except BadData:
            return False
        return named == path

    def _begin(self, role: Role) -> Session:
        name = secrets.token_urlsafe(16)
        return Session(role, _signer(self._tokens, _SESSION).dumps([role.value, name]), self._proof_for(name))

    def _proof_for(self, name: str) -> str:
        return hmac.new(self._tokens.key.encode(), f"proof:{name}".encode(), hashlib.sha256).hexdigest()


def _signer(tokens: Tokens, purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(tokens.key, salt=purpose, signer_kwargs={"digest_method": hashlib.sha256})
