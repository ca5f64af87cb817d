"""Several kubeconfigs at once, by kubectl's rule."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lightkube")

import yaml
from lightkube.core.exceptions import ConfigError

from colonnade.deploy.kubernetes.kubeconfig import find_kubeconfig


def write(path: Path, **content: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return str(path)


def cluster(name: str, server: str, **more: str) -> dict[str, object]:
    return {"name": name, "cluster": {"server": server, **more}}


def test_the_first_file_that_says_something_counts_and_paths_are_relative_to_their_file(tmp_path: Path) -> None:
    context = {"name": "blue", "context": {"cluster": "blue", "user": "me"}}
    one = write(tmp_path / "one/config", clusters=[cluster("blue", "https://1")], users=None)
    two = write(
        tmp_path / "two/config",
        **{"current-context": "blue"},
        clusters=[cluster("blue", "https://2"), cluster("red", "https://3", **{"certificate-authority": "ca.crt"})],
        contexts=[context, {"name": "red", "context": {"cluster": "red", "user": "me"}}],
        users=[{"name": "me", "user": {"client-key": "/keys/me", "token": "a"}}],
    )
    found = find_kubeconfig({"KUBECONFIG": f"{one}:{tmp_path / 'none'}:{two}"})
    assert found is not None
    blue, red = found.get(), found.get("red")
    assert blue is not None
    assert red is not None
    assert (blue.context_name, blue.cluster.server) == ("blue", "https://1")
    assert red.cluster.certificate_auth == str(tmp_path / "two/ca.crt")
    assert red.user is not None
    assert (red.user.client_key, red.user.token) == ("/keys/me", "a")


def test_where_none_of_them_is_there_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of"):
        find_kubeconfig({"KUBECONFIG": f"{tmp_path / 'a'}:{tmp_path / 'b'}"})
