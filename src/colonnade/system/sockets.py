"""Listening sockets and how they travel between processes. Standard library only: the keeper stays small.

A socket is opened once, by the keeper, and lives as long as any process holds a copy. Its descriptor number is kept
across all of them (keeper, controller, HAProxy), so that a later keeper can ask the kernel for HAProxy's copy by it.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import socket
from typing import Any

BACKLOG = 4096
"""Connections that wait in the kernel while the gateway restarts; at 1,000 a second, four seconds' worth."""

DESCRIPTOR_FIRST = 200
"""Numbers from here on, so that they never meet what a fresh process opens for itself."""

MESSAGE_BYTES_MAX = 64 * 1024
_SYS_PIDFD_GETFD = 438


def open_listener(host: str, port: int) -> int:
    """Bind and listen; returns a descriptor numbered from DESCRIPTOR_FIRST. Raises OSError (EADDRINUSE, EACCES…)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        return fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, DESCRIPTOR_FIRST)


def local_address(descriptor: int) -> tuple[str, int] | None:
    """Host and port that a listening descriptor is bound to; None when it is no listening TCP socket."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return None
            host, port = listener.getsockname()[:2]
            return host, port
    except (OSError, ValueError, TypeError):
        return None


def take_from_process(pid: int, descriptor: int) -> int | None:
    """A copy of another process's descriptor under the same number (Linux pidfd_getfd); None where refused.

    Works as root and for the same user's processes, unless Yama's ptrace_scope forbids it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        copy = libc.syscall(_SYS_PIDFD_GETFD, pidfd, descriptor, 0)
        if copy < 0:
            return None
        os.dup2(copy, descriptor, inheritable=False)
        os.close(copy)
        return descriptor
    finally:
        os.close(pidfd)


def send_message(link: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """One message, one packet (SOCK_SEQPACKET), descriptors beside it."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    link.sendmsg([json.dumps(message).encode()], ancillary)


def receive_message(link: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors (received, numbers not kept); None when the other side is gone."""
    data, ancillary, _, _ = link.recvmsg(MESSAGE_BYTES_MAX, socket.CMSG_SPACE(64 * array.array("i").itemsize))
    descriptors: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received = array.array("i")
            received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
            descriptors.extend(received)
    if not data:
        return None
    return json.loads(data), descriptors


def keep_number(received: int, wanted: int) -> int:
    """Move a received descriptor to the number it has elsewhere."""
    if received != wanted:
        os.dup2(received, wanted, inheritable=False)
        os.close(received)
    return wanted
