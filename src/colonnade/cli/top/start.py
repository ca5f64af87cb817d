"""`colonnade top` from the command line: is this a terminal, and then the screen until it is left."""

from __future__ import annotations

import os
import sys

from colonnade.core.errors import HostError
from colonnade.system.target import Target

DUMB = frozenset({"", "dumb", "unknown"})
"""Values of TERM of terminals that cannot be told where to write."""


def top(target: Target) -> int:
    """Returns the exit code. Raises HostError where there is no terminal that it could be shown on."""
    why_not = unfit_terminal(is_terminal=sys.stdin.isatty() and sys.stdout.isatty(), term=os.environ.get("TERM", ""))
    if why_not:
        raise HostError(
            why_not,
            subject="top",
            hint="`colonnade status` and `colonnade events --follow` say the same on every terminal and in a pipe",
        )
    from colonnade.cli.top.app import Top

    app = Top(target.paths)
    app.run()
    return app.return_code or 0


def unfit_terminal(*, is_terminal: bool, term: str) -> str:
    """Why the screen cannot be drawn; empty when it can."""
    if not is_terminal:
        return "needs a terminal: input or output is a file or a pipe here"
    if term in DUMB:
        return f"needs a terminal that can be drawn on, and TERM is {term!r} here"
    return ""
