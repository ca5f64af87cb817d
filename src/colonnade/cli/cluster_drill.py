"""`colonnade drill --to kubernetes`: the drills of one machine on a system in a cluster, for what its API allows.

What is going to be done is said, and what may not be done is found out, before anything is. Read next:
`cluster_consent.py`; `drill_run.py` for one run.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from colonnade.cli.cluster import check_to
from colonnade.cli.cluster_consent import agree, check_nothing_is_left, check_way, connect, way_back
from colonnade.cli.drill_run import (
    OutOption,
    RateOption,
    RepeatOption,
    Run,
    SeedOption,
    at_rate,
    carry_out,
    declaration_at,
    directory_now,
    exit_code,
    first_seed,
    new_run_id,
    reports_at,
)
from colonnade.cli.drill_screen import scenario_lines, scenario_table
from colonnade.cli.export import declared
from colonnade.cli.messages import out
from colonnade.cli.options import FileOption, NamespaceOption, ToOption
from colonnade.core.clock import SystemClock
from colonnade.drill.cluster import marks
from colonnade.drill.cluster.director import ClusterDirector, ClusterOrder
from colonnade.drill.cluster.faults.registry import CLUSTER_FAULTS
from colonnade.drill.cluster.permissions import NODES, check, is_allowed
from colonnade.drill.cluster.words import Where, announcement
from colonnade.drill.scenario import Scenario
from colonnade.drill.scenario_file import OF_A_CLUSTER, find_scenario, shipped_names
from colonnade.spec.load import LoadedSpec

if TYPE_CHECKING:
    from colonnade.deploy.kubernetes.breakable import BreakableCluster

DEFAULT = "cluster"
"""The scenario that is run when none is named."""

app = typer.Typer(no_args_is_help=True)

Context = Annotated[str, typer.Option("--context", help="Of the kubeconfig. Asked about if not given")]
Agreed = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needs --context")]


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What is wanted of every run."""

    loaded: LoadedSpec
    file: Path
    out: Path
    url: str
    is_read_only: bool
    may_delete_local_data: bool


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME | FILE.toml …]")] = None,
    to: ToOption = "",
    context: Context = "",
    namespace: NamespaceOption = "",
    file: FileOption = None,
    url: Annotated[str, typer.Option("--url", help="Where visitors reach the gateways: http://NODE:PORT")] = "",
    is_forwarded: Annotated[
        bool, typer.Option("--port-forward", help="Instead of --url: by kubectl, to one gateway; ends with its pod")
    ] = False,
    is_read_only: Annotated[bool, typer.Option("--read-only", help="Write nothing")] = False,
    may_delete_local_data: Annotated[
        bool, typer.Option("--delete-emptydir-data", help="Drain nodes although pods of others lose files by it")
    ] = False,
    repeat: RepeatOption = 1,
    seed: SeedOption = None,
    rate: RateOption = None,
    out_dir: OutOption = None,
    is_agreed: Agreed = False,
) -> None:
    """Run scenarios: the default one, or those named. Says what it is going to do, and asks."""
    loaded, path = _declared(to, file), declaration_at(file)
    api = connect(loaded, context, namespace, is_agreed=is_agreed)
    check_way(api, url, is_forwarded=is_forwarded)
    first = first_seed(seed)
    chosen = names or [DEFAULT]
    scenarios = [_scenario(name, rate, loaded.spec.drill.rate_per_s) for name in chosen]
    check(api, [fault.kind for scenario in scenarios for fault in scenario.faults], is_forwarded=is_forwarded)
    check_nothing_is_left(api)
    where = Where(api.context, api.server, api.version(), api.namespace, url, is_read_only)
    for scenario in scenarios:
        out.print(f"[bold]{escape(scenario.name)}[/] {escape(scenario.title)}")
        for line in announcement(where, scenario):
            out.print(escape(line))
    agree(api, "do this?", is_agreed=is_agreed)
    wishes = _Wishes(loaded, path, reports_at(out_dir, path), url, is_read_only, may_delete_local_data)
    named = zip(chosen, scenarios, strict=True)
    planned = [(name, scenario, first + number) for name, scenario in named for number in range(repeat)]
    raise typer.Exit(_run_all(api, planned, wishes))


