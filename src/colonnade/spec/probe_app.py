"""A stand-alone script: import the user's application and say whether it speaks WSGI or ASGI.

    python probe_app.py MODULE:NAME[()] [auto|wsgi|asgi]

Run by path, by the service's own interpreter, in the service's directory and environment; so it uses the standard
library only and nothing of Colonnade. Last line on stdout: {"kind": "asgi", "factory": true, "target": "module:name"}.
Otherwise exit code 1, and on stderr the application's own traceback without a frame of ours. It serves nothing.
"""

from __future__ import annotations

import asyncio
import difflib
import functools
import inspect
import json
import os
import sys
import traceback
from collections.abc import Iterable
from typing import Any, NoReturn

WSGI_NAMES = {"environ", "env", "start_response"}
ASGI_NAMES = {"scope", "receive", "send"}


class ProbeFailed(Exception):
    """There is no application to be had; the message is for the user and needs no traceback."""


def main(arguments: list[str]) -> NoReturn:
    answers = os.dup(1)  # the application may close, replace or fill sys.stdout
    text, wanted_kind = arguments[0], arguments[1] if len(arguments) > 1 else "auto"
    try:
        answer = probe(text, wanted_kind)
    except ProbeFailed as failure:
        _leave(str(failure) + "\n", 1)
    except SystemExit as stop:
        _leave(f"{_stripped(stop)}the application ended the process itself, with sys.exit({stop.code!r})\n", 1)
    except Exception as error:  # noqa: BLE001 - whatever the application raises is the answer
        _leave(_stripped(error), 1)
    _flush()
    # A line break first: the application may have printed half a line.
    os.write(answers, f"\n{json.dumps(answer)}\n".encode())
    _leave("", 0)


def probe(text: str, wanted_kind: str) -> dict[str, object]:
    """Import and look. Raises ProbeFailed, or whatever the application raises."""
    # The directory of this script stands where the application's belongs.
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    sys.path.insert(0, os.getcwd())
    module_name, _, name = text.removesuffix("()").partition(":")
    found = find(module_name, name)
    is_factory = text.endswith("()") or is_plain_factory(found)
    app = made_by(found, name) if is_factory else found
    kind = kind_of(app) if wanted_kind == "auto" else wanted_kind
    if kind is None or not callable(app):
        what = f"what {name}() returned" if is_factory else name
        raise ProbeFailed(
            f"{what} is {_described(app)}: neither a WSGI application, called with (environ, start_response), "
            f"nor an ASGI one, called with (scope, receive, send)"
        )
    return {"kind": kind, "factory": is_factory, "target": f"{module_name}:{name}"}


def find(module_name: str, name: str) -> Any:
    """The object that `module_name:name` stands for."""
    try:
        __import__(module_name)
    except ModuleNotFoundError as error:
        # Only when it is this very module that is missing; what is missing inside it has its own traceback.
        if error.name and f"{module_name}.".startswith(f"{error.name}.") and not _frames(error):
            raise ProbeFailed(
                f"there is no module {error.name} in {os.getcwd()} nor among the installed ones"
                + _did_you_mean(error.name.rpartition(".")[2], _modules_near(error.name))
            ) from None
        raise
    found: Any = sys.modules[module_name]
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [known for known in dir(found) if not known.startswith("_")]
            raise ProbeFailed(f"{module_name} has no {name}" + _did_you_mean(part, public)) from None
    return found


def is_plain_factory(found: Any) -> bool:
    """True for a function that cannot be an application but can be called: `create_app` without its parentheses."""
    if not inspect.isfunction(found):
        return False
    parameters = list(inspect.signature(found).parameters.values())
    return len(parameters) < 2 and all(parameter.default is not parameter.empty for parameter in parameters)


def made_by(factory: Any, name: str) -> Any:
    app = factory()
    if inspect.iscoroutine(app):
        app.close()
        raise ProbeFailed(f"{name}() is async: an application server needs a factory that returns the application")
    return app


def kind_of(app: Any) -> str | None:
    """`wsgi` or `asgi`, by how it is to be called; None when that cannot be told."""
    if not callable(app):
        return None
    is_itself_called = inspect.isroutine(app) or inspect.isclass(app) or isinstance(app, functools.partial)
    call = app if is_itself_called else app.__call__
    plain = call
    while isinstance(plain, functools.partial):
        plain = plain.func
    if inspect.iscoroutinefunction(plain) or _is_marked_coroutine(plain):
        return "asgi"
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return None
    names = {parameter.name for parameter in parameters}
    for kind, expected in (("wsgi", WSGI_NAMES), ("asgi", ASGI_NAMES)):
        if len(names & expected) >= 2:
            return kind
    required = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    return {2: "wsgi", 3: "asgi"}.get(len(required))


def _is_marked_coroutine(call: Any) -> bool:
    """asgiref and others mark plain functions that return coroutines; where the mark is depends on the version."""
    marker = getattr(asyncio.coroutines, "_is_coroutine", None)
    return marker is not None and getattr(call, "_is_coroutine", None) is marker


def _modules_near(name: str) -> list[str]:
    """Modules and packages beside the one that is missing."""
    directory = os.path.join(os.getcwd(), *name.split(".")[:-1])
    entries = sorted(os.scandir(directory), key=lambda entry: entry.name) if os.path.isdir(directory) else []
    files = [entry.name[:-3] for entry in entries if entry.name.endswith(".py") and entry.name != "__init__.py"]
    return files + [entry.name for entry in entries if entry.is_dir() and entry.name.isidentifier()]


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def _described(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__module__}.{type(value).__qualname__}"


def _is_ours(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or os.path.abspath(filename) == os.path.abspath(__file__)


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    return [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]


def _stripped(error: BaseException) -> str:
    """The traceback as if the application had been imported by nobody."""
    told = traceback.TracebackException.from_exception(error)
    waiting: list[Any] = [told]
    while waiting:
        one = waiting.pop()
        if one is not None:
            one.stack[:] = [frame for frame in one.stack if not _is_ours(frame.filename)]
            waiting += [one.__cause__, one.__context__]
    return "".join(told.format())


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue  # the application closed or replaced it; then there is nothing of ours in it


def _leave(message: str, exit_code: int) -> NoReturn:
    """End at once: threads and exit handlers of the application must not hold up whoever asked."""
    _flush()
    if message:
        os.write(2, message.encode(errors="replace"))
    os._exit(exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
