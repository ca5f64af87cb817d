"""A cluster belongs to many. So before a drill its context is named, the way to its gateways is said, nothing is left
of another drill, and somebody agrees; or nothing happens. That lightkube is there is `cluster.py`'s to see, before."""

from __future__ import annotations

import shlex
import sys

import typer

from colonnade.core.errors import HostError, SpecError
from colonnade.deploy.kubernetes.breakable import BreakableCluster
from colonnade.drill.cluster import marks
from colonnade.drill.cluster.permissions import NODES, is_allowed
from colonnade.spec.load import LoadedSpec


def connect(loaded: LoadedSpec, context: str, namespace: str, *, is_agreed: bool) -> BreakableCluster:
    """Raises SpecError where nobody said which cluster, and nobody can be asked."""
    if is_agreed and not context:
        raise SpecError(
            "--yes needs the context by its name: a drill breaks things, and clusters belong to many",
            subject="--context",
            hint="`kubectl config get-contexts` shows those that there are",
        )
    return BreakableCluster.connect(context, namespace or loaded.spec.system.name)


def agree(api: BreakableCluster, question: str, *, is_agreed: bool) -> None:
    """Raises SpecError where nobody can be asked, and typer.Abort for a no."""
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise SpecError(
            f"nobody agreed to a drill in context {api.context}",
            subject="--yes",
            hint=f"say --context {shlex.quote(api.context)} --yes",
        )
    typer.confirm(f"context {api.context}, namespace {api.namespace}: {question}", abort=True)


def check_way(api: BreakableCluster, url: str, *, is_forwarded: bool) -> None:
    """Raises SpecError unless there is exactly one."""
    if url and is_forwarded:
        raise SpecError("--url and --port-forward are one too many", subject="--url", hint="--url is the better one")
    if url or is_forwarded:
        return
    service = api.get("Service", "gateway")
    ports = (service or {}).get("spec", {}).get("ports") or [{}]
    node_port = ports[0].get("nodePort")
    hint = f"--url http://NODE:{node_port}" if node_port else "--url http://… of your Ingress or load balancer"
    raise SpecError(
        "nobody said how visitors reach the gateways",
        subject="--url",
        hint=f"{hint}; or --port-forward, which ends with the gateway it leads to",
    )


def check_nothing_is_left(api: BreakableCluster) -> None:
    """Raises HostError while another drill is under way, or has left something."""
    left = list(marks.changes_left(api, with_nodes=is_allowed(api, NODES)))
    if left:
        raise HostError(
            f"another drill is under way, or was killed: {'; '.join(map(str, left))}",
            subject=f"context {api.context}",
            hint=f"if none runs: {way_back(api)}",
        )


def way_back(api: BreakableCluster) -> str:
    return f"`colonnade drill put-back --to kubernetes --context {shlex.quote(api.context)}`"
