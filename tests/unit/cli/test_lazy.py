"""A group of commands that is not imported yet looks like any other."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from colonnade.cli.main import app


@pytest.mark.parametrize(
    ("group", "help_text", "command"), [("drill", "Break a copy", "replay"), ("db", "Postgre", "psql")]
)
def test_a_group_is_listed_and_explains_itself(group: str, help_text: str, command: str) -> None:
    everything = CliRunner().invoke(app, ["--help"]).output
    itself = CliRunner().invoke(app, [group, "--help"]).output
    assert help_text in everything
    assert f"{group} [OPTIONS] COMMAND" in itself
    assert help_text in itself
    assert command in itself


def test_its_commands_get_their_options_and_refuse_others() -> None:
    shown = CliRunner().invoke(app, ["drill", "show", "primary"])
    assert shown.exit_code == 0
    assert "lost_writes_max 0" in shown.output
    assert CliRunner().invoke(app, ["drill", "shew"]).exit_code == 2
