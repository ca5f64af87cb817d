"""A deployment: from one version of the whole system to another, service by service, or back. The data, the table of
stages, what is on disk of it, and the declaration that counts in the middle of one. Pure, but for the two functions
at the end that read and write the record.

Services go one after the other, used ones before those that use them. Until the last of them is through, everything
can be undone and is, in reverse, when one fails. `deployer.py` does it; how one service rolls is the runtime's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from colonnade.core.errors import HostError
from colonnade.core.files import read_json, write_json_durably
from colonnade.core.transitions import edge
from colonnade.gateway.pools import slots_for
from colonnade.spec.derive import used_services
from colonnade.spec.load import LoadedSpec
from colonnade.spec.model import ServiceSpec, Spec
from colonnade.system.paths import StatePaths


class DeployStage(Enum):
    RELEASING = "releasing"
    """The applications are looked at, then the release commands run. Nothing that runs was touched."""
    ROLLING = "rolling"
    """Service by service becomes the new version."""
    SWITCHING = "switching"
    """All are new: the new version is the one that counts, numbers of replicas follow, services that are gone end."""
    UNDOING = "undoing"
    """One failed: those that were new become the old version again."""
    DONE = "done"
    UNDONE = "undone"
    REFUSED = "refused"
    """It ended before anything was changed."""


EDGES: Mapping[tuple[DeployStage, DeployStage], str] = {
    (DeployStage.RELEASING, DeployStage.ROLLING): "the release commands are done",
    (DeployStage.RELEASING, DeployStage.REFUSED): "an application cannot be imported, or a release command failed",
    (DeployStage.ROLLING, DeployStage.SWITCHING): "every service is new",
    (DeployStage.ROLLING, DeployStage.UNDOING): "one service could not become new, or the gateway refused its text",
    (DeployStage.SWITCHING, DeployStage.DONE): "everything is as declared",
    (DeployStage.UNDOING, DeployStage.UNDONE): "every service is old again",
}

ENDED = frozenset({DeployStage.DONE, DeployStage.UNDONE, DeployStage.REFUSED})


@dataclass(frozen=True, slots=True)
class Deployment:
    """On disk before it is acted on, so that a controller that dies is followed by one that goes on with it."""

    number: int
    """Counts deployments: whoever asked for this one finds out by it how it ended."""
    kind: str
    """deploy or rollback."""
    old: int
    new: int
    services: tuple[str, ...]
    """Those that become new, in this order; added ones among them."""
    code: Mapping[str, int]
    """By service, the version of the code that it ran before."""
    stage: DeployStage = DeployStage.RELEASING
    at: str = ""
    """The service that is on its way."""
    done: tuple[str, ...] = ()
    """Those that are through."""
    message: str = ""
    """What it changes; once it has failed, why."""
    lives: int = 0
    """How many controllers ended in the middle of it."""

    @property
    def is_open(self) -> bool:
        return self.stage not in ENDED

    def as_json(self) -> dict[str, Any]:
        """For `status`, and for whoever waits for its end."""
        return {
            "number": self.number,
            "kind": self.kind,
            "old": self.old,
            "new": self.new,
            "stage": self.stage.value,
            "is_open": self.is_open,
            "services": list(self.services),
            "at": self.at,
            "done": list(self.done),
            "message": self.message,
        }

    def entering(self, stage: DeployStage, message: str = "") -> Deployment:
        """Raises IllegalTransition for a way that is not in EDGES."""
        edge(EDGES, self.stage, stage, subject="deployment")
        return replace(self, stage=stage, message=message or self.message)


def in_order(spec: Spec) -> list[str]:
    """Every service, used ones before those that use them; otherwise as the file has them."""
    found: list[str] = []

    def visit(name: str) -> None:
        if name in found or name not in spec.services:
            return
        for used in used_services(spec.services[name]):
            visit(used)
        found.append(name)

    for name in spec.services:
        visit(name)
    return found


def meanwhile(old: LoadedSpec, new: LoadedSpec, deployment: Deployment) -> LoadedSpec:
    """The declaration that counts in the middle of a deployment, for the gateway and for whoever asks: of each service
    what fits all of its replicas, whichever version they are."""
    is_switching = deployment.stage is DeployStage.SWITCHING
    services: dict[str, ServiceSpec] = {}
    for name in [*old.spec.services, *(name for name in new.spec.services if name not in old.spec.services)]:
        before, after = old.spec.services.get(name), new.spec.services.get(name)
        is_through = name in deployment.done or is_switching
        if after is None and before is not None:
            # Nobody new comes to a service that is about to end; who is in it finishes.
            services[name] = _without_route(before) if is_switching else before
        elif before is None and after is not None:
            if is_through or name == deployment.at:
                services[name] = after if is_through else _without_route(after)
        elif before is not None and after is not None:
            services[name] = _roomy(after, before) if is_through else before
            if name == deployment.at and not is_through:
                services[name] = _narrow(before, after)
    base = new if is_switching else old
    return replace(base, spec=base.spec.model_copy(update={"services": services}))


def _without_route(service: ServiceSpec) -> ServiceSpec:
    return service.model_copy(update={"route": ""})


def _narrow(before: ServiceSpec, after: ServiceSpec) -> ServiceSpec:
    """As before, but no replica of either version is sent more than it can serve at once."""
    least = {key: min(getattr(before, key), getattr(after, key)) for key in ("threads", "streams_max")}
    return before.model_copy(update=least)


def _roomy(after: ServiceSpec, before: ServiceSpec) -> ServiceSpec:
    """As after, but with slots for as many replicas as there may be until the numbers have followed."""
    if slots_for(after) >= slots_for(before):
        return after
    return after.model_copy(update={"replicas": before.replicas, "weights": before.weights})


def write_deployment(paths: StatePaths, deployment: Deployment) -> None:
    write_json_durably(
        paths.deployment,
        {
            "number": deployment.number,
            "kind": deployment.kind,
            "old": deployment.old,
            "new": deployment.new,
            "services": list(deployment.services),
            "code": dict(deployment.code),
            "stage": deployment.stage.value,
            "at": deployment.at,
            "done": list(deployment.done),
            "message": deployment.message,
            "lives": deployment.lives,
        },
        mode=0o600,
    )


def read_deployment(paths: StatePaths) -> Deployment | None:
    """The last one, open or ended; None when there was none since the system came up."""
    value: dict[str, Any] | None = read_json(paths.deployment)
    if value is None:
        return None
    try:
        return Deployment(
            value["number"],
            value["kind"],
            value["old"],
            value["new"],
            tuple(value["services"]),
            value["code"],
            DeployStage(value["stage"]),
            value["at"],
            tuple(value["done"]),
            value["message"],
            value["lives"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HostError(
            f"is not a record of ours ({error})",
            subject=str(paths.deployment),
            hint="run `colonnade down --force`, then `colonnade up`",
        ) from error
