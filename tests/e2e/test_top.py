"""`colonnade top` on a real terminal and a real system: what a person sees, and what comes of the keys."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import Runner, kill
from .terminal import WAIT_S, Terminal

pytestmark = pytest.mark.slow

TOP = [sys.executable, "-m", "colonnade.cli.main", "top"]

CRASHING = """
from colonnade.cli.top import app
from colonnade.system.paths import StatePaths
from pathlib import Path

looks = []

def picture(look, before):
    looks.append(look)
    if len(looks) > 1:
        raise ZeroDivisionError("planted")
    return real(look, before)

real, app.picture = app.picture, picture
app.Top(StatePaths(Path(".colonnade").resolve())).run()
"""
"""The screen with a bug that shows at its second look."""

COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


@pytest.fixture(scope="module")
def shop(make_work_dir: Callable[[], Path], free_port: Callable[[], int]) -> Iterator[Runner]:
    runner = Runner(make_work_dir(), free_port())
    runner.declare()
    runner.up()
    yield runner
    runner.finish()


def at_terminal(runner: Runner, *, columns: int = 80, lines: int = 24, **env: str) -> Terminal:
    return Terminal(TOP, runner.directory, env, columns=columns, lines=lines)


def choose(terminal: Terminal, name: str) -> None:
    """Move until the cursor, which is shown reversed, is on this row."""
    for _ in range(20):
        if terminal.is_reversed(name):
            return
        terminal.press("j")
        terminal.settle()
    raise AssertionError(f"{name} is never chosen:\n{terminal.text}")


def test_a_person_looks_and_acts(shop: Runner) -> None:
    shop.running()
    with at_terminal(shop) as terminal:
        terminal.see("All is well", "gateway", "web/1", "web/2", "2/2", "q quit")
        pids = shop.replicas()

        choose(terminal, "web/2")
        terminal.press("r")
        terminal.see("Restart web/2?", "colonnade restart web/2")
        terminal.press("n")
        terminal.until(lambda: "Restart web/2?" not in terminal.text, "the question is gone")
        assert shop.replicas() == pids, "a no changes nothing"
        terminal.press("r")
        terminal.see("Restart web/2?")
        terminal.press("y")
        terminal.until(lambda: shop.replicas().get("web/2") not in (None, pids["web/2"]), "it is another process")
        terminal.see("web/2 is replaced", "All is well", "2/2")  # before that it cannot be drained, and says so

        terminal.press("d")
        terminal.see("web/2?")
        terminal.press("y")
        terminal.until(lambda: "drained" in terminal.line("○   web/2"), "it is seen to be drained")
        terminal.see("out of rotation, as asked")
        terminal.press("d")
        terminal.see("requests again?")
        terminal.press("y")
        terminal.see("All is well")

        terminal.press("\r")
        terminal.see("web/2  ready", "Why", "Log (web-2.log)", "gets requests again, as asked")
        terminal.press("q")
        terminal.until(lambda: "Why" not in terminal.text, "the page is left")
        terminal.press("s")
        terminal.see("How many replicas of web?")
        terminal.press("3\r")
        terminal.see("web/3", "3/3", "All is well: 3 replicas")

        terminal.press("/web/3\r")
        terminal.until(lambda: not terminal.line("●   web/1"), "only what is meant is shown")
        terminal.press("\x1b")
        terminal.see("●   web/1")

        kill(shop.replicas()["web/1"])
        terminal.see("web/1 was ended by signal 9")
        terminal.see("All is well")
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.is_restored()


def test_controllers_come_and_go_and_the_system_goes_down_and_comes_up(shop: Runner) -> None:
    controller = shop.running()["controller_pid"]
    with at_terminal(shop, columns=100, lines=30) as terminal:
        terminal.see("All is well")
        kill(controller, number=signal.SIGSTOP)
        terminal.see("The controller has not answered for")
        kill(controller)
        terminal.see("All is well", "is adopting")
        terminal.resize(44, 14)
        terminal.see("All is well", "web/1")
        assert shop.run("down").exit_code == 0
        terminal.see("The system is down")
        shop.up()
        terminal.see("All is well")
        terminal.press("\x03")
        assert terminal.ended() == 0
        assert terminal.is_restored()


def test_the_terminal_is_as_it_was_after_a_signal_and_after_a_crash(shop: Runner) -> None:
    shop.running()
    with at_terminal(shop, NO_COLOR="1") as terminal:
        terminal.see("All is well")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 128 + signal.SIGTERM
        assert terminal.is_restored()
        assert COLOUR.search(terminal.raw) is None
    with Terminal([sys.executable, "-c", CRASHING], shop.directory, {}) as terminal:
        terminal.ended()
        assert b"planted" in terminal.raw
        assert terminal.is_restored()


def test_it_ends_with_its_terminal(shop: Runner) -> None:
    shop.running()
    with at_terminal(shop) as terminal:
        terminal.see("All is well")
        terminal.hang_up()
        assert terminal.process.wait(WAIT_S) == 128 + signal.SIGHUP


def test_where_nothing_can_be_drawn_it_says_what_to_use_instead(shop: Runner) -> None:
    piped = shop.run("top")
    assert piped.exit_code == 3
    assert "needs a terminal" in piped.err
    assert "`colonnade status`" in piped.err
    with at_terminal(shop, TERM="dumb") as terminal:
        assert terminal.ended() == 3
        assert b"TERM is 'dumb'" in terminal.raw
