"""Values changed in a declaration's text: the value, and nothing else."""

from __future__ import annotations

import tomllib

import pytest

from colonnade.core.errors import SpecError
from colonnade.spec.edit import Value, set_values

TEXT = """# A system.
[services.web]
app = "a:b"      # the app
replicas = 3     # chosen by feel
uses = ["api"]

[services.web.health]
path = "/ok"

[services."api"]   # the other
replicas = { min = 2, max = 8 }
app = '''
replicas = 9
'''

[database]
"""


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (("services", "web", "replicas"), 5, "replicas = 5     # chosen by feel"),
        (("services", "web", "replicas"), 12, "replicas = 12    # chosen by feel"),
        (("services", "web", "replicas"), {"min": 2, "max": 9}, "replicas = { min = 2, max = 9 } # chosen by feel"),
        (("services", "api", "replicas"), {"min": 4, "max": 16}, "replicas = { min = 4, max = 16 }"),
        (("services", "api", "replicas"), 7, "replicas = 7"),
        (("database", "connections_max"), 200, "connections_max = 200"),
    ],
)
def test_one_line_changes_and_comments_stay(key: tuple[str, ...], value: Value, line: str) -> None:
    changed = set_values(TEXT, {key: value}, subject="x")
    assert line in changed.split("\n")
    rest = [each for each in changed.split("\n") if each != line]
    assert [each for each in TEXT.split("\n") if each in rest] == rest


def test_several_at_once() -> None:
    values: dict[tuple[str, ...], Value] = {("services", "web", "replicas"): 4, ("services", "api", "replicas"): 5}
    data = tomllib.loads(set_values(TEXT, values, subject="x"))
    assert (data["services"]["web"]["replicas"], data["services"]["api"]["replicas"]) == (4, 5)


@pytest.mark.parametrize(
    "text",
    [
        '[services]\nweb = { app = "a:b", replicas = 3 }\n',
        '[services.web]\napp = "a:b"\n[services.web.replicas]\nmin = 2\nmax = 4\n',
        "services.web.replicas = 3\n",
        '[services.web]\napp = """\nreplicas = 3\n"""\nreplicas = 4\n',
    ],
)
def test_another_layout_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(SpecError, match="nothing was written") as told:
        set_values(text, {("services", "web", "replicas"): 5}, subject="x")
    assert "services.web.replicas = 5" in told.value.hint
