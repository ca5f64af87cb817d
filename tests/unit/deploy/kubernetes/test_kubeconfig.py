"""Which kubeconfig counts, and several at once, by kubectl's rules; and what is told of a broken one."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lightkube")

import yaml
from lightkube import KubeConfig
from lightkube.core.exceptions import ConfigError

from colonnade.core.errors import HostError
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.kubeconfig import find_kubeconfig


def write(path: Path, **content: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return str(path)


def cluster(name: str, server: str, **more: str) -> dict[str, object]:
    return {"name": name, "cluster": {"server": server, **more}}


def whole(name: str) -> dict[str, object]:
    """The content of a file with one context, that is the current one."""
    return {
        "current-context": name,
        "clusters": [cluster(name, f"https://{name}")],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}}],
        "users": [{"name": "me", "user": {"token": "a"}}],
    }


def server_by(kubeconfig: str | None) -> str:
    found = find_kubeconfig({} if kubeconfig is None else {"KUBECONFIG": kubeconfig}).get()
    assert found is not None
    return found.cluster.server


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pod with an account has, and a home with nothing in it."""
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("pod")
    (account / "namespace").write_text("default")
    from_account = KubeConfig.from_service_account
    # Its place is fixed, and is not ours to write to.
    monkeypatch.setattr(KubeConfig, "from_service_account", lambda **_: from_account(account))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


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


@pytest.mark.usefixtures("pod")
def test_files_count_before_the_account_of_the_pod(tmp_path: Path) -> None:
    assert server_by(None) == "https://10.0.0.1:443"
    write(tmp_path / "home/.kube/config", **whole("home"))
    named = write(tmp_path / "named", **whole("named"))
    assert server_by(None) == "https://home"
    assert server_by(named) == "https://named"


@pytest.mark.usefixtures("pod")
def test_empty_parts_of_the_variable_are_not_said(tmp_path: Path) -> None:
    write(tmp_path / "home/.kube/config", **whole("home"))
    named = write(tmp_path / "named", **whole("named"))
    assert [server_by(each) for each in (f":{named}", f"{named}:", "", ":")] == [
        "https://named",
        "https://named",
        "https://home",
        "https://home",
    ]


def test_without_any_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="and this is no pod"):
        find_kubeconfig({})


def test_a_command_with_a_directory_is_relative_to_its_file_and_a_bare_one_is_not(tmp_path: Path) -> None:
    def user(name: str, command: str) -> dict[str, object]:
        return {"name": name, "user": {"exec": {"apiVersion": "v1", "command": command, "args": ["a/b"]}}}

    users = [user("near", "./bin/login"), user("far", "/bin/login"), user("bare", "login")]
    found = find_kubeconfig({"KUBECONFIG": write(tmp_path / "config", **{**whole("blue"), "users": users})})
    commands = {name: each.exec.command for name, each in found.users.items() if each.exec}
    assert commands == {"near": str(tmp_path / "bin/login"), "far": "/bin/login", "bare": "login"}


def test_an_entry_with_nothing_in_it_harms_no_other(tmp_path: Path) -> None:
    content = whole("blue")
    for name in ("clusters", "users", "contexts"):
        entries = content[name]
        assert isinstance(entries, list)
        entries.append({"name": "empty"})
    path = write(tmp_path / "config", **content)
    assert server_by(path) == "https://blue"
    with pytest.raises(ConfigError, match="'empty' not found"):
        find_kubeconfig({"KUBECONFIG": path}).get("empty")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("users:\n- name: me\n  token: [hunter2", "line 3: this is not YAML"),
        ("- hunter2", "Expected `object`, got `array`"),
        ("users: hunter2", "got `str` - at `$.users`"),
        ("users: [{name: me, user: hunter2}]", "got `str` - at `$.users[0].user`"),
        ("clusters: [{name: blue, cluster: {server: 7}}]", "Expected `str`, got `int`"),
    ],
)
def test_a_broken_file_is_told_and_not_shown(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(HostError) as caught:
        Cluster.connect("", "blog")
    assert told in caught.value.message
    assert str(file) in caught.value.message
    assert "hunter2" not in str(caught.value)
