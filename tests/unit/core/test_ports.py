"""Ports: below the kernel's own, free when given, and not given again soon."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from colonnade.core import ports
from colonnade.core.errors import HostError
from colonnade.core.ports import PORT_FIRST, PORT_LAST, PortAllocator, is_free


def test_a_port_on_which_someone_listens_is_passed_over() -> None:
    allocator = PortAllocator("seed")
    port = PortAllocator("seed").take()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert not is_free("127.0.0.1", port)
        assert allocator.take() != port
    assert is_free("127.0.0.1", port)


def test_no_port_is_given_twice_in_a_round() -> None:
    allocator = PortAllocator("seed")
    taken = [allocator.take() for _ in range(50)]
    assert len(set(taken)) == 50
    assert all(PORT_FIRST <= port <= PORT_LAST for port in taken)


def test_the_last_port_is_followed_by_the_first() -> None:
    # Free or not does not matter here; it is only the order that is looked at.
    allocator = PortAllocator("seed", cursor=PORT_LAST)
    next(allocator._round())
    assert allocator.cursor == PORT_FIRST


def test_a_saved_cursor_goes_on_where_it_was() -> None:
    first = PortAllocator("seed")
    port = first.take()
    assert PortAllocator("another seed", cursor=first.cursor).take() > port


def test_systems_in_different_places_start_apart() -> None:
    assert PortAllocator("/srv/a").cursor != PortAllocator("/srv/b").cursor
    assert PortAllocator("/srv/a").cursor == PortAllocator("/srv/a").cursor


def test_none_free_says_how_to_see_who_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # Patched: nobody takes seventeen thousand ports for a test.
    monkeypatch.setattr(ports, "is_free", lambda host, port: False)
    with pytest.raises(HostError, match="no free port") as caught:
        PortAllocator("seed").take()
    assert "ss -ltnp" in caught.value.hint


def test_our_ports_are_not_those_the_kernel_gives_to_outgoing_connections() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if low <= PORT_LAST:
        pytest.skip(f"this machine's own range begins at {low}, lower than Linux's default")
    assert low > PORT_LAST
