"""The life of a whole system, and what is told when it cannot go on."""

import errno

import pytest

from colonnade.core.errors import HostError
from colonnade.system.controller import first_of
from colonnade.system.keeper_link import PortTaken, listen_error
from colonnade.system.phase import EDGES, Phase


def test_every_phase_can_be_left_but_the_last() -> None:
    assert {old for old, _ in EDGES} == set(Phase) - {Phase.STOPPING}


def test_a_system_can_be_taken_down_from_every_phase() -> None:
    assert {old for old, new in EDGES if new is Phase.STOPPING} == set(Phase) - {Phase.STOPPING}


def test_nothing_leads_back_to_a_start() -> None:
    assert not {new for _, new in EDGES} & {Phase.STARTING, Phase.ADOPTING}


@pytest.mark.parametrize(
    ("number", "words", "hint"),
    [
        (errno.EADDRINUSE, "port 80 is taken", "ss -ltnp"),
        (errno.EACCES, "needs root", "1024"),
        (errno.EADDRNOTAVAIL, "192.0.2.1 is not an address of this machine", "127.0.0.1"),
        (errno.EMFILE, "too many", "ss -ltnp"),
    ],
)
def test_an_address_that_cannot_be_had_is_told_with_a_way_out(number: int, words: str, hint: str) -> None:
    error = listen_error("too many open files", number, "public", "192.0.2.1", 80)
    assert words in error.message
    assert hint in error.hint
    assert isinstance(error, PortTaken) == (number == errno.EADDRINUSE)


def test_of_several_errors_the_first_is_told() -> None:
    first, second = HostError("a", hint="x"), HostError("b", hint="y")
    assert first_of(ExceptionGroup("all", [ExceptionGroup("some", [first]), second])) is first
