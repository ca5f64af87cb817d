"""reference.toml is documentation, the table of defaults and a valid declaration at once; this holds them together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import colonnade.spec
from colonnade.spec.load import load_spec
from colonnade.spec.model import (
    BackupSpec,
    DashboardSpec,
    DatabaseSpec,
    DrillOwn,
    DrillRead,
    DrillSpec,
    DrillWrite,
    GatewaySpec,
    HealthSpec,
    PlanSpec,
    PlanWork,
    PrometheusSpec,
    ReplicasSpec,
    RolloutSpec,
    ScalingSpec,
    ServiceSpec,
    SystemSpec,
    TracingSpec,
    WeightGroup,
)

REFERENCE = Path(colonnade.spec.__file__).with_name("reference.toml")
TEXT = REFERENCE.read_text(encoding="utf-8")
UNSET = re.compile(r"^#(?=[a-z])", re.MULTILINE)
"""A bare # before a key: not set by default, and what stands there is an example."""

ALL: dict[str, Any] = tomllib.loads(UNSET.sub("", TEXT))
"""With the examples; a key that were there twice would not parse."""

SET: dict[str, Any] = tomllib.loads(TEXT)

TABLES: list[tuple[type[BaseModel], tuple[str, ...]]] = [
    (SystemSpec, ("system",)),
    (GatewaySpec, ("gateway",)),
    (ServiceSpec, ("services", "web")),
    (HealthSpec, ("services", "web", "health")),
    (ScalingSpec, ("services", "web", "scaling")),
    (RolloutSpec, ("services", "web", "rollout")),
    (DatabaseSpec, ("database",)),
    (BackupSpec, ("database", "backup")),
    (PrometheusSpec, ("prometheus",)),
    (TracingSpec, ("tracing",)),
    (DashboardSpec, ("dashboard",)),
    (DrillSpec, ("drill",)),
    (PlanSpec, ("plan",)),
]

REQUIRED = {"app"}
"""There is no default application; the file has to name one."""

SWITCHES = {"backup"}
"""Tables whose presence turns something on: not there by default."""


def table(tables: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for part in path:
        tables = tables[part]
    return tables


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items() if not field.exclude}


@pytest.mark.parametrize(("model", "path"), TABLES)
def test_every_key_of_a_table_is_there_once(model: type[BaseModel], path: tuple[str, ...]) -> None:
    assert set(table(ALL, path)) == keys_of(model)


def test_the_small_tables_are_shown_in_full() -> None:
    assert set(ALL["services"]["web"]["weights"][0]) == keys_of(WeightGroup)
    assert "{ min = 2, max = 8 }" in TEXT
    assert keys_of(ReplicasSpec) == {"min", "max"}
    assert keys_of(DrillRead) == {"path", "weight", "status"}
    assert all(key in TEXT for key in keys_of(PlanWork))
    assert keys_of(DrillOwn) == {"path", "newest"}
    assert keys_of(DrillWrite) == {"path", "method", "headers", "body", "weight", "status"}


@pytest.mark.parametrize(("model", "path"), TABLES)
def test_the_value_of_every_set_key_is_its_default(model: type[BaseModel], path: tuple[str, ...]) -> None:
    written = model.model_validate(table(SET, path), by_alias=True, by_name=False)
    for name, field in model.model_fields.items():
        if (field.alias or name) not in REQUIRED | SWITCHES:
            assert getattr(written, name) == field.get_default(call_default_factory=True), name


@pytest.mark.parametrize(("model", "path"), TABLES)
def test_the_example_of_every_unset_key_is_valid(model: type[BaseModel], path: tuple[str, ...]) -> None:
    unset = set(table(ALL, path)) - set(table(SET, path))
    for key in unset:
        model.model_validate({key: table(ALL, path)[key]}, by_alias=True, by_name=False)


def test_every_key_has_a_comment_above_it() -> None:
    blocks = [block.splitlines() for block in TEXT.split("\n\n")]
    for block in blocks:
        keys = [line for line in block if re.match(r"#?[a-z_]+ = ", line)]
        assert len(keys) <= 1, keys
        if keys:
            assert block.index(keys[0]) == len(block) - 1 > 0
            assert all(line.startswith("# ") for line in block[:-1])


def test_it_is_a_declaration_that_loads() -> None:
    loaded = load_spec(REFERENCE, environ={})
    assert list(loaded.spec.services) == ["web"]
    # The defaults make nothing public and let nobody use the database: both are worth a sentence.
    assert [warning.partition(":")[0] for warning in loaded.warnings] == ["services", "database"]
