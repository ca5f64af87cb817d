"""Which settings of [database] can change while the system runs, and a declaration with others. Pure: who carries a
change out is in `database_changes.py`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from colonnade.core.errors import SpecError
from colonnade.spec.model import DatabaseSpec

SETTINGS = ("parameters", "shared_buffers_bytes", "standbys", "quorum_size", "durability")
"""Of [database], by their names in Python: what can change while the system runs. Others need `down` and `up`."""


def settings_of(spec: DatabaseSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in SETTINGS}


def with_settings(spec: DatabaseSpec, settings: dict[str, Any]) -> DatabaseSpec:
    """`spec` with these instead. Raises SpecError for one that is unknown or wrong."""
    if unknown := sorted(settings.keys() - set(SETTINGS)):
        raise SpecError(
            f"{unknown[0]} cannot be changed while the system runs",
            subject="database",
            hint="`colonnade down`, then `colonnade up`",
        )
    fields = {name: getattr(spec, name) for name in type(spec).model_fields}
    try:
        return DatabaseSpec(**{**fields, **settings})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise SpecError(problem["msg"], subject=f"database.{where}", hint="see `[database]` in the reference") from None
