"""Run a program that dies with whoever started it: `python -I -S -E tied.py PROGRAM ARGUMENT …`.

A server on a scratch directory is of no use to anybody once the restore that needs it is gone, even by kill -9.
Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    parent = os.getppid()
    # To a PostgreSQL server: end at once, and take the children along.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
    if os.getppid() == parent != 1:
        os.execv(argv[0], argv)  # noqa: S606 — becomes the program


if __name__ == "__main__":
    main(sys.argv[1:])
