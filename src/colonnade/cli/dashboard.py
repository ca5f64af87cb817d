"""`colonnade dashboard`: where the page is, and how to get in. Secrets go to the terminal of whoever may read their
file, and nowhere else: a browser is opened on a private file, not with an address that `ps` would show."""

from __future__ import annotations

import os
import signal
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from colonnade.cli.messages import out, print_json
from colonnade.core.clock import SystemClock
from colonnade.core.errors import HostError
from colonnade.core.files import write_durably
from colonnade.dashboard.web.sessions import CODE_S_MAX, Role, make_code
from colonnade.system.client import ControlClient
from colonnade.system.dashboard_tokens import load_or_make_tokens, renew_tokens
from colonnade.system.target import Target

AWAY_S_MAX = 20.0
"""How long the next process may take after tokens were renewed."""

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of the command."""

    is_viewer: bool
    is_renewing: bool
    is_opening: bool
    as_json: bool


def show_dashboard(target: Target, wish: Wish) -> None:
    """Print the address with a code that logs in once, and the token."""
    with ControlClient(target.paths) as client:
        dashboard = client.status().get("dashboard")  # none in that of an older controller
        if dashboard is None:
            hint = "[dashboard] enabled = true in colonnade.toml, then `colonnade down` and `colonnade up`"
            raise HostError("no dashboard runs here", subject=str(target.paths.root), hint=hint)
        root = target.paths.root / "dashboard"
        if wish.is_renewing:
            renew_tokens(root)
            _restart(client, dashboard["pid"])
    tokens = load_or_make_tokens(root)
    role = Role.VIEWER if wish.is_viewer else Role.OPERATOR
    token = tokens.viewer if wish.is_viewer else tokens.operator
    address = f"{dashboard['url']}/#code={make_code(tokens, role)}"
    if wish.is_opening:
        _open(root / "open.html", address)
    if wish.as_json:
        print_json({"url": dashboard["url"], "login_url": address, "token": token, "role": role.value})
        return
    may = "may look" if wish.is_viewer else "may change things"
    out.print(f"[bold]{escape(address)}[/]")
    out.print(f"[dim]logs in once, within {CODE_S_MAX} s; whoever opens it {may}. Later, at {dashboard['url']}:[/]")
    out.print(f"token {escape(token)}")


def _restart(client: ControlClient, pid: int | None) -> None:
    """The process has read the old ones; its successor reads the new ones."""
    clock = SystemClock()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline_s = clock.monotonic() + AWAY_S_MAX
    while client.status()["dashboard"]["pid"] in (pid, None):
        if clock.monotonic() > deadline_s:
            raise HostError("the dashboard did not come back", subject="dashboard", hint="`colonnade logs dashboard`")
        time.sleep(POLL_S)


def _open(page: Path, address: str) -> None:
    content = f'<!doctype html><meta http-equiv="refresh" content="0;url={address}"><title>Colonnade</title>'
    write_durably(page, content, mode=0o600)
    webbrowser.open(page.as_uri())
