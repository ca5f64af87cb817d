"""Every example's declaration is good, needs no warning, and says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade.spec.load import load_spec

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize("directory", sorted(EXAMPLES.glob("[0-9]*")), ids=lambda path: path.name)
def test_an_example_loads_without_a_warning(directory: Path) -> None:
    loaded = load_spec(directory, environ={})
    assert loaded.warnings == ()
    assert (directory / "README.md").read_text().count("colonnade up") >= 1
    uses_python = any(service.app for service in loaded.spec.services.values())
    assert (directory / "requirements.txt").exists() == uses_python
