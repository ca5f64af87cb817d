"""The one tree of errors.

    ColonnadeError                message, hint, subject
    ├── SpecError                 the declaration is wrong                  (the user's file)
    ├── HostError                 this machine lacks or refuses something   (disk, port, program, permission)
    ├── AppError                  the user's application does not start     (its log is the cause)
    ├── DriverError               HAProxy, PostgreSQL or the control API answered wrongly
    │   └── DriverUnavailable     … did not answer; asking again may help   (Temporary)
    └── Bug                       our fault: please report

Each class answers whose fault it is; `retry_after_s` answers whether waiting can help (None: it cannot).
Foreign exceptions are translated where they enter, with the cause chained.
"""

from __future__ import annotations


class ColonnadeError(Exception):
    """An error for people: what happened (`message`), to what (`subject`), and what to do next (`hint`)."""

    retry_after_s: float | None = None
    exit_code: int = 1

    def __init__(self, message: str, *, hint: str, subject: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.subject = subject

    def __str__(self) -> str:
        where = f"{self.subject}: " if self.subject else ""
        return f"{where}{self.message}"


class SpecError(ColonnadeError):
    """The declaration (colonnade.toml) is wrong; nothing was started."""

    exit_code = 2


class HostError(ColonnadeError):
    """This machine lacks or refuses something we need."""

    exit_code = 3


class AppError(ColonnadeError):
    """The user's application does not start or does not get ready; `detail` holds its own last lines."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str, subject: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, subject=subject)
        self.detail = detail


class DriverError(ColonnadeError):
    """An engine (HAProxy, PostgreSQL) or the control API gave an answer we cannot use."""

    exit_code = 5


class DriverUnavailable(DriverError):
    """An engine did not answer; asking again may help."""

    retry_after_s = 0.5


class Bug(ColonnadeError):
    """A broken promise inside Colonnade itself."""

    exit_code = 70

    def __init__(self, message: str, *, subject: str = "") -> None:
        super().__init__(
            message, hint="please report this with the output of `colonnade events --json`", subject=subject
        )
