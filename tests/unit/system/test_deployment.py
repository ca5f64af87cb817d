"""A deployment's stages, its record, and the declaration that counts in the middle of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from colonnade.core.errors import Bug, HostError
from colonnade.gateway.pools import slots_for
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import GatewaySpec, ServiceSpec, Spec
from colonnade.system.deployment import (
    EDGES,
    ENDED,
    Deployment,
    DeployStage,
    in_order,
    meanwhile,
    read_deployment,
    write_deployment,
)
from colonnade.system.paths import StatePaths


def service(**keys: object) -> ServiceSpec:
    return ServiceSpec.model_validate({"app": "web:app", **keys})


def declared(gateway: GatewaySpec | None = None, **services: ServiceSpec) -> LoadedSpec:
    return LoadedSpec(Spec(gateway=gateway or GatewaySpec(), services=services), None, Path("/srv"))


DEPLOYMENT = Deployment(3, "deploy", 1, 2, ("api", "web"), {"web": 1}, message="why")


@pytest.mark.parametrize(
    ("services", "order"),
    [
        ({"web": service(uses=["api"]), "api": service()}, ["api", "web"]),
        ({"web": service(), "api": service()}, ["web", "api"]),
        (
            {"web": service(uses=["api", "database"]), "api": service(uses=["mail"]), "mail": service()},
            ["mail", "api", "web"],
        ),
    ],
)
def test_used_services_come_before_those_that_use_them(services: dict[str, ServiceSpec], order: list[str]) -> None:
    assert in_order(Spec(services=services)) == order


def test_a_service_on_its_way_is_sent_what_both_versions_can_take() -> None:
    old, new = declared(web=service(threads=4, retries=1)), declared(web=service(threads=8, streams_max=5, retries=3))
    rolling = replace(DEPLOYMENT, services=("web",), stage=DeployStage.ROLLING)
    at = meanwhile(old, new, replace(rolling, at="web")).spec.services["web"]
    assert (at.threads, at.streams_max, at.retries) == (4, 5, 1)
    assert meanwhile(old, new, rolling).spec == old.spec
    assert meanwhile(old, new, replace(rolling, done=("web",))).spec == new.spec


def test_a_new_service_is_public_when_it_is_ready_and_one_that_goes_until_all_others_are_through() -> None:
    old = declared(GatewaySpec(connections_max=50), web=service(route="/"), old=service(route="/old"))
    new = declared(GatewaySpec(connections_max=60), web=service(route="/"), api=service(route="/api"))

    def routes(**changes: object) -> dict[str, str]:
        loaded = meanwhile(old, new, replace(DEPLOYMENT, services=("api",), **changes))  # type: ignore[arg-type]
        return {name: one.route for name, one in loaded.spec.services.items()}

    assert routes(stage=DeployStage.RELEASING) == {"web": "/", "old": "/old"}
    assert routes(stage=DeployStage.ROLLING, at="api") == {"web": "/", "old": "/old", "api": ""}
    assert routes(stage=DeployStage.ROLLING, done=("api",)) == {"web": "/", "old": "/old", "api": "/api"}
    assert routes(stage=DeployStage.UNDOING, at="api") == {"web": "/", "old": "/old", "api": ""}
    assert routes(stage=DeployStage.UNDOING) == {"web": "/", "old": "/old"}
    assert routes(stage=DeployStage.SWITCHING, done=("api",)) == {"web": "/", "old": "", "api": "/api"}
    assert meanwhile(old, new, replace(DEPLOYMENT, stage=DeployStage.ROLLING)).spec.gateway.connections_max == 50
    assert meanwhile(old, new, replace(DEPLOYMENT, stage=DeployStage.SWITCHING)).spec.gateway.connections_max == 60


def test_there_are_slots_for_as_many_as_there_may_be_until_the_numbers_have_followed() -> None:
    many, few = service(replicas=20), service(replicas=2)
    switching = replace(DEPLOYMENT, services=("web",), stage=DeployStage.SWITCHING)
    for old, new in ((many, few), (few, many)):
        found = meanwhile(declared(web=old), declared(web=new), switching).spec.services["web"]
        assert slots_for(found) == 40


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    assert read_deployment(paths) is None
    deployment = replace(DEPLOYMENT, stage=DeployStage.ROLLING, at="web", done=("api",), lives=2)
    write_deployment(paths, deployment)
    assert read_deployment(paths) == deployment
    assert deployment.as_json()["is_open"]


@pytest.mark.parametrize("text", ["{", "{}", '{"number": 1}', "[]"])
def test_a_record_that_is_not_ours_is_refused_with_a_way_out(tmp_path: Path, text: str) -> None:
    paths = StatePaths(tmp_path)
    paths.deployment.write_text(text)
    with pytest.raises(HostError) as caught:
        read_deployment(paths)
    assert "colonnade up" in caught.value.hint or caught.value.hint


def test_every_stage_can_end_and_no_way_leads_on_from_the_end() -> None:
    reached = set(ENDED)
    while more := {old for old, new in EDGES if new in reached} - reached:
        reached |= more
    assert reached == set(DeployStage)
    assert not [old for old, _ in EDGES if old in ENDED]


def test_a_way_that_is_not_there_is_a_bug() -> None:
    with pytest.raises(Bug, match="no way from releasing to done"):
        DEPLOYMENT.entering(DeployStage.DONE)
    refused = DEPLOYMENT.entering(DeployStage.REFUSED, "because")
    assert (refused.is_open, refused.message) == (False, "because")
