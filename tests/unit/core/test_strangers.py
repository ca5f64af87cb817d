"""Who is none of ours is not looked at again, until somebody else is asked for or some time has gone by."""

from __future__ import annotations

import os

from colonnade.core.strangers import PASSES, Strangers


def test_a_stranger_is_left_out_from_the_next_pass_on() -> None:
    strangers = Strangers()
    assert {os.getpid(), os.getppid()} <= strangers.candidates({os.getpid()})
    strangers.note([os.getpid()])
    assert strangers.candidates({os.getpid()}) & {os.getpid(), os.getppid()} == {os.getpid()}


def test_for_other_roots_everybody_is_looked_at() -> None:
    strangers = Strangers()
    strangers.candidates({os.getpid()})
    strangers.note([os.getpid()])
    assert os.getppid() in strangers.candidates({os.getpid(), os.getppid()})


def test_after_some_passes_everybody_is_looked_at_again() -> None:
    strangers = Strangers()
    seen = []
    for _ in range(PASSES + 1):
        seen.append(os.getppid() in strangers.candidates({os.getpid()}))
        strangers.note([os.getpid()])
    assert seen.count(True) == 2
