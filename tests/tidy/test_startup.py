"""What every command waits for before it does anything: the imports of the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATER = frozenset({"jinja2", "psycopg", "colonnade.drill", "colonnade.database.backup.restore"})
"""Needed by `drill` and `db` alone, and half as long to import as all the rest."""

RUN = """
import sys
from colonnade.cli.main import main
sys.argv = ["colonnade", *sys.argv[1:]]
try:
    main()
finally:
    sys.stderr.write(f"imported {' '.join(sys.modules)}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", ["--help", "status", "drill --help"])
def test_only_who_asks_for_drills_or_the_database_waits_for_their_imports(words: str, tmp_path: object) -> None:
    command = [sys.executable, "-c", RUN, *words.split()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=str(tmp_path), check=False)
    said, _, imported = ran.stderr.partition("imported ")
    assert imported, said
    assert "textual" not in imported.split(), "the screen of `colonnade top` is for `colonnade top`"
    found = LATER & set(imported.split())
    assert found == (LATER - {"colonnade.database.backup.restore"} if "drill" in words else set())
