"""WSGI or ASGI? What to run to find out, and how to read the answer. Starts nothing itself.

Finding out means importing the application, and that may do anything: print, fail, start threads. So `probe_app.py`
does it in a process of its own, in the service's directory and environment; the caller runs it, with a deadline.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from colonnade.spec.model import ServiceKind

PROBE = Path(__file__).with_name("probe_app.py")


@dataclass(frozen=True, slots=True)
class Detected:
    """How to serve an application: `target` is `module:name`; with `factory` it is called to get the application."""

    kind: Literal["wsgi", "asgi"]
    factory: bool
    target: str


def probe_command(python: str, app: str, kind: ServiceKind = "auto") -> list[str]:
    """What to run, with the service's interpreter; with a `kind` other than auto it only tries the import."""
    return [python, str(PROBE), app, kind]


def read_answer(stdout: str) -> Detected | None:
    """The answer in the probe's output, whatever the application printed before; None when there is none."""
    for line in reversed(stdout.splitlines()):
        try:
            answer = json.loads(line)
            return Detected(answer["kind"], answer["factory"], answer["target"])
        except (ValueError, TypeError, KeyError):
            continue
    return None


def hint_for(stderr: str, *, python: str, directory: Path) -> str:
    """The next thing to try for an application that cannot be imported; `stderr` is what the probe said."""
    missing = re.search(r"^ModuleNotFoundError: No module named '([^'.]+)", stderr, re.MULTILINE)
    if missing:
        return f"install it where this Python finds it: `{python} -m pip install {missing[1]}`"
    if "neither a WSGI application" in stderr:
        return 'say kind = "wsgi" or kind = "asgi" in the service if you know better'
    if wrote := hint_for_writing(stderr, directory):
        return wrote
    return f"try it by hand in {directory}, then correct the application or `app`"


def hint_for_writing(told: str, directory: Path) -> str:
    """What to do when the last words of an application say that it wanted to write beside its code, which is a
    read-only copy; empty when they do not say so. `directory` is where it ran."""
    found = None
    for path in re.findall(r"PermissionError: \[Errno 13\] [^:\n]*: '([^'\n]+)'", told):
        found = re.search(r"/versions/\d+/code/(.+)", os.path.normpath(directory / path)) or found
    if found is not None:
        place = PurePosixPath(found[1])
        name = str(place.parent if place.suffix and place.parent.name else place)
    elif re.search(r"attempt to write a readonly database|unable to open database file", told):
        name = "the database's directory"
    else:
        return ""
    return f'it runs from a read-only copy: make this where colonnade.toml is, and add [system] shared = ["{name}"]'
