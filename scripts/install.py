"""Builds `.venv` and installs Colonnade into it: `install.py up` or `install.py test`. Standard library only.

Does nothing when nothing changed: a stamp inside `.venv` holds a digest of pyproject.toml. Builds `.venv` anew when
its Python is gone or when the clone was moved or copied. Two of these at once wait for each other. Called by the
Makefile with the interpreter that `scripts/find-python` chose.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"

EXTRAS = {"up": "blog", "test": "blog,client,otel,examples,load,dev"}
"""What is installed besides Colonnade itself. `test` has everything of `up`, so its stamp serves for both."""


def main() -> int:
    purpose = sys.argv[1]
    # A root shell with umask 077 would build a venv that the unprivileged parts cannot read.
    os.umask(0o022)
    if is_current(purpose):
        return 0
    with open_lock() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current(purpose):
            return 0  # another make was faster
        return build(purpose)


def build(purpose: str) -> int:
    if VENV.exists() and (why := why_unfit()):
        say(f"building .venv anew: {why}")
        shutil.rmtree(VENV)
    if not VENV.exists():
        say(f"building .venv with Python {'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})")
        if run([sys.executable, "-m", "venv", str(VENV)]) != 0:
            shutil.rmtree(VENV, ignore_errors=True)
            say("the virtual environment could not be built; Python's own words are above", error=True)
            return 1
    say("installing what pyproject.toml asks for (the first time this takes a minute)")
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", *quiet]
    if run([*pip, "--editable", f".[{EXTRAS[purpose]}]"]) != 0:
        say("pip could not install; its own words are above. Once the cause is gone, run make again", error=True)
        return 1
    stamp_of(purpose).write_text(digest())
    return 0


def is_current(purpose: str) -> bool:
    wanted = digest()
    stamps = [stamp_of(purpose), stamp_of("test")]
    return any(stamp.exists() and stamp.read_text() == wanted for stamp in stamps) and not why_unfit()


def stamp_of(purpose: str) -> Path:
    return VENV / f".installed-{purpose}"


def digest() -> str:
    """Of what the installation depends on. A digest rather than a date: git sets dates as it likes."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes()).hexdigest()


def why_unfit() -> str:
    """Why `.venv` cannot be used as it is; empty when it can."""
    # Scripts in bin/ and the editable install hold absolute paths; venv writes its own path last in `command`.
    try:
        settings = (VENV / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return "it is not complete"
    command = next((line for line in settings if line.startswith("command =")), "")
    if not command.endswith(f" {VENV}"):
        return "it was made somewhere else"
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        answer = subprocess.run([PYTHON, "-I", "-c", check], check=False, stderr=subprocess.DEVNULL)
    except OSError:
        return "its Python is gone"
    return "" if answer.returncode == 0 else "its Python is too old or has lost pip"


def open_lock() -> IO[str]:
    """Beside `.venv`, not in it: the lock must outlive a rebuild."""
    path = ROOT / ".venv.lock"
    try:
        return path.open("a")
    except OSError as error:
        say(f"{path} cannot be written ({error.strerror}): is this clone another user's?", error=True)
        raise SystemExit(1) from None


def run(argv: list[str]) -> int:
    # Settings that send pip's work elsewhere than into the venv are not for us.
    elsewhere = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONHOME", "PYTHONPATH"}
    env = {name: value for name, value in os.environ.items() if name not in elsewhere} | {"PIP_USER": "0"}
    return subprocess.run(argv, check=False, cwd=ROOT, env=env).returncode


def say(sentence: str, *, error: bool = False) -> None:
    print(f"{'error' if error else 'make'}: {sentence}", file=sys.stderr if error else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
