"""Options that several commands have, each with one meaning and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", help="The declaration, or its directory. Default: ./colonnade.toml")
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Where the system keeps its state. Default: .colonnade beside the file"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]

ToOption = Annotated[str, typer.Option("--to", help="kubernetes")]
NamespaceOption = Annotated[str, typer.Option("--namespace", help="Default: the system's name")]
