"""Environments and plans of services, and who is in rotation."""

from dataclasses import replace
from pathlib import Path

import pytest

from colonnade.gateway.state import GatewayView, ObservedBackend, PoolView, Server, ServerState, ServerView
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState, RestartHistory
from colonnade.runtime.traffic import Traffic
from colonnade.runtime.view import RuntimeView
from colonnade.spec.detect import Detected
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import ServiceSpec, Spec
from colonnade.system.detours import Detours, port_file
from colonnade.system.mapping import service_membership, traffic_of
from colonnade.system.plans import Addresses, Surroundings, service_environment, service_listener, service_plan


def spec(**keys: object) -> ServiceSpec:
    return ServiceSpec.model_validate({"app": "web:app", **keys})


def around(**urls: str) -> Surroundings:
    addresses = Addresses({"user-api": ("127.0.0.1", 15_001), "mail": ("127.0.0.1", 15_002)}, **urls)
    return Surroundings({"PATH": "/bin", "MODE": "caller"}, None, Path("/srv/logs"), addresses)


def declared(service: ServiceSpec, environment: dict[str, str] | None = None) -> LoadedSpec:
    spec = Spec(services={"web": service})
    return LoadedSpec(spec, None, Path("/srv/app"), environments={"web": environment or {}})


@pytest.mark.parametrize(
    ("env_file", "keys", "mode"),
    [
        ({}, {}, "caller"),
        ({"MODE": "file"}, {}, "file"),
        ({"MODE": "file"}, {"env": {"MODE": "declared"}}, "declared"),
    ],
)
def test_what_is_nearer_to_the_service_wins(env_file: dict[str, str], keys: dict[str, object], mode: str) -> None:
    assert service_environment(spec(**keys), env_file, around())["MODE"] == mode


def test_addresses_beat_everything_and_only_those_used_are_told() -> None:
    service = spec(uses=["user-api"], env={"USER_API_URL": "http://wrong"})
    env = service_environment(service, {}, around(database_url="postgresql://secret"))
    assert env["USER_API_URL"] == "http://127.0.0.1:15001"
    assert not {"MAIL_URL", "DATABASE_URL", "DATABASE_READ_URL"} & env.keys()


@pytest.mark.parametrize(("read_url", "expected"), [("postgresql://r", "postgresql://r"), ("", "postgresql://w")])
def test_reads_go_to_the_primary_where_there_is_no_read_address(read_url: str, expected: str) -> None:
    surroundings = around(database_url="postgresql://w", database_read_url=read_url)
    env = service_environment(spec(uses=["database"]), {}, surroundings)
    assert (env["DATABASE_URL"], env["DATABASE_READ_URL"]) == ("postgresql://w", expected)


def test_a_declared_collector_is_told_to_every_service_and_what_the_service_says_itself_wins() -> None:
    web = spec(env={"OTEL_SERVICE_NAME": "shop"})
    declaration = Spec.model_validate(
        {"system": {"name": "blog"}, "tracing": {"endpoint": "http://127.0.0.1:4318", "ratio": "10%"}}
    ).model_copy(update={"services": {"web": web}})
    loaded = LoadedSpec(declaration, None, Path("/srv/app"), environments={"web": web.env})
    env = service_plan("web", 1, loaded, None, around()).env
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert env["OTEL_SERVICE_NAME"] == "shop"
    assert env["OTEL_RESOURCE_ATTRIBUTES"] == "service.namespace=blog"
    assert (env["OTEL_TRACES_SAMPLER"], env["OTEL_TRACES_SAMPLER_ARG"]) == ("parentbased_traceidratio", "0.1")
    silent = service_plan("web", 1, declared(web), None, around()).env
    assert not [name for name in silent if name.startswith("OTEL_") and name != "OTEL_SERVICE_NAME"]


def test_passwords_and_environments_are_in_no_repr() -> None:
    surroundings = around(
        database_url="postgresql://app:s3cret@h/app", database_read_url="postgresql://app:s3cret@r/app"
    )
    loaded = declared(spec(uses=["database"]), {"TOKEN": "s3cret"})
    plan = service_plan("web", 1, loaded, None, surroundings)
    assert "s3cret" not in repr(surroundings) + repr(plan)


def test_a_plan_for_an_application_and_for_a_command() -> None:
    found = Detected("asgi", False, "web:app")
    plan = service_plan("web", 3, declared(spec(path="sub/..")), found, around())
    assert (plan.run, plan.directory, plan.log_directory) == (found, Path("/srv/app"), Path("/srv/logs"))
    assert (plan.version, plan.slots_max) == (3, 16)
    command = ServiceSpec.model_validate({"command": "serve --at '127.0.0.1 $PORT'"})
    assert service_plan("web", 1, declared(command), None, around()).run == ["serve", "--at", "127.0.0.1 $PORT"]


def test_a_services_listener_has_a_name_of_its_own() -> None:
    assert service_listener("mail") == "service:mail"


def seen(number: int, state: ReplicaState, service: str = "web") -> ObservedReplica:
    return ObservedReplica(ReplicaId(service, number), state, 0.0, pid=1, port=15_000 + number)


