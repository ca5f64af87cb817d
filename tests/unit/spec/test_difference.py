"""What two declarations differ in, and how each key comes to count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from colonnade.spec.difference import SECRET, WHOLE, Difference, difference
from colonnade.spec.effects import EFFECTS, Effect
from colonnade.spec.load import declared_spec
from colonnade.spec.model import Spec
from colonnade.spec.units import duration_text, parse_duration_s, parse_size_bytes, size_text

SERVICE = '[services.web]\napp = "web:app"\nroute = "/"\n'


def spec_of(text: str = "", *, service: str = SERVICE) -> Spec:
    return declared_spec(service + text, subject="colonnade.toml")


def between(old: str, new: str) -> Difference:
    return difference(spec_of(old), spec_of(new))


@pytest.mark.parametrize(
    ("old", "new", "told", "effect"),
    [
        ("", "threads = 16", "services.web.threads: 8 → 16", Effect.ROLLOUT),
        ("", "memory_max = '1GiB'", "services.web.memory_max: not set → 1GiB", Effect.ROLLOUT),
        ("", "queue_timeout = '500ms'", "services.web.queue_timeout: 10s → 500ms", Effect.GATEWAY),
        ("", "balance = 'adaptive'", 'services.web.balance: "round-robin" → "adaptive"', Effect.GATEWAY),
        ("", "idempotency_key = true", "services.web.idempotency_key: false → true", Effect.GATEWAY),
        (
            "rate_limit = { requests = 10, per = '1m' }",
            "rate_limit = { requests = 20, per = '1m' }",
            "services.web.rate_limit: { requests = 10, per = 1m } → { requests = 20, per = 1m }",
            Effect.GATEWAY,
        ),
        ("", "slo = { p99 = '250ms' }", "services.web.slo.p99: not set → 250ms", Effect.CONTROLLER),
        ("", "stop_timeout = '2m'", "services.web.stop_timeout: 10s → 2m", Effect.CONTROLLER),
        ("", "replicas = 5", "services.web.replicas: 2 → 5", Effect.SCALING),
        (
            "replicas = 5",
            "replicas = { min = 2, max = 8 }",
            "services.web.replicas: 5 → { min = 2, max = 8 }",
            Effect.SCALING,
        ),
        ("", "[gateway]\nlisten = '127.0.0.1:9000'", None, Effect.DOWN_AND_UP),
        (
            "",
            "[gateway]\nrequest_body_bytes_max = '1MiB'",
            "gateway.request_body_bytes_max: 10MB → 1MiB",
            Effect.GATEWAY,
        ),
        ("", "[system]\nshared = ['media']", 'system.shared: [] → ["media"]', Effect.ROLLOUT),
        ("[database]", "[database]\nparameters = { work_mem = '8MB' }", None, Effect.DATABASE_RESTART),
        ("[database]", "[database]\nstandbys = 3", "database.standbys: 2 → 3", Effect.DATABASE_STANDBYS),
        ("[database]\nstandbys = 0", "[database]\nstandbys = 1", "database.standbys: 0 → 1", Effect.DOWN_AND_UP),
        ("[database]", "[database]\nname = 'shop'", 'database.name: "app" → "shop"', Effect.DOWN_AND_UP),
        ("", "[database]", "database: added", Effect.DOWN_AND_UP),
        ("[database]", "[database.backup]", "database.backup: added", Effect.DOWN_AND_UP),
        (
            "[database.backup]",
            "[database.backup]\nkeep_full = 3",
            "database.backup.keep_full: 7 → 3",
            Effect.DOWN_AND_UP,
        ),
        ("health.interval = '1s'", "", "services.web.health.interval: 1s → 200ms", Effect.GATEWAY),
    ],
)
def test_a_key_is_told_with_both_values_and_its_effect(old: str, new: str, told: str | None, effect: Effect) -> None:
    (change,) = between(old, new).keys
    assert change.effect is effect
    if told is not None:
        assert str(change) == told


def test_who_comes_to_use_the_database_is_started_anew_while_the_database_needs_down_and_up() -> None:
    found = {change.key: change.effect for change in between("", "uses = ['database']\n[database]").keys}
    assert found == {"services.web.uses": Effect.ROLLOUT, "database": Effect.DOWN_AND_UP}


GROUPS = "weights = [{ replicas = 2, weight = 3 }, { replicas = 1, weight = 1 }]"


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        (GROUPS, GROUPS.replace("weight = 3", "weight = 5"), Effect.GATEWAY),
        (GROUPS, GROUPS.replace("replicas = 1", "replicas = 4"), Effect.SCALING),
        (GROUPS, GROUPS.replace("weight = 3", "weight = 3, env = { CACHE = '1' }"), Effect.ROLLOUT),
        (GROUPS, "", Effect.SCALING),
        ("", "weights = [{ replicas = 2, weight = 1, env = { CACHE = '1' } }]", Effect.ROLLOUT),
    ],
    ids=["weight", "number", "environment", "no groups any more", "groups with an environment"],
)
def test_groups_of_replicas_take_effect_by_what_differs_in_them(old: str, new: str, effect: Effect) -> None:
    (change,) = between(old, new).keys
    assert (change.key, change.effect) == ("services.web.weights", effect)


def test_services_come_and_go_and_their_keys_are_not_listed() -> None:
    worker = '[services.worker]\ncommand = "work $PORT"\nthreads = 3\n'
    assert between("", worker) == Difference(added=("worker",))
    assert between(worker, "") == Difference(removed=("worker",))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("env = { API_KEY = 'hunter2' }", "env = { API_KEY = 'hunter3' }", "services.web.env.API_KEY: changed"),
        ("", "env = { API_KEY = 'hunter2' }", "services.web.env.API_KEY: added"),
        ("env = { API_KEY = 'hunter2' }", "", "services.web.env.API_KEY: removed"),
        ("env_file = 'hunter2.env'", "env_file = 'hunter3.env'", "services.web.env_file: changed"),
        (
            "[database]\nurl = 'postgresql://app:hunter2@db/app'",
            "[database]\nurl = 'postgresql://app:hunter3@db/app'",
            "database.url: changed",
        ),
        (
            GROUPS.replace("weight = 3", "weight = 3, env = { KEY = 'hunter2' }"),
            GROUPS.replace("weight = 3", "weight = 3, env = { KEY = 'hunter3' }"),
            "services.web.weights: changed",
        ),
    ],
)
def test_what_may_be_a_secret_is_not_shown(old: str, new: str, told: str) -> None:
    found = between(old, new)
    assert told in [str(change) for change in found.keys]
    assert "hunter" not in repr(found)


@pytest.mark.parametrize("text", ["", "threads = 3\n[database.backup]", GROUPS, "env = { A = 'b' }"])
def test_a_declaration_does_not_differ_from_itself_nor_from_one_with_its_defaults_written_out(text: str) -> None:
    assert between(text, text).is_empty
    assert between(text, text.replace("threads = 3", "threads = 3\nqueue_max = 200\nretries = 2")).is_empty


def test_every_key_of_the_file_has_an_effect_and_no_other_has() -> None:
    keys = set(keys_of(Spec, ""))
    assert keys - EFFECTS.keys() == set(), "say in EFFECTS how a change of these takes effect"
    assert EFFECTS.keys() - keys == set(), "there is no such key (any more)"


def test_the_special_tables_name_keys_that_there_are() -> None:
    assert EFFECTS.keys() >= SECRET | WHOLE


def keys_of(model: type[BaseModel], where: str) -> Iterator[str]:
    """Every key below `model`, as EFFECTS names it; what is classified as a whole is not gone into."""
    for name, about in model.model_fields.items():
        if about.exclude:
            continue
        key = f"{where}.{about.alias or name}".strip(".")
        inner = model_in(about.annotation)
        if inner is None or (key in EFFECTS and key not in WHOLE):
            yield key
            continue
        if key in WHOLE:
            yield key
        yield from keys_of(inner, f"{key}.*" if get_origin(about.annotation) is dict else key)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a field holds: itself, optional, or as the values of a table."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, dict, Annotated, list):
        return next((model for part in get_args(annotation) if (model := model_in(part)) is not None), None)
    return None


@given(st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_reads_back_as_what_it_was(value_s: float) -> None:
    text = duration_text(value_s)
    read = parse_duration_s(text if text != "0" else 0)
    assert isinstance(read, float)
    assert abs(read - value_s) < 1e-6


@given(st.integers(0, 10**12))
def test_a_size_reads_back_as_what_it_was(value_bytes: int) -> None:
    assert parse_size_bytes(size_text(value_bytes)) == value_bytes


VALUES: Mapping[str, tuple[str, ...]] = {
    "threads": ("3", "8"),
    "queue_max": ("5", "200"),
    "replicas": ("2", "{ min = 1, max = 3 }"),
    "env": ("{ A = 'b' }", "{ A = 'c', D = 'e' }"),
    "slo": ("{ p99 = '1s' }", "{ availability = 0.99 }"),
    "uses": ("[]",),
}
declarations = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in VALUES.items()})


@given(declarations, declarations)
def test_a_difference_is_the_same_seen_from_the_other_side(old: dict[str, str], new: dict[str, str]) -> None:
    one, other = (spec_of("".join(f"{key} = {value}\n" for key, value in keys.items())) for keys in (old, new))
    there, back = difference(one, other), difference(other, one)
    assert {(c.key, c.old, c.new, c.effect) for c in there.keys} == {(c.key, c.new, c.old, c.effect) for c in back.keys}
    assert there.is_empty == (one == other)
