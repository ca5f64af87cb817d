"""Answering HTTP inside a process of ours, which has its own ideas about signals and time: the control API on unix
sockets that nobody else can open, the dashboard on a socket of the keeper's. What is answered is not decided here."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from colonnade.core.processes import Credentials

PEER = struct.Struct("3i")
"""What SO_PEERCRED gives: pid, user and group of who connected, as the kernel knows them."""


class _Server(uvicorn.Server):
    """Uvicorn inside a process that has its own ideas about signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """Uvicorn's own wakes ten times a second to look at a flag, which is an eighth of all that we cost at rest."""
        self.server_state.default_headers = list(self.config.encoded_headers)
        await self.ended.wait()


@dataclass(frozen=True, slots=True)
class Peer:
    """Who connected, as the kernel knows it."""

    pid: int
    user_id: int


class GuardedSocket(socket.socket):
    """A listening unix socket that drops whoever connects and is none of those it is for, before a byte is read."""

    is_for: Callable[[Peer], bool]

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        pid, user_id, _ = PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
        if self.is_for(Peer(pid, user_id)):
            return connection, address
        connection.close()
        raise ConnectionAbortedError  # to asyncio: whoever it was has gone again


def open_socket(path: Path) -> socket.socket:
    """A unix socket that only its owner (and root) can open, from the first moment on; and, should the mode of its file
    be changed by hand, only theirs are answered."""
    ours = frozenset({0, os.geteuid()})
    return _bind(path, lambda peer: peer.user_id in ours)


def open_guarded_socket(path: Path, credentials: Credentials, is_for: Callable[[int], bool]) -> socket.socket:
    """A unix socket for one process that runs as another user. That user's other processes could open its file, so the
    kernel is asked who it is: `is_for(pid)`."""
    listener = _bind(path, lambda peer: is_for(peer.pid))
    os.chown(path, credentials.user_id, credentials.group_id)
    return listener


def _bind(path: Path, is_for: Callable[[Peer], bool]) -> GuardedSocket:
    listener = GuardedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.is_for = is_for
    path.unlink(missing_ok=True)
    old_umask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old_umask)
    return listener


@asynccontextmanager
async def serve(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """Answer on `listener` while the context lasts."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", ws="none", loop="asyncio", timeout_graceful_shutdown=1
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        server.ended.set()
        await task
