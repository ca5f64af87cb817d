"""`colonnade export …`: what is declared, as files of other tools. Each command makes its files and hands them to
`deliver`, which is the same for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from colonnade.cli.messages import out, print_warning
from colonnade.cli.options import FileOption, StateOption
from colonnade.deploy.files import ExportedFile, Outcome, Told, write_export
from colonnade.gateway.discovered import GATEWAYS_MAX
from colonnade.spec.load import LoadedSpec, load_spec

app = typer.Typer(no_args_is_help=True)

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", file_okay=False, help="Where the files go")
]
DashboardOption = Annotated[
    str, typer.Option("--dashboard", metavar="ADDRESS:PORT", help="Where it listens, whatever is declared or known")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace files that were not exported, or were changed since")
]


def declared(file: Path | None) -> LoadedSpec:
    """What stands in the directory, checked. Raises SpecError."""
    loaded = load_spec(file if file is not None else Path.cwd())
    for warning in loaded.warnings:
        print_warning(warning)
    return loaded


def deliver(export: str, files: Sequence[ExportedFile], directory: Path, *, is_forced: bool) -> None:
    """Write the files and say each. Raises HostError when that would destroy somebody's work."""
    for told in write_export(directory, export, files, is_forced=is_forced):
        _tell(told)


def _tell(told: Told) -> None:
    path = escape(str(told.path))
    match told.outcome:
        case Outcome.WROTE | Outcome.REPLACED | Outcome.REMOVED:
            out.print(f"[green]{told.outcome.value}[/] {path}")
        case Outcome.UNCHANGED:
            out.print(f"[dim]unchanged {path}[/]")
        case Outcome.LEFT:
            print_warning(f"{told.path} belongs to an earlier export and was changed since; it is left as it is")


@app.command()
def docker(
    file: FileOption = None,
    output: OutputOption = None,
    is_forced: ForceOption = False,
    base_image: Annotated[str, typer.Option("--base-image", metavar="IMAGE", help="With python3 and venv")] = "",
) -> None:
    """A Dockerfile for all services, one for gateway and database with it, and what they need."""
    from colonnade.cli.export_docker import docker_export

    files, directory = docker_export(declared(file), output, base_image)
    deliver("docker", files, directory, is_forced=is_forced)


@app.command()
def kubernetes(
    file: FileOption = None,
    state_dir: StateOption = None,
    output: OutputOption = None,
    is_forced: ForceOption = False,
    image: Annotated[str, typer.Option("--image", help="Of the application. Default: as `image build` calls it")] = "",
    gateway_image: Annotated[str, typer.Option("--gateway-image", help="Of the gateway. Default: likewise")] = "",
    namespace: Annotated[str, typer.Option("--namespace", help="Default: the system's name")] = "",
    gateways: Annotated[int, typer.Option("--gateways", min=1, max=GATEWAYS_MAX, help="How many gateways")] = 2,
    host: Annotated[str, typer.Option("--host", help="Name under which visitors come; otherwise any")] = "",
    components: Annotated[
        list[str] | None,
        typer.Option("--with", help="Switch on: ingress, gateway-api, monitoring, cloudnative-pg"),
    ] = None,
    ingress_class: Annotated[str, typer.Option("--ingress-class", help="Whose Ingress it is")] = "",
    gateway_class: Annotated[str, typer.Option("--gateway-class", help="Whose Gateway it is")] = "",
    service_type: Annotated[
        str, typer.Option("--service-type", help="ClusterIP, NodePort, LoadBalancer")
    ] = "ClusterIP",
    cluster_domain: Annotated[
        str, typer.Option("--cluster-domain", help="Under which the cluster's DNS has its services")
    ] = "cluster.local",
    database_ports: Annotated[
        list[int] | None, typer.Option("--database-port", min=1, max=65535, help="Where pods may reach databases")
    ] = None,
) -> None:
    """Plain manifests with a kustomization, for `kubectl apply -k`."""
    from colonnade.cli.export_kubernetes import kubernetes_export, settings_of, tell
    from colonnade.system.target import find_target

    loaded = declared(file)
    settings = settings_of(
        loaded,
        image=image,
        gateway_image=gateway_image,
        namespace=namespace,
        gateways=gateways,
        host=host,
        ingress_class=ingress_class,
        gateway_class=gateway_class,
        service_type=service_type,
        cluster_domain=cluster_domain,
        database_ports=database_ports,
        components=components,
    )
    export = kubernetes_export(loaded, settings, find_target(file, "", state_dir).paths)
    directory = output or Path("kubernetes")
    deliver("kubernetes", export.files, directory, is_forced=is_forced)
    tell(export, directory)


@app.command()
def compose(
    file: FileOption = None,
    output: OutputOption = None,
    is_forced: ForceOption = False,
    tag: Annotated[str, typer.Option("--tag", help="Of the application's image. Default: a digest of the code")] = "",
) -> None:
    """The system on one Docker host: compose.yaml, the gateway's text, and files for secrets."""
    from colonnade.cli.export_compose import compose_export

    compose_export(declared(file), output or Path("compose"), tag, is_forced=is_forced)


@app.command()
def systemd(
    file: FileOption = None,
    state_dir: StateOption = None,
    output: OutputOption = None,
    is_forced: ForceOption = False,
    user: Annotated[str, typer.Option("--user", help="Who runs it. Default: the owner of the directory")] = "",
) -> None:
    """A unit that runs the system on this host for good, from boot on."""
    from colonnade.cli.export_systemd import host_of
    from colonnade.deploy.systemd.unit import systemd_files

    loaded = declared(file)
    files = systemd_files(loaded.spec, host_of(loaded, user, state_dir))
    deliver("systemd", files, output or Path("systemd"), is_forced=is_forced)


@app.command()
def prometheus(
    file: FileOption = None,
    state_dir: StateOption = None,
    output: OutputOption = None,
    is_forced: ForceOption = False,
    dashboard: DashboardOption = "",
    interval_s: Annotated[float, typer.Option("--interval", metavar="SECONDS", min=1, help="Between two looks")] = 15.0,
    runbooks: Annotated[str, typer.Option(metavar="URL", help="Where your people read docs/alerts.md")] = "",
) -> None:
    """prometheus.yml, alert rules, and their tests for promtool."""
    from colonnade.deploy.prometheus import prometheus_files
    from colonnade.deploy.watched import dashboard_address
    from colonnade.observe.prometheus.config import Watched
    from colonnade.observe.prometheus.rules import RUNBOOKS
    from colonnade.system.target import find_target

    loaded = declared(file)
    address = dashboard_address(loaded, find_target(file, "", state_dir).paths, dashboard)
    watched = Watched(loaded.spec.system.name, str(address), interval_s)
    deliver(
        "prometheus",
        prometheus_files(watched, runbooks or RUNBOOKS),
        output or Path("prometheus"),
        is_forced=is_forced,
    )


@app.command()
def grafana(
    output: OutputOption = None,
    is_forced: ForceOption = False,
    prometheus: Annotated[
        str, typer.Option(metavar="URL", help="Of the Prometheus that Grafana asks")
    ] = "http://127.0.0.1:9090",
    path: Annotated[
        Path | None, typer.Option("--path", help="Where Grafana finds the dashboards. Default: where they are written")
    ] = None,
) -> None:
    """Dashboards (overview, service, database), and provisioning for them and their source."""
    from colonnade.deploy.grafana.files import grafana_files

    directory = output or Path("grafana")
    files = grafana_files(prometheus, str(path or (directory / "dashboards").resolve()))
    deliver("grafana", files, directory, is_forced=is_forced)
