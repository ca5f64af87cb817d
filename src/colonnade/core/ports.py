"""Ports for replicas and nodes: outside the kernel's own range, and not handed out again soon.

A port that the kernel may give to any outgoing connection is a port that is sometimes taken when a replica wants to
bind it. And a port that went from one service to another while the gateway still had the old address would send
requests to the wrong service: so the allocator walks round the whole range before it reuses one.
"""

from __future__ import annotations

import socket
import zlib
from collections.abc import Iterator

from colonnade.core.errors import HostError

PORT_FIRST = 15_000
PORT_LAST = 31_999
"""Below Linux's default ip_local_port_range (32768–60999) and above what people choose by hand."""


class PortAllocator:
    """Hands out free loopback ports in turn. `seed` (the state directory's path) gives each system its own start,
    so two systems that start together do not race for the same ports; `cursor` survives a restart by being saved."""

    def __init__(self, seed: str, cursor: int | None = None) -> None:
        self.cursor = cursor if cursor is not None else PORT_FIRST + zlib.crc32(seed.encode()) % _SIZE

    def take(self) -> int:
        """The next port on which nobody listens. Raises HostError when a whole round finds none."""
        for port in self._round():
            if is_free("127.0.0.1", port):
                return port
        raise HostError(
            f"no free port between {PORT_FIRST} and {PORT_LAST}",
            hint="see who holds them: `ss -ltnp`, then start again",
        )

    def _round(self) -> Iterator[int]:
        for _ in range(_SIZE):
            port = self.cursor
            self.cursor = PORT_FIRST if port >= PORT_LAST else port + 1
            yield port


_SIZE = PORT_LAST - PORT_FIRST + 1


def is_free(host: str, port: int) -> bool:
    """True when `host:port` could be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without this a port in TIME_WAIT looks taken, although every server of ours binds with it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
