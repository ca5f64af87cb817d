"""A person at a terminal: a program on a pseudo terminal, what its screen shows, and keys that are pressed.

The screen is pyte's, a terminal emulator: tests look at what would be seen, and not at how it is drawn.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyte

WAIT_S = 60.0
STEP_S_MAX = 1.0
"""What one step of a wait counts for at most: where the whole machine stood still for a minute, nobody was slow."""

READ_BYTES = 65536

RESTORED = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l")
"""The other screen is left, the cursor is shown, the mouse is the terminal's own: what a program has to end with."""


class Terminal:
    """`with Terminal([...]) as terminal:` starts it; at the end it is gone."""

    def __init__(
        self, argv: Sequence[str], directory: Path, env: Mapping[str, str], *, columns: int = 80, lines: int = 24
    ) -> None:
        self._argv, self._directory = list(argv), directory
        self._env = {**os.environ, "TERM": "xterm-256color", **env}
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._is_hung_up = False
        self.raw = b""

    def __enter__(self) -> Terminal:
        self._master, slave = pty.openpty()
        self._resize()
        self._before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            self._argv,
            cwd=self._directory,
            env={key: value for key, value in self._env.items() if value},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        # Kept open: what the terminal is set to afterwards is read from it.
        self._slave = slave
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if not self._is_hung_up:
            os.close(self._master)
        os.close(self._slave)

    # What is seen

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def line(self, words: str) -> str:
        """The first line with these words; empty when there is none."""
        return next((line for line in self._screen.display if words in line), "")

    def is_reversed(self, words: str) -> bool:
        """Whether the line with these words is shown with light and dark exchanged, as what is chosen is."""
        for number, line in enumerate(self._screen.display):
            if words in line:
                return bool(self._screen.buffer[number][line.index(words)].reverse)
        return False

    def settle(self) -> None:
        """Until nothing more comes for a moment."""
        while self._read(0.2):
            pass

    def see(self, *words: str) -> None:
        """Until all of these are on the screen at once."""
        self.until(lambda: all(word in self.text for word in words), f"{words} are seen")

    def until(self, condition: Callable[[], Any], what: str) -> None:
        waited_s = 0.0
        while not condition():
            assert self.process.poll() is None, f"it ended (exit code {self.process.returncode}):\n{self.text}"
            assert waited_s < WAIT_S, f"waited {WAIT_S:.0f} s in vain until {what}:\n{self.text}"
            began_s = time.monotonic()
            self._read(0.05)
            waited_s += min(STEP_S_MAX, time.monotonic() - began_s)

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._master], [], [], wait_s)[0]:
            return False
        data = os.read(self._master, READ_BYTES)
        self.raw += data
        self._stream.feed(data)
        return True

    # What is done

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._resize()
        self.process.send_signal(signal.SIGWINCH)

    def _resize(self) -> None:
        size = struct.pack("HHHH", self._screen.lines, self._screen.columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def hang_up(self) -> None:
        """The connection is lost. Nobody reads or writes here any more."""
        os.close(self._master)
        self._is_hung_up = True

    def ended(self) -> int:
        """The exit code, once it has ended by itself; all that it wrote has been read."""
        deadline = time.monotonic() + WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            self._read(0.05)
        with contextlib.suppress(OSError):
            while self._read(0.05):
                pass
        return self.process.returncode

    def is_restored(self) -> bool:
        """As it was before: no key is read unseen, nothing is left switched on."""
        attributes = termios.tcgetattr(self._slave)
        tail = self.raw[-400:] if b"Traceback" not in self.raw else self.raw
        return attributes == self._before and all(code in tail for code in RESTORED)
