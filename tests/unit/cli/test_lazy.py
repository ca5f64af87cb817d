"""A group of commands that is not imported yet looks like any other; and what nobody asked for is not imported."""

from __future__ import annotations

import subprocess
import sys

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


def imported_by(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_a_question_to_the_controller_waits_for_nothing_else_to_be_imported() -> None:
    """What `colonnade status` imports, which takes a third of what everything takes."""
    found = imported_by("colonnade.cli.main", "colonnade.cli.screens", "colonnade.system.client")
    assert found & {"asyncio", "httpx", "pydantic", "psycopg", "colonnade.system.launch"} == set()
    assert "colonnade.system.target" in found


@pytest.mark.slow
def test_a_controller_without_a_database_waits_for_no_driver_of_one() -> None:
    found = imported_by("colonnade.system.controller")
    assert found & {"psycopg", "colonnade.database.controller", "colonnade.database.backup"} == set()
    assert "colonnade.system.assemble" in found
