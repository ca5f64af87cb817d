"""The port on which a link is reached: open, silent or shut, and always the same one.

Two things here lean on Linux. *Silent*: a listener whose queue is full does not answer; so the queue is made as short
as it can be and filled by ourselves. *Shut*: a listening socket that is shut down listens no more and keeps its port,
so the kernel refuses in our name; it can listen again.
Read next: `link`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from colonnade.core.errors import HostError
from colonnade.drill.links.rule import DoorState

BACKLOG = 512
PLUGS = 2
"""With a queue of length 0 the kernel still takes one connection; one more, in case that one was taken out just now."""
BIND_TRIES_MAX = 20

Enter = Callable[[socket.socket], None]
"""Takes over an accepted connection."""


class Door:
    """One port on loopback. Close it when done."""

    def __init__(self, enter: Enter) -> None:
        self._enter = enter
        self._socket = _bound()
        self._plugs: list[socket.socket] = []
        self._is_watched = False
        self.port: int = self._socket.getsockname()[1]
        self.state = DoorState.SHUT

    def set(self, state: DoorState) -> None:
        """Nothing happens to connections that came in before."""
        if state is self.state:
            return
        self._watch(is_watched=False)
        # Connections that go on have the same port, and let it be listened on only if both sides said so beforehand.
        # While it is shut nobody else may bind it, which those who say so as well otherwise may.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, state is not DoorState.SHUT)
        if state is DoorState.OPEN:
            self._socket.listen(BACKLOG)
            self._watch(is_watched=True)
        elif state is DoorState.SILENT:
            self._socket.listen(0)
            self._plug()
        else:
            self._socket.shutdown(socket.SHUT_RD)
            self._unplug()
        self.state = state

    def close(self) -> None:
        self._watch(is_watched=False)
        self._unplug()
        self._socket.close()

    def _plug(self) -> None:
        for _ in range(PLUGS):
            plug = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            plug.connect_ex(("127.0.0.1", self.port))
            self._plugs.append(plug)

    def _unplug(self) -> None:
        for plug in self._plugs:
            plug.close()
        self._plugs.clear()

    def _watch(self, *, is_watched: bool) -> None:
        loop = asyncio.get_running_loop()
        if is_watched:
            loop.add_reader(self._socket, self._accept)
        elif self._is_watched:
            loop.remove_reader(self._socket)
        self._is_watched = is_watched

    def _accept(self) -> None:
        ours = {plug.getsockname() for plug in self._plugs}
        # Until nobody waits; a peer that gave up meanwhile gives an error of its own and is none to wait for.
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    accepted, peer = self._socket.accept()
                except ConnectionAbortedError:
                    continue
                accepted.setblocking(False)
                if peer in ours:
                    accepted.close()
                else:
                    self._enter(accepted)
        self._unplug()


def _bound() -> socket.socket:
    """A socket bound to a free port of loopback by its number: only then the port stays ours while nobody listens."""
    for _ in range(BIND_TRIES_MAX):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            bound.bind(("127.0.0.1", port))
        except OSError:
            bound.close()  # somebody was quicker
            continue
        return bound
    raise HostError("no port for a link", subject="127.0.0.1", hint="see who holds them: `ss -tan`, then start again")
