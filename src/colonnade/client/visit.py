"""One user's reads and writes, one after the other, each seeing all that came before. Holds their token.

Helpers keep it in a cookie: `flask.py`, `django.py`, `asgi.py`. For event loops there is a Visit in `aio.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from colonnade.client.database import Database
from colonnade.client.errors import CommitUnknown, Unavailable
from colonnade.client.policy import Policy, Read
from colonnade.client.token import Token

Result = TypeVar("Result")


class Visit:
    """What a user does within one request, or within one script. Not to be shared between threads."""

    def __init__(self, database: Database, token: Token | None = None) -> None:
        self._database = database
        self.token = token or Token()
        self.is_used = False
        """Whether anything was asked of the database for this user."""

    def read(
        self,
        work: Callable[[Session], Result],
        *,
        strict: bool = False,
        monotonic: bool = False,
        policy: Policy | None = None,
    ) -> Read[Result]:
        """`Database.read` with this user's token."""
        self.is_used = True
        found = self._database.read(work, token=self.token, strict=strict, monotonic=monotonic, policy=policy)
        self.token = found.token
        return found

    def write(
        self, work: Callable[[Session], Result], *, idempotent: bool | None = None, policy: Policy | None = None
    ) -> Result:
        """`Database.write` with this user's token. Whatever goes wrong, the user's next reads will show the truth."""
        self.is_used = True
        try:
            written = self._database.write(work, idempotent=idempotent, token=self.token, policy=policy)
        except (CommitUnknown, Unavailable) as error:
            self.token = error.token or self.token.with_primary()
            raise
        except Exception:
            # An earlier attempt may have been committed, with this one failing on account of it.
            self.token = self.token.with_primary()
            raise
        self.token = written.token
        return written.value
