"""The probe: told apart by how an application is called; fast cases in this process, the rest as it is really run."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import pytest
from fastapi import FastAPI
from flask import Flask

from colonnade.spec.detect import Detected, probe_command, read_answer
from colonnade.spec.model import ServiceKind
from colonnade.spec.probe_app import is_plain_factory, kind_of

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    return []


def renamed(a: Any, b: Any) -> Iterable[bytes]:
    return []


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    return


def three(a: Any, b: Any, c: Any) -> Awaitable[None]:
    return asgi(a, b, c)


@functools.wraps(asgi)
def wrapped(*arguments: Any) -> Any:
    return asgi(*arguments)


def any_arguments(*arguments: Any) -> None:
    return


class Wsgi:
    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return []


class Asgi:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        return


class WsgiClass:
    def __init__(self, environ: Any, start_response: Any) -> None:
        return


class DoubleCallable:
    """ASGI 2: called with the scope alone, the result with receive and send."""

    def __init__(self, scope: Any) -> None:
        return


def with_setting(setting: str, environ: Any, start_response: Any) -> Iterable[bytes]:
    return []


def lenient(environ: Any = None, start_response: Any = None, more: Any = None) -> Iterable[bytes]:
    return []


@pytest.mark.parametrize(
    ("app", "kind"),
    [
        (wsgi, "wsgi"),
        (renamed, "wsgi"),
        (lenient, "wsgi"),
        (Wsgi(), "wsgi"),
        (Wsgi().__call__, "wsgi"),
        (WsgiClass, "wsgi"),
        (functools.partial(with_setting, "x"), "wsgi"),
        (Flask("hello"), "wsgi"),
        (Flask("hello").wsgi_app, "wsgi"),
        (asgi, "asgi"),
        (three, "asgi"),
        (wrapped, "asgi"),
        (Asgi(), "asgi"),
        (functools.partial(asgi), "asgi"),
        (FastAPI(), "asgi"),
        (any_arguments, None),
        (DoubleCallable, None),
        ({}, None),
        (None, None),
        ("text", None),
        (len, None),
    ],
)
def test_how_it_is_called_tells_what_it_is(app: Any, kind: str | None) -> None:
    assert kind_of(app) == kind


@pytest.mark.parametrize(
    ("found", "is_factory"),
    [
        (lambda: None, True),
        (lambda config=None: None, True),
        (lambda environ, start_response: None, False),
        (lambda request: None, False),
        (lambda a=1, b=2: None, False),
        (Wsgi, False),
        (Wsgi(), False),
    ],
)
def test_a_function_that_can_only_be_a_factory_is_taken_for_one(found: Any, is_factory: bool) -> None:
    assert is_plain_factory(found) == is_factory


def probe(directory: Path, app: str, kind: ServiceKind = "auto") -> tuple[Detected | None, str, int]:
    """What the probe, run as it really is, answers, says on stderr and ends with."""
    done = subprocess.run(
        probe_command(sys.executable, app, kind),
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return read_answer(done.stdout), done.stderr, done.returncode


def module(directory: Path, text: str, name: str = "hello.py") -> None:
    (directory / name).write_text(textwrap.dedent(text))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "app", "kind"),
    [
        ("01-hello-flask", "hello:app", "wsgi"),
        ("02-fastapi", "main:app", "asgi"),
        ("03-django", "wsgi:application", "wsgi"),
    ],
)
def test_the_examples_are_recognised(example: str, app: str, kind: Literal["wsgi", "asgi"]) -> None:
    assert probe(EXAMPLES / example, app) == (Detected(kind, False, app), "", 0)


@pytest.mark.slow
def test_django_on_asgi_is_recognised(tmp_path: Path) -> None:
    module(
        tmp_path,
        """
        from django.conf import settings
        settings.configure()
        from django.core.asgi import get_asgi_application
        app = get_asgi_application()
        """,
    )
    assert probe(tmp_path, "hello:app")[0] == Detected("asgi", False, "hello:app")


@pytest.mark.slow
@pytest.mark.parametrize("app", ["hello:create_app()", "hello:create_app"])
def test_a_factory_is_called_with_and_without_its_parentheses(tmp_path: Path, app: str) -> None:
    module(tmp_path, "def create_app(config=None):\n    return lambda environ, start_response: []\n")
    assert probe(tmp_path, app)[0] == Detected("wsgi", True, "hello:create_app")


@pytest.mark.slow
@pytest.mark.parametrize(
    "noise",
    [
        "print('half a line', end='')",
        "print('{\"kind\": 1}')",
        "import sys; sys.stdout.close()",
        "import os; os.close(1)",
        "import sys, io; sys.stdout = io.StringIO()",
        "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()",
        "import atexit, time; atexit.register(time.sleep, 60)",
    ],
)
def test_whatever_the_application_does_to_stdout_the_answer_comes(tmp_path: Path, noise: str) -> None:
    module(tmp_path, f"{noise}\nasync def app(scope, receive, send): ...\n")
    assert probe(tmp_path, "hello:app")[0] == Detected("asgi", False, "hello:app")


@pytest.mark.slow
def test_the_directory_of_the_application_comes_first_and_ours_is_not_there(tmp_path: Path) -> None:
    """`load`, `model` and `check` are names of ours that an application may well have, or miss."""
    module(
        tmp_path,
        "import sys\ndef app(environ, start_response): ...\nassert not any('spec' in p for p in sys.path)\n",
        "load.py",
    )
    assert probe(tmp_path, "load:app")[0] == Detected("wsgi", False, "load:app")
    answer, stderr, code = probe(tmp_path, "model:app")
    assert (answer, code) == (None, 1)
    assert stderr.startswith(f"there is no module model in {tmp_path}")


@pytest.mark.slow
def test_relative_imports_work_within_a_package(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    module(tmp_path / "shop", "from . import pages\napp = pages.app\n", "main.py")
    module(tmp_path / "shop", "def app(environ, start_response): ...\n", "pages.py")
    assert probe(tmp_path, "shop.main:app")[0] == Detected("wsgi", False, "shop.main:app")


@pytest.mark.slow
def test_a_declared_kind_is_not_argued_with(tmp_path: Path) -> None:
    module(tmp_path, "def app(*arguments): ...\n")
    assert probe(tmp_path, "hello:app")[2] == 1
    assert probe(tmp_path, "hello:app", "asgi")[0] == Detected("asgi", False, "hello:app")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "app", "stderr"),
    [
        (
            "",
            "helo:app",
            "there is no module helo in {directory} nor among the installed ones; did you mean `hello`?\n",
        ),
        ("", "hello.main:app", "there is no module hello.main in {directory} nor among the installed ones\n"),
        ("apps = application = None", "hello:app", "hello has no app; did you mean `apps`?\n"),
        ("", "hello:app", "hello has no app\n"),
        (
            "app = {}",
            "hello:app",
            "app is of type builtins.dict: neither a WSGI application, called with (environ, start_response), "
            "nor an ASGI one, called with (scope, receive, send)\n",
        ),
        (
            "def create_app(): ...",
            "hello:create_app()",
            "what create_app() returned is None: neither a WSGI application, called with (environ, start_response), "
            "nor an ASGI one, called with (scope, receive, send)\n",
        ),
        (
            "async def create_app(): ...",
            "hello:create_app()",
            "create_app() is async: an application server needs a factory that returns the application\n",
        ),
        (
            "def create_app(config): ...",
            "hello:create_app()",
            "TypeError: create_app() missing 1 required positional argument: 'config'\n",
        ),
    ],
)
def test_what_cannot_be_found_is_told_in_one_sentence(tmp_path: Path, text: str, app: str, stderr: str) -> None:
    module(tmp_path, text)
    assert probe(tmp_path, app) == (None, stderr.format(directory=tmp_path), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "frames", "last"),
    [
        ("def app(:\n", 1, "SyntaxError: invalid syntax"),
        ("import no_such_module\n", 1, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def create_app():\n    raise ValueError('boom')\n", 1, "ValueError: boom"),
        ("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('x') from e\n", 2, "RuntimeError: x"),
        ("raise ExceptionGroup('two', [ValueError(1)])\n", 1, None),
        (
            "import sys\nsys.exit('no CONFIG')\n",
            1,
            "the application ended the process itself, with sys.exit('no CONFIG')",
        ),
    ],
)
def test_a_failure_of_the_application_is_its_own_traceback_alone(
    tmp_path: Path, text: str, frames: int, last: str | None
) -> None:
    module(tmp_path, text)
    answer, stderr, code = probe(tmp_path, "hello:create_app()")
    assert (answer, code) == (None, 1)
    assert "probe_app" not in stderr
    assert "importlib" not in stderr
    assert stderr.count(f'File "{tmp_path}/hello.py"') == frames == stderr.count('File "')
    if last is not None:
        assert stderr.splitlines()[-1] == last


@pytest.mark.slow
def test_a_module_that_the_application_misses_is_not_taken_for_the_application(tmp_path: Path) -> None:
    module(tmp_path, "import shop\n")
    module(tmp_path, "import shop.missing\n", "shop.py")
    _, stderr, _ = probe(tmp_path, "hello:app")
    assert stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'shop.missing'; 'shop' is not a package"
