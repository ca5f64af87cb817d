"""`up --reload` on a real system: an edit is served, a mistake is told and mended by the next save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import Runner, Trickle

pytestmark = pytest.mark.slow

SHOP = """
import json, os
from part import WORD

def app(environ, start_response):
    if environ["PATH_INFO"] == "/err":
        raise RuntimeError("no such thing")
    with open(os.environ["NOTES"], "a") as notes:
        notes.write("{}")
    print("answers", WORD)
    body = WORD.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

DECLARED = """
[services.web]
app = "shop:app"
route = "/"
replicas = 3
"""


class Terminal:
    """A viewer whose output is read as it comes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.lines: list[str] = []
        self._process = runner.begin("up", "--reload")
        self._reader = threading.Thread(target=lambda: self.lines.extend(self._process.stdout or ()), daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return "".join(list(self.lines))

    def wait_for(self, words: str, count: int = 1) -> None:
        self._runner.wait_until(lambda: self.text.count(words) >= count, f"{words!r} is shown in\n{self.text}")

    def interrupt(self) -> int:
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(30)
        finally:
            self._process.kill()
            self._reader.join(10)
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture(scope="module")
def shop(make_work_dir: Callable[[], Path], free_port: Callable[[], int]) -> Iterator[tuple[Runner, Terminal]]:
    directory = make_work_dir()
    notes = directory / "notes.json"
    notes.touch()
    notes.chmod(0o666)  # as root the application is another user
    runner = Runner(directory, free_port(), env={"NOTES": str(notes)})
    runner.declare(DECLARED)
    runner.write("shop.py", SHOP)
    runner.write("part.py", 'WORD = "one"\n')
    terminal = Terminal(runner)
    terminal.wait_for("output follows")
    yield runner, terminal
    try:
        assert terminal.interrupt() == 0
        runner.assert_nothing_left()
    finally:
        runner.finish()


def reloads(runner: Runner) -> int:
    return len(runner.events("code_reloaded"))


def write(runner: Runner, name: str, text: str) -> None:
    """Write a file in one step, as many editors do. In two, emptied first and then written, it changes twice when the
    disk halts in between, and its service starts anew for each."""
    runner.write(f"{name}.new", text).rename(runner.directory / name)


def save(runner: Runner, name: str, text: str) -> None:
    """Write a file, and wait until its service has started anew."""
    before = reloads(runner)
    write(runner, name, text)
    runner.wait_until(lambda: reloads(runner) > before, f"{name} is reloaded")


def test_there_is_one_replica_whatever_the_file_says(shop: tuple[Runner, Terminal]) -> None:
    runner, _ = shop
    assert list(runner.replicas()) == ["web/1"]
    status = runner.status()
    assert status is not None
    assert status["is_reloading"]


def test_an_edit_is_served_and_nobody_is_cut_off_meanwhile(shop: tuple[Runner, Terminal]) -> None:
    runner, terminal = shop
    with Trickle(runner) as trickle:
        # Of one length and within a second or two: what Python's own comparison of compiled files would not see.
        for word in ("two", "six", "ten"):
            save(runner, "part.py", f'WORD = "{word}"\n')
            assert runner.get("/").body == word
        trickle.wait_for_answers(5)
    assert trickle.failures == []
    terminal.wait_for("answers ten")
    terminal.wait_for("part.py changed: web starts anew", count=3)
    assert len(runner.events("code_changed")) == 3


def test_files_that_are_saved_together_make_one_restart(shop: tuple[Runner, Terminal]) -> None:
    runner, _ = shop
    before = len(runner.events("code_changed"))
    write(runner, "a.py", "A = 1\n")
    write(runner, "b.py", "B = 1\n")
    save(runner, "part.py", 'WORD = "both"\n')
    assert runner.get("/").body == "both"
    (told,) = runner.events("code_changed")[before:]
    assert told.message == "a.py, b.py, part.py changed: web starts anew"


def test_a_mistake_is_told_the_old_code_serves_and_the_next_save_mends_it(shop: tuple[Runner, Terminal]) -> None:
    runner, terminal = shop
    save(runner, "part.py", 'WORD = "good"\n')
    write(runner, "part.py", "WORD = (\n")
    terminal.wait_for("web does not start with the new code: SyntaxError")
    terminal.wait_for("Traceback (most recent call last)")
    assert runner.get("/").body == "good"
    save(runner, "part.py", 'WORD = "mended"\n')
    assert runner.get("/").body == "mended"
    runner.wait_until(lambda: list(runner.replicas()) == ["web/1"], "the one beside is gone")


def test_a_start_that_hangs_gives_way_to_the_next_save(shop: tuple[Runner, Terminal]) -> None:
    runner, terminal = shop
    write(runner, "part.py", 'import time\nprint("hangs now", flush=True)\ntime.sleep(600)\n')
    # Not only started: one that has not read the file yet would read the next save's, and start.
    terminal.wait_for("hangs now")
    failed = len(runner.events("reload_failed"))
    save(runner, "part.py", 'WORD = "awake"\n')
    assert runner.get("/").body == "awake"
    assert len(runner.events("reload_failed")) == failed


def test_an_error_of_a_request_is_shown_with_its_traceback(shop: tuple[Runner, Terminal]) -> None:
    runner, terminal = shop
    assert runner.get("/err").status == 500
    terminal.wait_for("RuntimeError: no such thing")


def test_what_the_application_writes_is_no_change_of_its_code(shop: tuple[Runner, Terminal]) -> None:
    runner, _ = shop
    before = len(runner.events("code_changed"))
    runner.get("/")
    (runner.directory / "node_modules").mkdir(exist_ok=True)
    write(runner, "node_modules/x.js", "x")
    save(runner, "part.py", 'WORD = "last"\n')
    assert [event.message for event in runner.events("code_changed")[before:]] == ["part.py changed: web starts anew"]


def test_code_in_a_directory_that_is_new_is_watched_too(shop: tuple[Runner, Terminal]) -> None:
    runner, _ = shop
    (runner.directory / "more").mkdir()
    write(runner, "more/__init__.py", "")
    write(runner, "more/words.py", 'WORD = "from more"\n')
    save(runner, "part.py", "from more.words import WORD\n")
    assert runner.get("/").body == "from more"
    save(runner, "more/words.py", 'WORD = "edited"\n')
    assert runner.get("/").body == "edited"


def test_an_edit_of_the_declaration_is_told_with_its_mistakes(shop: tuple[Runner, Terminal]) -> None:
    runner, terminal = shop
    before = len(runner.events("code_changed"))
    runner.declare(DECLARED + "threads = 4\n")
    terminal.wait_for("colonnade.toml changed; it counts after `colonnade down` and `colonnade up --reload`")
    runner.declare(DECLARED + "thraeds = 4\n")
    terminal.wait_for("colonnade.toml cannot be used like this")
    assert len(runner.events("code_changed")) == before
    assert runner.get("/").status == 200
