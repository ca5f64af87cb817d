"""Where the load goes: a URL turned into an address, with the guard against aiming at someone else's machine.

Read next: `pool`.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from colonnade.core.errors import DriverUnavailable, SpecError


@dataclass(frozen=True, slots=True)
class Target:
    """One address to send to, and the name to call it by in the Host header."""

    host_header: str
    address: str
    port: int


async def resolve_target(url: str, *, allow_remote: bool = False) -> Target:
    """Find the address behind a URL. Raises SpecError for one that is not to be used, and DriverUnavailable for
    a name that does not resolve. A name with several addresses means the first, IPv4 before IPv6."""
    host, port = _parse(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DriverUnavailable(
            f"the name {host!r} does not resolve: {error.strerror or error}", hint="check the URL", subject=url
        ) from error
    addresses = [str(address[0]) for *_, address in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]
    if not allow_remote and not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        raise SpecError(
            f"{host} is not this machine ({addresses[0]})",
            hint="load is sent to loopback addresses only; add --allow-remote if that system is yours to load",
            subject=url,
        )
    netloc = f"[{host}]" if ":" in host else host
    return Target(host_header=f"{netloc}:{port}", address=addresses[0], port=port)


def _parse(url: str) -> tuple[str, int]:
    hint = "give it as http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SpecError(f"not a URL: {error}", hint=hint, subject=url) from error
    if parts.scheme != "http":
        raise SpecError(f"the scheme must be http, got {parts.scheme or 'none'}", hint=hint, subject=url)
    if not host:
        raise SpecError("no host in the URL", hint=hint, subject=url)
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise SpecError("only scheme, host and port belong here; the workload has the paths", hint=hint, subject=url)
    return host, 80 if port is None else port
