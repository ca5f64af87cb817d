"""Each key of a declaration with every feature is in the manifests, in the image, or told by name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.deploy.kubernetes.kit import as_spec, every_feature, exported, texts

from colonnade.deploy.kubernetes import parts
from colonnade.deploy.kubernetes.told import IMAGE, MANIFESTS, NOT_OF_A_SYSTEM, SENTENCES, written_keys
from colonnade.spec.effects import EFFECTS

OTHERWISE: dict[str, Any] = {
    "system.name": "other",
    "services.*.uses": ["database"],
    "services.*.route": "/shop",
    "services.*.replicas": {"min": 1, "max": 8},
    "services.*.weights": [{"replicas": 2, "weight": 5}],
    "services.*.hash_by": "path",
    "services.*.affinity": "cookie",
    "services.*.health.path": "/other",
    "services.*.release": "python other.py",
    "services.*.idempotency_key": False,
    "services.*.retries": 1,
    "services.*.env": {"GREETING": "hello"},
    "services.*.env_file": "",
    "services.*.slo.availability": "99.9%",
    "database.durability": "async",
    "database.name": "otherdata",
    "database.parameters": {"work_mem": "10MB"},
    "tracing.ratio": "20%",
    "tracing.endpoint": "http://127.0.0.1:4319",
    "plan.work": {"web": {"service_time": "20ms", "memory": "400MB"}},
}
"""Another value for keys that are no number or duration."""


def test_every_key_of_the_file_has_a_place_and_only_one() -> None:
    places = [MANIFESTS, IMAGE, NOT_OF_A_SYSTEM, SENTENCES.keys()]
    named = set().union(*places)
    assert EFFECTS.keys() - named == set(), "say in deploy/kubernetes/told.py what becomes of these in a cluster"
    assert named - EFFECTS.keys() == set(), "there is no such key (any more)"
    assert sum(len(place) for place in places) == len(EFFECTS)


def test_the_declaration_of_this_test_has_every_key() -> None:
    written = {pattern for pattern, _ in written_keys(as_spec(every_feature()))}
    given_elsewhere = {"database", "database.backup", "database.url", "database.read_url", "drill.sql"}
    assert EFFECTS.keys() - written == given_elsewhere, "every_feature.toml lacks these"


@pytest.mark.parametrize("pattern", sorted(SENTENCES.keys() - {"database.url", "database.read_url", "drill.sql"}))
def test_what_a_cluster_does_not_do_is_told_by_name(pattern: str) -> None:
    told = exported(every_feature()).told
    names = {key for found, key in written_keys(as_spec(every_feature())) if found == pattern}
    assert names
    for name in names:
        assert any(sentence.startswith(f"{name}: ") and len(sentence) > len(name) + 10 for sentence in told), name


def test_a_query_that_drills_in_a_cluster_do_not_ask_is_told() -> None:
    data = every_feature()
    del data["drill"]["list"], data["drill"]["item"]
    data["drill"]["sql"] = "SELECT id::text, text FROM notes WHERE text LIKE %s"
    assert any(
        sentence.startswith("drill.sql: drills in the cluster do not ask it") for sentence in exported(data).told
    )


def test_a_database_elsewhere_is_told_to_be_a_secret_of_the_users() -> None:
    data = every_feature()
    data["database"] = {"url": "postgresql://u:hidden@db/x", "read_url": "postgresql://u:hidden@ro/x"}
    export = exported(data)
    assert [told.split(":")[0] for told in export.told if told.startswith("database")] == [
        "database.url",
        "database.read_url",
    ]
    assert export.secrets[0].keys == ("DATABASE_URL", "DATABASE_READ_URL")
    assert "hidden" not in "".join(texts(export).values())
    assert not any("cloudnative" in path for path in texts(export))


@pytest.mark.parametrize("pattern", sorted(MANIFESTS - {"database", "database.backup", "services.*.env_file"}))
def test_a_change_of_a_key_changes_a_manifest(pattern: str) -> None:
    data = every_feature()
    table, key = holder(data, pattern)
    table[key] = OTHERWISE[pattern] if pattern in OTHERWISE else another(table[key])
    changed, before = texts(exported(data)), texts(exported(every_feature()))
    assert [path for path in changed if changed[path] != before.get(path)]


def test_tables_that_are_left_out_leave_their_manifests_out() -> None:
    data = every_feature()
    del data["database"]["backup"]
    assert "ScheduledBackup" not in "".join(texts(exported(data)).values())
    del data["database"]
    for service in data["services"].values():
        service["uses"] = [name for name in service["uses"] if name != "database"]
    assert "DATABASE" not in "".join(texts(exported(data)).values())


def test_no_value_that_may_be_secret_is_in_a_file() -> None:
    export = exported(every_feature())
    everything = "".join(file.content for file in export.files)
    assert "not-in-a-manifest" not in everything
    assert "hidden-too" not in everything
    secret = next(secret for secret in export.secrets if secret.name == "web-secrets")
    assert secret.keys == ("SECRET_KEY", "MAIL_PASSWORD", "API_TOKEN", "CACHE")
    for key in secret.keys:
        assert f"--from-literal={key}=" in everything


def test_a_job_that_another_colonnade_writes_otherwise_is_another_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the same image: the template of a Job cannot be changed in a cluster."""

    def job() -> str:
        parts._job_templates.cache_clear()
        release = next(text for path, text in texts(exported(every_feature())).items() if path.endswith("release.yaml"))
        return str(yaml.safe_load(release)["metadata"]["name"])

    before = job()
    assert job() == before
    for name in ("release.yaml", "_macros.yaml"):
        (tmp_path / name).write_text((parts.TEMPLATES / name).read_text() + "# and more\n")
    monkeypatch.setattr(parts, "TEMPLATES", tmp_path)  # another version of Colonnade
    assert job() != before
    parts._job_templates.cache_clear()


def test_pods_of_a_lost_node_are_replaced_soon() -> None:
    for path, text in texts(exported(every_feature())).items():
        for found in filter(None, yaml.safe_load_all(text)):
            if found["kind"] in ("Deployment", "Job") and "components" not in path:
                tolerated = found["spec"]["template"]["spec"]["tolerations"]
                assert {each["tolerationSeconds"] for each in tolerated} == {30}, path
                assert len(tolerated) == 2


def test_the_how_to_says_what_deleting_takes_along() -> None:
    page = next(file.content for file in exported(every_feature()).files if file.path == "HOWTO.md")
    assert "your Secrets" in next(line for line in page.splitlines() if line.startswith("kubectl delete -k"))


def holder(data: dict[str, Any], pattern: str) -> tuple[dict[str, Any], str]:
    """The table that has this key, in whichever service has it."""
    parts = pattern.split(".")
    for service in ("web", "api"):
        table = data
        names = [service if part == "*" else part for part in parts]
        for name in names[:-1]:
            table = table.get(name, {})
        if names[-1] in table:
            return table, names[-1]
    raise AssertionError(f"{pattern} is not in every_feature.toml")


def another(value: Any) -> Any:
    """A value of the same kind: numbers grow by one, durations and sizes by one of their unit."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 0.05
    number = "".join(char for char in value if char.isdigit())
    assert number, f"say in OTHERWISE what else than {value!r} it may be"
    return value.replace(number, str(int(number) + 1))


def test_the_export_of_the_same_is_the_same() -> None:
    assert exported(copy.deepcopy(every_feature())) == exported(every_feature())
