"""Where a Prometheus that is a part listens, and what is said when it cannot be had."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.core.ports import PortAllocator
from colonnade.spec.check import check_spec
from colonnade.spec.model import PrometheusSpec, Spec
from colonnade.system.prometheus_part import find_prometheus, listen_address


def test_a_port_is_chosen_once_and_kept_while_it_can_be_had(tmp_path: Path) -> None:
    ports = PortAllocator(str(tmp_path))
    first = listen_address(PrometheusSpec(), tmp_path, ports, is_running=False)
    assert first.is_loopback
    assert listen_address(PrometheusSpec(), tmp_path, ports, is_running=False) == first
    with socket.create_server((first.host, first.port)):
        assert listen_address(PrometheusSpec(), tmp_path, ports, is_running=True) == first, "it is ours that has it"
        assert listen_address(PrometheusSpec(), tmp_path, ports, is_running=False) != first


def test_a_declared_port_that_is_anothers_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        spec = PrometheusSpec(listen=f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(HostError, match="is taken") as error:
            listen_address(spec, tmp_path, PortAllocator(str(tmp_path)), is_running=False)
    assert "[prometheus] listen" in error.value.hint


@pytest.mark.parametrize("binary", ["", "/nowhere/prometheus"])
def test_a_missing_program_is_told_with_the_way_to_get_it(binary: str, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"Prometheus|/nowhere") as error:
        find_prometheus(PrometheusSpec(binary=binary), path=str(tmp_path))
    assert "apt install prometheus" in error.value.hint


def test_the_program_is_found_on_the_path(tmp_path: Path) -> None:
    program = tmp_path / "prometheus"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_prometheus(PrometheusSpec(), path=str(tmp_path)) == str(program)


def test_without_a_dashboard_there_is_nothing_to_watch() -> None:
    spec = Spec.model_validate({"prometheus": {"enabled": True}, "dashboard": {"enabled": False}})
    assert ("prometheus", "enabled") in [problem.key for problem in check_spec(spec)]
