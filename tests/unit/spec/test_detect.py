"""What is run to find out how an application is called, and how the answer is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade.spec.detect import PROBE, Detected, hint_for, probe_command, read_answer

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
