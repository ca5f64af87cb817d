"""Asks a replica's health page as HAProxy does, for the time that HAProxy's own checks are switched off."""

from __future__ import annotations

import asyncio
import contextlib

REPLY_HEAD_BYTES_MAX = 64
"""Enough for the status line; the rest is not read."""


async def probe(address: str, path: str, expect: str, *, timeout_s: float) -> bool:
    """True when `address` answers `path` with a status within `expect` ("200-399") in time."""
    host, _, port = address.rpartition(":")
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: colonnade-gateway\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                writer.write(request.encode())
                head = await reader.read(REPLY_HEAD_BYTES_MAX)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return is_expected(head, expect)


def is_expected(head: bytes, expect: str) -> bool:
    """Is this the beginning of a HTTP reply with an expected status?"""
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1][:3].isdigit():
        return False
    first, _, last = expect.partition("-")
    return int(first) <= int(words[1][:3]) <= int(last or first)
