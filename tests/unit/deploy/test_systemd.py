"""The unit: what follows from the declaration, and that systemd itself takes it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from colonnade.deploy.systemd.unit import Host, unit, unit_name
from colonnade.spec.model import Spec

HOST = Host("/opt/venv/bin/colonnade", "/srv/shop", "/srv/shop/.colonnade", "shop")
SPEC = Spec.model_validate({"system": {"name": "shop"}, "gateway": {"listen": "127.0.0.1:8080"}})
EXPOSURE_MAX = 3.0
"""systemd's own figure, from 0 (closed) to 10; 9.6 is a unit without any of it."""


def test_systemd_ends_the_viewer_only_and_colonnade_the_rest() -> None:
    lines = unit(SPEC, HOST).splitlines()
    assert {"KillMode=process", "SendSIGKILL=no", "Restart=always", "OOMPolicy=continue"} <= set(lines)
    assert "ExecStart=/opt/venv/bin/colonnade up --follow" in lines
    assert "ExecStop=/opt/venv/bin/colonnade down" in lines


def test_a_port_below_1024_needs_one_capability_and_others_none() -> None:
    web = SPEC.model_copy(update={"gateway": SPEC.gateway.model_copy(update={"listen": "0.0.0.0:80"})})
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit(web, HOST)
    assert "CAP_NET_BIND_SERVICE" not in unit(SPEC, HOST)


def test_only_the_outermost_of_nested_directories_are_named_as_writable() -> None:
    host = Host("/opt/venv/bin/colonnade", "/srv/shop", "/var/lib/shop", "shop", backups="/mnt/backups")
    assert "ReadWritePaths=/srv/shop /var/lib/shop /mnt/backups /tmp" in unit(SPEC, host)


def test_a_path_with_a_blank_or_a_percent_sign_is_one_word() -> None:
    host = Host("/opt/my venv/bin/colonnade", "/srv/100% shop", "/srv/100% shop/.colonnade", "shop")
    text = unit(SPEC, host)
    assert 'ExecStart="/opt/my venv/bin/colonnade" up' in text
    assert "WorkingDirectory=/srv/100%% shop\n" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit_and_finds_it_closed_enough(tmp_path: Path) -> None:
    # Programs and directories that are there: it looks for them.
    host = Host(sys.executable, str(tmp_path), str(tmp_path / ".colonnade"), "daemon")
    path = tmp_path / unit_name(SPEC)
    path.write_text(unit(SPEC, host))
    verified = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True)
    told = [line for line in verified.stderr.splitlines() if path.name in line]
    assert (verified.returncode, told) == (0, [])
    argv = ["systemd-analyze", "security", "--offline=true", f"--threshold={int(EXPOSURE_MAX * 10)}", str(path)]
    judged = subprocess.run(argv, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout[-500:]
