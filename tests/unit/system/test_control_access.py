"""Who gets to the control API: every route of it, asked on real sockets by another user, by another process, and by
those it is for. Nothing of what is refused reaches the controller."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from starlette.routing import Route

from colonnade.core.processes import Credentials
from colonnade.system.api import build_api
from colonnade.system.serving import open_guarded_socket, open_socket, serve

from ..dashboard.page import NotingController

NOBODY = 65534

ASKING = """
import socket, sys
for line in sys.stdin:
    method, path = line.split()
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(10)
            asking.connect(sys.argv[1])
            asking.sendall(f"{method} {path} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\n{{}}".encode())
            print(asking.recv(100).split(b" ")[1].decode() if asking.recv(1, socket.MSG_PEEK) else "closed")
    except PermissionError:
        print("denied")
    except (ConnectionResetError, BrokenPipeError):
        print("closed")
"""
"""For each route a word: the status of an answer, or how it was refused."""


def walked(controller: NotingController) -> list[str]:
    """`METHOD /path` of everything that there is, from the application itself: a new route cannot be forgotten."""
    found = []
    for route in build_api(controller).routes:  # type: ignore[arg-type]  # its parts only have the methods that are used
        assert isinstance(route, Route), f"{route} is not walked over"
        found += [f"{method} {route.path}" for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


def words(
    controller: NotingController,
    open_it: Callable[[Path], socket.socket],
    asked: Sequence[str],
    *,
    user_id: int,
    mode: int | None = None,
) -> list[str]:
    """What a process of that user is told, route by route."""
    path = Path(f"/tmp/colonnade-control-{os.getpid()}.sock")

    listener = open_it(path)
    assert path.stat().st_mode & 0o777 == 0o600
    if mode is not None:
        path.chmod(mode)

    async def run() -> list[str]:
        async with serve(build_api(controller), listener):  # type: ignore[arg-type]
            told = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-S", "-c", ASKING, str(path)],
                input="\n".join(asked),
                user=user_id,
                group=user_id,
                extra_groups=[] if os.geteuid() == 0 else None,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        return told.stdout.split()

    try:
        return asyncio.run(run())
    finally:
        path.unlink(missing_ok=True)


@pytest.fixture
def controller(tmp_path: Path) -> NotingController:
    return NotingController(tmp_path)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_who_it_is_for_is_answered(controller: NotingController) -> None:
    assert len(walked(controller)) > 25
    given = ["GET /status", "POST /down"]
    assert words(controller, open_socket, given, user_id=os.geteuid()) == ["200", "200"]
    assert controller.asked == [("down",)]


@needs_root
@pytest.mark.parametrize(("mode", "word"), [(None, "denied"), (0o666, "closed")], ids=["as it is", "opened by hand"])
def test_another_user_gets_to_no_route(controller: NotingController, mode: int | None, word: str) -> None:
    told = words(controller, open_socket, walked(controller), user_id=NOBODY, mode=mode)
    assert told == [word] * len(walked(controller))
    assert controller.asked == []


@needs_root
def test_another_process_of_the_dashboard_s_user_gets_to_no_route(controller: NotingController) -> None:
    dashboard = Credentials(NOBODY, NOBODY, "nobody", "/")
    told = words(
        controller,
        lambda path: open_guarded_socket(path, dashboard, lambda pid: pid == os.getpid()),
        walked(controller),
        user_id=NOBODY,
    )
    assert told == ["closed"] * len(walked(controller))
    assert controller.asked == []