@pytest.mark.parametrize(
    ("state", "in_rotation"),
    [
        (ReplicaState.STARTING, None),
        (ReplicaState.READY, ServerState.READY),
        (ReplicaState.DRAINING, ServerState.DRAIN),
        (ReplicaState.STOPPING, None),
        (ReplicaState.WAITING, None),
    ],
)
def test_only_what_serves_has_a_place_in_the_gateway(state: ReplicaState, in_rotation: ServerState | None) -> None:
    (pool,) = service_membership({"web": spec()}, RuntimeView({"web": 1}, (seen(2, state),))).pools
    assert pool.servers == ((Server(2, "127.0.0.1:15002", in_rotation, 1),) if in_rotation else ())


def test_who_has_detours_is_told_their_beginnings(tmp_path: Path) -> None:
    ways = {("web", "user-api"): 1, ("web", "database"): 2, ("web", "database-read"): 3, ("gateway", "web-2"): 4}
    for (who, whom), port in ways.items():
        port_file(tmp_path, who, whom).write_text(f'{{"port": {port}}}')
    detours = Detours(tmp_path)
    urls = {"database_url": "postgresql://u@h:15003/d", "database_read_url": "postgresql://u@h:15004/d"}
    surroundings = replace(around(**urls), detours=detours)
    env = service_plan("web", 1, declared(spec(uses=["user-api", "mail", "database"])), None, surroundings).env
    assert env["USER_API_URL"] == "http://127.0.0.1:1"
    assert env["MAIL_URL"] == "http://127.0.0.1:15002"
    assert env["DATABASE_URL"] == "postgresql://u@127.0.0.1:2/d"
    assert env["DATABASE_READ_URL"] == "postgresql://u@127.0.0.1:3/d"
    view = RuntimeView({}, (seen(1, ReplicaState.READY), seen(2, ReplicaState.READY)))
    (pool,) = service_membership({"web": spec()}, view, detours=detours).pools
    assert [server.address for server in pool.servers] == ["127.0.0.1:15001", "127.0.0.1:4"]


def test_every_service_has_a_pool_with_its_own_replicas_and_weights() -> None:
    services = {
        "web": spec(weights=[{"replicas": 1, "weight": 3}, {"replicas": 1}], health={"path": "/up"}),
        "api": spec(),
    }
    view = RuntimeView(
        {}, (seen(1, ReplicaState.READY), seen(2, ReplicaState.READY), seen(1, ReplicaState.READY, "api"))
    )
    web, api = service_membership(services, view).pools
    assert [(server.slot, server.weight) for server in web.servers] == [(1, 3), (2, 1)]
    assert [(server.slot, server.weight) for server in api.servers] == [(1, 1)]
    assert (web.check_path, web.check_expect, web.slots_max >= 2) == ("/up", "200-499", True)


def server(slot: int, *, failing_since_s: float | None = None) -> ServerView:
    return ServerView(
        slot=slot,
        address="127.0.0.1:1",
        status="UP",
        check_status="",
        sessions=slot,
        streams=0,
        queued=0,
        requests_total=0,
        errors_total=0,
        failing_since_s=failing_since_s,
    )


def traffic(*, is_failed_open: bool, answering: tuple[int, ...] = (), **failing: float | None) -> dict[int, Traffic]:
    servers = {int(name[1:]): server(int(name[1:]), failing_since_s=since) for name, since in failing.items()}
    view = GatewayView(
        pools={"web": PoolView(servers=servers, traffic=ObservedBackend(), is_failed_open=is_failed_open)}
    )
    replicas = [replace(seen(slot, ReplicaState.READY), answers=slot in answering) for slot in servers]
    return {replica.number: found for replica, found in traffic_of(view, replicas).items()}


def those(found: dict[int, Traffic], what: str) -> set[int]:
    return {number for number, one in found.items() if getattr(one, what)}


def test_whoever_fails_its_checks_is_unhealthy() -> None:
    found = traffic(is_failed_open=False, s1=None, s2=5.0, s3=None)
    assert (those(found, "is_unhealthy"), those(found, "is_widespread"), those(found, "is_spared")) == (
        {2},
        set(),
        set(),
    )


def test_of_a_pool_that_mostly_fails_all_are_spared_but_the_one_that_fails_longest() -> None:
    found = traffic(is_failed_open=True, s1=7.0, s2=5.0, s3=None)
    assert (those(found, "is_unhealthy"), those(found, "is_spared")) == ({1, 2}, {1, 3})
    assert those(traffic(is_failed_open=True, s1=None, s2=None), "is_unhealthy") == set()


def test_who_answers_is_not_in_the_way_of_one_that_does_not() -> None:
    found = traffic(is_failed_open=True, answering=(2,), s1=7.0, s2=5.0, s3=6.0)
    assert those(found, "is_spared") == {1, 2}
    assert those(traffic(is_failed_open=True, answering=(1, 2), s1=7.0, s2=5.0), "is_spared") == {1, 2}


def test_a_replica_that_was_started_anew_because_it_was_not_reached_has_to_prove_itself() -> None:
    doubted = replace(seen(2, ReplicaState.READY), history=RestartHistory(in_vain=1))
    (pool,) = service_membership({"web": spec()}, RuntimeView({}, (seen(1, ReplicaState.READY), doubted))).pools
    assert [one.is_unproven for one in pool.servers] == [False, True]
