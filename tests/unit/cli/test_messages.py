"""How errors and events look to people."""

import pytest

from colonnade.cli.messages import event_line, print_error
from colonnade.core.errors import AppError, Bug, ColonnadeError, HostError, SpecError


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (HostError("is full", hint="free some", subject="/srv"), ["error /srv: is full", "  → free some"]),
        (SpecError("wrong", hint="see it"), ["error wrong", "  → see it"]),
        (
            AppError("ended", hint="look", subject="services.web", detail="Traceback:\n  [bold]x[/] boom"),
            ["Traceback:", "  [bold]x[/] boom", "", "error services.web: ended", "  → look"],
        ),
        (HostError("[red]markup[/] is text", hint="[x]"), ["error [red]markup[/] is text", "  → [x]"]),
    ],
    ids=["host", "declaration", "the application's own words come first", "markup is not interpreted"],
)
def test_an_error_is_a_sentence_and_a_way_out(
    error: ColonnadeError, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    print_error(error)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == lines
    assert captured.out == ""


def test_a_bug_asks_to_be_reported(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(Bug("no way from a to b", subject="web/1"))
    assert "report" in capsys.readouterr().err


def test_exit_codes_tell_whose_fault_it_is() -> None:
    codes = [kind.exit_code for kind in (SpecError, HostError, AppError, Bug)]
    assert codes == [2, 3, 4, 70]


@pytest.mark.parametrize(
    ("kind", "style"),
    [("replica_ready", "[green]"), ("replica_crash_looping", "[bold red]"), ("service_scaled", "[default]")],
)
def test_colour_repeats_what_an_event_says(kind: str, style: str) -> None:
    line = event_line({"at_s": 0.0, "kind": kind, "message": "all [well]"})
    assert style in line
    assert line.endswith(r"all \[well]")
