"""`colonnade top` from the command line: is this a terminal, and then the screen until it is left."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time

from colonnade.core.errors import HostError
from colonnade.system.target import Target

DUMB = frozenset({"", "dumb", "unknown"})
"""Values of TERM of terminals that cannot be told where to write."""

ORDERLY_END_S = 2.0


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

    threading.Thread(target=_end_with_terminal, args=(sys.stdin.fileno(),), daemon=True).start()
    app = Top(target.paths)
    app.run()
    return app.return_code or 0


def _end_with_terminal(descriptor: int) -> None:
    """End this process soon after its terminal has gone, should it still be there.

    Who has this terminal as its own gets SIGHUP and ends by itself. Anybody else stands still for ever: what writes the
    screen ended with the first error, and the screen waits for it, deaf to every signal, while another thread reads the
    end of the input again and again."""
    hung_up = select.poll()
    hung_up.register(descriptor, 0)  # nothing but its end
    hung_up.poll()
    time.sleep(ORDERLY_END_S)
    os._exit(128 + signal.SIGHUP)


def unfit_terminal(*, is_terminal: bool, term: str) -> str:
    """Why the screen cannot be drawn; empty when it can."""
    if not is_terminal:
        return "needs a terminal: input or output is a file or a pipe here"
    if term in DUMB:
        return f"needs a terminal that can be drawn on, and TERM is {term!r} here"
    return ""
