"""How the command line speaks: one console, one way to print an error, one way to print an event."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from colonnade.core.errors import AppError, ColonnadeError

PIPE_WIDTH = 200
"""Where output goes to a file or a pipe there is no window to fit into: nothing is cut."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else PIPE_WIDTH)

EVENT_STYLES: Mapping[str, str] = {
    "ready": "green",
    "running": "bold green",
    "exited": "red",
    "killed": "red",
    "failed": "bold red",
    "looping": "bold red",
    "refused": "red",
    "lost": "bold red",
    "stopped": "dim",
    "promoted": "bold yellow",
}
"""By the last word of an event's kind; anything else is plain. Colour repeats what the words say."""


def print_error(error: ColonnadeError) -> None:
    """What happened, the application's own words if there are any, and what to do next."""
    if isinstance(error, AppError) and error.detail:
        err.print(f"[dim]{escape(error.detail)}[/]\n")
    err.print(f"[bold red]error[/] {escape(str(error))}")
    if error.hint:
        err.print(f"[bold]  →[/] {escape(error.hint)}")


def print_warning(text: str) -> None:
    err.print(f"[yellow]warning[/] {escape(text)}")


def event_line(event: Mapping[str, Any]) -> str:
    """One event as one line of console markup."""
    at = datetime.fromtimestamp(event["at_s"]).strftime("%H:%M:%S.%f")[:-3]  # noqa: DTZ006 — the user's own time zone
    kind = str(event["kind"])
    style = EVENT_STYLES.get(kind.rpartition("_")[2], "default")
    return f"[dim]{at}[/] [{style}]{kind:<24}[/] {escape(str(event['message']))}"


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
