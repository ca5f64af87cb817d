"""`--to kubernetes`: the verbs that a cluster has, with the options that they have there. `main.py` comes here when
that option is given anywhere in the line; what they do is in `cluster.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from colonnade.cli import cluster, cluster_drill
from colonnade.cli.cluster import Place
from colonnade.cli.options import FileOption, JsonOption, NamespaceOption, ToOption
from colonnade.cli.words import parse_scale
from colonnade.gateway.discovered import GATEWAYS_MAX

app = typer.Typer(
    help="The same verbs, for a system in a cluster: those of --to kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(cluster_drill.app, name="drill", help="Break a system in a cluster under load: what its API allows.")

Context = Annotated[str, typer.Option("--context", help="Of the kubeconfig. Default: the current one")]
KEPT = "As of `export kubernetes`. Default: as it is in the cluster"


@app.command()
def deploy(
    to: ToOption,
    context: Context = "",
    namespace: NamespaceOption = "",
    file: FileOption = None,
    image: Annotated[str, typer.Option("--image", help="Default: as `image build` calls it")] = "",
    gateway_image: Annotated[str, typer.Option("--gateway-image", help="Default: likewise")] = "",
    gateways: Annotated[int | None, typer.Option("--gateways", min=1, max=GATEWAYS_MAX, help=KEPT)] = None,
    host: Annotated[str | None, typer.Option("--host", help=KEPT)] = None,
    components: Annotated[list[str] | None, typer.Option("--with", help=KEPT)] = None,
    ingress_class: Annotated[str | None, typer.Option("--ingress-class", help=KEPT)] = None,
    gateway_class: Annotated[str | None, typer.Option("--gateway-class", help=KEPT)] = None,
    service_type: Annotated[str | None, typer.Option("--service-type", help=KEPT)] = None,
    cluster_domain: Annotated[str | None, typer.Option("--cluster-domain", help=KEPT)] = None,
    database_ports: Annotated[list[int] | None, typer.Option("--database-port", min=1, max=65535, help=KEPT)] = None,
    is_agreed: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Show what would change, apply it, wait for it, and undo it when the new version is bad."""
    chosen = {
        "gateways": gateways,
        "host": host,
        "components": components or None,
        "ingress_class": ingress_class,
        "gateway_class": gateway_class,
        "service_type": service_type,
        "cluster_domain": cluster_domain,
        "database_ports": database_ports or None,
    }
    cluster.deploy(
        Place(to, context, namespace, file),
        image=image,
        gateway_image=gateway_image,
        chosen={name: value for name, value in chosen.items() if value is not None},
        is_agreed=is_agreed,
    )


@app.command()
def status(
    to: ToOption,
    context: Context = "",
    namespace: NamespaceOption = "",
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Deployments and pods."""
    cluster.status(Place(to, context, namespace, file), as_json=json)


@app.command()
def scale(
    changes: Annotated[list[str], typer.Argument(metavar="SERVICE=N …", help="For example backend=5, or backend=auto")],
    to: ToOption,
    context: Context = "",
    namespace: NamespaceOption = "",
    file: FileOption = None,
) -> None:
    """Change how many replicas a service has."""
    cluster.scale(Place(to, context, namespace, file), [parse_scale(change) for change in changes])


@app.command()
def rollback(to: ToOption, context: Context = "", namespace: NamespaceOption = "", file: FileOption = None) -> None:
    """Every service to the version before."""
    cluster.roll_back(Place(to, context, namespace, file))


@app.command()
def down(to: ToOption, context: Context = "", namespace: NamespaceOption = "", file: FileOption = None) -> None:
    """Delete everything but Secrets, databases and the namespace."""
    cluster.down(Place(to, context, namespace, file))


@app.command()
def logs(
    to: ToOption,
    names: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE | POD]")] = None,
    context: Context = "",
    namespace: NamespaceOption = "",
    file: FileOption = None,
    count: Annotated[int, typer.Option("--last", "-n", help="Lines per pod", min=1)] = 20,
    is_following: Annotated[bool, typer.Option("--follow", "-F", help="Go on as they come")] = False,
) -> None:
    """Output of pods, each line with its origin."""
    cluster.logs(Place(to, context, namespace, file), names or [], count=count, is_following=is_following)


@app.command()
def events(
    to: ToOption,
    context: Context = "",
    namespace: NamespaceOption = "",
    file: FileOption = None,
    json: JsonOption = False,
    count: Annotated[int, typer.Option("--last", "-n", help="How many", min=1)] = 50,
) -> None:
    """What the cluster tells of the namespace."""
    cluster.events(Place(to, context, namespace, file), count=count, as_json=json)