@app.command(name="list")
def list_scenarios(to: ToOption = "") -> None:
    """The scenarios for clusters that come with Colonnade. Those of one machine can be named as well: what is
    impossible in a cluster is skipped."""
    check_to(to)
    names = shipped_names(OF_A_CLUSTER)
    out.print(scenario_table([find_scenario(name, CLUSTER_FAULTS, OF_A_CLUSTER) for name in names]))


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME | FILE.toml")], to: ToOption = "") -> None:
    """What a scenario is going to do."""
    check_to(to)
    for line in scenario_lines(_scenario(name, None, None)):
        out.print(line)


@app.command(name="put-back")
def put_back(
    to: ToOption = "",
    context: Context = "",
    namespace: NamespaceOption = "",
    file: FileOption = None,
    is_agreed: Agreed = False,
) -> None:
    """Put back what a drill that was killed has changed. Never while one is under way."""
    loaded = _declared(to, file)
    api = connect(loaded, context, namespace, is_agreed=is_agreed)
    left = list(marks.changes_left(api, with_nodes=is_allowed(api, NODES)))
    if not left:
        out.print("nothing is left of a drill")
        return
    for change in left:
        out.print(escape(f"run {change.run_id}: {change}"))
    agree(api, "put this back?", is_agreed=is_agreed)
    for change in left:
        somebody = marks.put_back(api, change)
        out.print(escape(f"{change.kind} {change.name}: {somebody or 'is as it was'}"))


def _run_all(api: BreakableCluster, planned: Sequence[tuple[str, Scenario, int]], wishes: _Wishes) -> int:
    """The exit code. Ends before the next run where this one was interrupted, or could not put everything back. Raises
    HostError where somebody else has changed something since the last look."""
    runs: list[Run] = []
    for name, scenario, seed in planned:
        check_nothing_is_left(api)
        found = _run_one(api, scenario, _command(api, name, scenario, seed, wishes), seed, wishes)
        if found is None:
            break
        runs.append(found)
        if found.record.leftovers:
            out.print(escape(f"something is left of this run, and no other is begun: {way_back(api)}"))
            return exit_code(runs, len(runs))
        if found.record.is_interrupted:
            break
    return exit_code(runs, len(planned))


def _run_one(api: BreakableCluster, scenario: Scenario, command: str, seed: int, wishes: _Wishes) -> Run | None:
    """None when it was interrupted before anything was measured."""
    clock = SystemClock()
    order = ClusterOrder(
        loaded=wishes.loaded,
        file=wishes.file,
        scenario=scenario,
        seed=seed,
        run_id=new_run_id(),
        command=command,
        out=wishes.out / directory_now(scenario.name, seed),
        url=wishes.url,
        is_read_only=wishes.is_read_only,
        may_delete_local_data=wishes.may_delete_local_data,
    )
    return carry_out(ClusterDirector(order, api, clock), order, clock, otherwise="nothing was changed")


def _command(api: BreakableCluster, name: str, scenario: Scenario, seed: int, wishes: _Wishes) -> str:
    words = ["colonnade", "drill", "run", name, "--to", "kubernetes", "--context", api.context]
    words += ["--namespace", api.namespace, "--file", str(wishes.file), "--seed", str(seed)]
    words += ["--url", wishes.url] if wishes.url else ["--port-forward"]
    words += ["--rate", f"{scenario.load.rate_per_s:g}"]
    words += ["--read-only"] if wishes.is_read_only else []
    words += ["--delete-emptydir-data"] if wishes.may_delete_local_data else []
    return shlex.join(words)


def _declared(to: str, file: Path | None) -> LoadedSpec:
    check_to(to)
    return declared(file)


def _scenario(name: str, typed_per_s: float | None, declared_per_s: float | None) -> Scenario:
    """Of the clusters' own first, then of those for one machine, or a file; with its rate as typed or declared."""
    library: dict[str, Any] = {"library": OF_A_CLUSTER} if name in shipped_names(OF_A_CLUSTER) else {}
    scenario = find_scenario(name, CLUSTER_FAULTS, **library)
    is_ours = name in (*shipped_names(OF_A_CLUSTER), *shipped_names())
    return at_rate(scenario, typed_per_s or (declared_per_s if is_ours else None))
