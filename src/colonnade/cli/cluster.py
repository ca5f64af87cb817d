"""The verbs against a cluster: `colonnade deploy --to kubernetes`, and `status`, `scale`, … with the same option.

Imported only where `--to` is given: lightkube is an extra (`pip install 'colonnade[kubernetes]'`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from colonnade.cli.export import declared
from colonnade.cli.export_kubernetes import kubernetes_export, settings_of
from colonnade.cli.messages import out, print_json, print_warning
from colonnade.core.clock import SystemClock
from colonnade.core.errors import HostError, SpecError
from colonnade.gateway.pools import slots_for
from colonnade.spec.load import LoadedSpec
from colonnade.system.target import find_target

try:
    from colonnade.deploy.kubernetes import deploying, scaling, verbs
    from colonnade.deploy.kubernetes.cluster import Cluster
    from colonnade.deploy.kubernetes.objects import names_of, objects_of
    from colonnade.deploy.kubernetes.waiting import Pace
except ImportError as error:
    raise HostError(
        f"speaking to a cluster needs {error.name}", subject="--to", hint="pip install 'colonnade[kubernetes]'"
    ) from error

CHANGES_SHOWN = 12
"""Lines of one object; a whole new text of the gateway is not read on a terminal."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to, as the options say. `namespace`: the system's name if empty."""

    to: str
    context: str
    namespace: str
    file: Path | None

    def loaded(self) -> LoadedSpec:
        check_to(self.to)
        return declared(self.file)

    def cluster(self, loaded: LoadedSpec) -> Cluster:
        return Cluster.connect(self.context, self.namespace or loaded.spec.system.name)


def check_to(to: str) -> None:
    """Raises SpecError."""
    if to != "kubernetes":
        raise SpecError(f"there is no way to {to!r}", subject="--to", hint="say --to kubernetes")


def pace() -> Pace:
    return Pace(SystemClock().monotonic, time.sleep, lambda text: out.print(escape(text)))


def deploy(place: Place, *, image: str, gateway_image: str, chosen: Mapping[str, Any], is_agreed: bool) -> None:
    """What would change, then the change, waited for. `chosen`: options that were given; others stay as what runs
    there was exported with. Raises AppError when it was undone."""
    loaded = place.loaded()
    cluster = place.cluster(loaded)
    settings = settings_of(
        loaded,
        image=image,
        gateway_image=gateway_image,
        namespace=place.namespace,
        **{**verbs.choices(cluster), **chosen},
    )
    components = settings.components
    export = kubernetes_export(loaded, settings, find_target(place.file, "", None).paths)
    for sentence in export.told:
        print_warning(sentence)
    needed = [secret for secret in export.secrets if not _is_the_operators(secret.name, loaded, components)]
    verbs.check_secrets(cluster, needed)
    system = loaded.spec.system.name
    planned = deploying.plan(cluster, system, objects_of(export, settings.namespace, components))
    for sentence in planned.kept:
        print_warning(sentence)
    if planned.is_empty:
        out.print("nothing: the cluster has what stands here")
        return
    _show(planned)
    if not is_agreed and sys.stdin.isatty():
        typer.confirm(f"apply this to {settings.namespace}?", abort=True)
    deploying.deploy(cluster, system, planned, pace())
    out.print(f"[bold green]done[/]: {settings.image} runs")


def _show(planned: deploying.Plan) -> None:
    for each in planned.removals:
        out.print(f"[bold red]{' '.join(names_of(each.found))}[/] deleted, once the rest is well")
    for change in planned.changes:
        shown = change.lines[:CHANGES_SHOWN]
        out.print(f"[bold]{' '.join(change.names)}[/] {escape(shown[0]) if len(shown) == 1 else ''}")
        for line in shown if len(shown) > 1 else ():
            out.print(f"  {escape(line)}")
        if len(change.lines) > len(shown):
            out.print(f"  … and {len(change.lines) - len(shown)} more")


def _is_the_operators(secret: str, loaded: LoadedSpec, components: Sequence[str]) -> bool:
    return "cloudnative-pg" in components and secret == f"{loaded.spec.system.name}-database"


def status(place: Place, *, as_json: bool) -> None:
    loaded = place.loaded()
    found = verbs.status(place.cluster(loaded), loaded.spec.system.name)
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("deployment", "serve", "of", "new", "bounds", "image"):
        table.add_column(column)
    for each in found["deployments"]:
        bounds = "-".join(map(str, each["bounds"])) if each["bounds"] else ""
        table.add_row(
            each["name"], str(each["available"]), str(each["wanted"]), str(each["updated"]), bounds, each["image"]
        )
    out.print(table)
    pods = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("pod", "", "restarts", "node"):
        pods.add_column(column)
    for each in found["pods"]:
        pods.add_row(each["name"], "ready" if each["is_ready"] else each["phase"], str(each["restarts"]), each["node"])
    out.print(pods)


def scale(place: Place, wanted: Sequence[tuple[str, int | None]]) -> None:
    loaded = place.loaded()
    cluster = place.cluster(loaded)
    for service, replicas in wanted:
        if service not in loaded.spec.services:
            raise SpecError("is no service of colonnade.toml", subject=service, hint="see `colonnade status`")
        declared = loaded.spec.services[service]
        out.print(scaling.scale(cluster, service, replicas, scaling.Room(slots_for(declared), declared.replicas.min)))


def roll_back(place: Place) -> None:
    loaded = place.loaded()
    deploying.roll_back(place.cluster(loaded), loaded.spec.system.name, pace())
    out.print("[bold green]done[/]: the version before runs; what release steps did stays")


def down(place: Place) -> None:
    loaded = place.loaded()
    cluster = place.cluster(loaded)
    count = verbs.down(cluster, loaded.spec.system.name, lambda text: out.print(f"[dim]deleted {escape(text)}[/]"))
    out.print(f"[bold]down[/]: {count} objects; Secrets, databases and the namespace {cluster.namespace} are left")


def logs(place: Place, names: Sequence[str], *, count: int, is_following: bool) -> None:
    loaded = place.loaded()
    read = verbs.follow if is_following else verbs.logs
    for pod, line in read(place.cluster(loaded), loaded.spec.system.name, names, count):
        out.print(f"[dim]{pod}[/] {escape(line)}")


def events(place: Place, *, count: int, as_json: bool) -> None:
    found = verbs.events(place.cluster(place.loaded()), count)
    if as_json:
        print_json(found)
        return
    for event in found:
        what = f"{event['reason']:<20} {event['about']}: {event['message']}"
        out.print(f"[dim]{event['at']}[/] {escape(what)}")
