"""What the library raises by itself; everything else is the database's own word (SQLAlchemy's exceptions).

Says for each error whether the write may have happened, because that decides what its caller may do next.
"""

from __future__ import annotations

from colonnade.client.token import Token


class SettingsError(Exception):
    """The environment lacks something, or has it in a form we cannot use. The message says which and what to do."""


class Unavailable(Exception):
    """Time is up and nothing was written, or nothing could be read: the same call may be made again.

    `token` is for the user's next read.
    """

    def __init__(self, message: str = "the database did not answer in time", *, token: Token | None = None) -> None:
        super().__init__(message)
        self.token = token


class CommitUnknown(Exception):
    """The connection was lost after COMMIT was sent, or COMMIT came back with a warning: it may have happened or not.

    Look before repeating the write, or, when `is_repeatable` (the work was declared idempotent), just repeat it.
    `token` sends the next reads to the primary for a while, where the outcome can be looked up.
    """

    def __init__(self, message: str, *, token: Token, is_repeatable: bool) -> None:
        super().__init__(message)
        self.token = token
        self.is_repeatable = is_repeatable
