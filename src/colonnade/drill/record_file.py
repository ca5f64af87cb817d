"""A record on disk: `record.json` has all but the load's operations, which are a line each in `operations.jsonl`.

Both are complete: a report can be made from them again, by a later version or by somebody who doubts this one.
Read next: `record`.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from colonnade.core.errors import HostError
from colonnade.core.files import disk_error
from colonnade.drill.load import history
from colonnade.drill.record import Record

RECORD = "record.json"
OPERATIONS = "operations.jsonl"

LAYOUT = 1
"""Raised when an older Colonnade could not read what a newer one wrote."""

_RECORD = TypeAdapter(Record)


def write_record(record: Record, directory: Path) -> None:
    """Write both files into an existing directory. Raises HostError when it refuses."""
    fields = _RECORD.dump_python(record, mode="json", exclude={"history"})
    try:
        with (directory / OPERATIONS).open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in history.to_lines(record.history))
        text = json.dumps({"layout": LAYOUT, **fields}, indent=1, ensure_ascii=False) + "\n"
        (directory / RECORD).write_text(text, encoding="utf-8")
    except OSError as error:
        raise disk_error(error, directory) from error


def read_record(directory: Path) -> Record:
    """What `write_record` wrote. Raises HostError when there is none, or it cannot be understood."""
    try:
        fields = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        if fields.pop("layout") > LAYOUT:
            raise HostError(
                "was written by a newer Colonnade", subject=str(directory), hint="`pip install -U colonnade`"
            )
        with (directory / OPERATIONS).open(encoding="utf-8") as lines:
            operations = history.from_lines(lines)
        return _RECORD.validate_python({**fields, "history": operations})
    except FileNotFoundError as error:
        raise HostError(
            "holds no record of a drill",
            subject=str(directory),
            hint="give the directory that `colonnade drill` named at its end",
        ) from error
    except OSError as error:
        raise disk_error(error, directory) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HostError(
            f"holds a record that cannot be read ({error})", subject=str(directory), hint="run the drill again"
        ) from error
