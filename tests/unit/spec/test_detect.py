"""What is run to find out how an application is called, and how the answer is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade.spec.detect import PROBE, Detected, hint_for, hint_for_writing, probe_command, read_answer

ANSWER = '{"kind": "asgi", "factory": true, "target": "main:create_app"}'


def test_the_probe_is_run_by_path_with_the_interpreter_of_the_service() -> None:
    assert PROBE.is_file()
    assert probe_command("/venv/bin/python", "main:app") == ["/venv/bin/python", str(PROBE), "main:app", "auto"]
    assert probe_command("python3", "main:app", "wsgi")[-1] == "wsgi"


@pytest.mark.parametrize(
    "stdout",
    [ANSWER, f"\n{ANSWER}\n", f'loading…\n{{"level": "info"}}\n[1, 2]\n3\n{ANSWER}\n', f"{ANSWER}\nbye\n{{}}\n"],
)
def test_the_answer_is_found_among_what_the_application_prints(stdout: str) -> None:
    assert read_answer(stdout) == Detected("asgi", True, "main:create_app")


@pytest.mark.parametrize("stdout", ["", "\n\n", "loading…", '{"kind": "asgi"}', "[]", "null", '"kind"'])
def test_no_answer_is_none(stdout: str) -> None:
    assert read_answer(stdout) is None


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ("ModuleNotFoundError: No module named 'flask'\n", "`python -m pip install flask`"),
        ("ModuleNotFoundError: No module named 'yaml.loader'\n", "`python -m pip install yaml`"),
        ("app is of type builtins.dict: neither a WSGI application, …", 'kind = "wsgi" or kind = "asgi"'),
        ("ValueError: boom\n", "try it by hand in /srv/app"),
        ("there is no module helo in /srv/app", "try it by hand in /srv/app"),
    ],
)
def test_a_failure_has_a_next_thing_to_try(stderr: str, hint: str) -> None:
    assert hint in hint_for(stderr, python="python", directory=Path("/srv/app"))


DENIED = "PermissionError: [Errno 13] Permission denied: "
CODE = "/srv/.colonnade/versions/3/code"


@pytest.mark.parametrize(
    ("told", "directory", "shared"),
    [
        (f"{DENIED}'{CODE}/instance'", CODE, "instance"),
        (f"{DENIED}'instance'", CODE, "instance"),
        (f"{DENIED}'instance'", f"{CODE}/backend", "backend/instance"),
        (f"Traceback\n  …\n{DENIED}'uploads/cat.jpg'\n", CODE, "uploads"),
        (f"{DENIED}'app.log'", CODE, "app.log"),
        ("sqlite3.OperationalError: unable to open database file", CODE, "the database's directory"),
        ("OperationalError: attempt to write a readonly database", CODE, "the database's directory"),
    ],
)
def test_who_wanted_to_write_beside_its_code_is_told_what_to_declare(told: str, directory: str, shared: str) -> None:
    hint = hint_for_writing(told, Path(directory))
    assert f'[system] shared = ["{shared}"]' in hint
    assert hint_for(told, python="python", directory=Path(directory)) == hint


@pytest.mark.parametrize(
    ("told", "directory"),
    [(f"{DENIED}'/var/log/app.log'", CODE), (f"{DENIED}'x'", "/srv/app"), ("ValueError: boom", CODE), ("", CODE)],
)
def test_other_failures_have_nothing_to_do_with_the_copy(told: str, directory: str) -> None:
    assert hint_for_writing(told, Path(directory)) == ""
