"""How many replicas a service has in a cluster: what `scale` says, and how a deployment lets that be, and what an
autoscaler has set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.core.errors import DriverUnavailable, SpecError
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.objects import BOUNDS, SCALED, Object, bounds_chosen

SCALER = "HorizontalPodAutoscaler"


@dataclass(frozen=True, slots=True)
class Room:
    """Of a service, as colonnade.toml has it."""

    slots: int
    """To more replicas the gateways do not send."""
    declared: int


def scale(cluster: Cluster, service: str, replicas: int | None, room: Room) -> str:
    """A number, or None for `auto`. Raises SpecError for what cannot be, DriverUnavailable when somebody else scales it
    at the same moment. Returns what was done."""
    if replicas is not None and replicas > room.slots:
        raise SpecError(
            f"the gateways send to {room.slots} replicas at most, and {replicas} were asked for",
            subject=service,
            hint="raise `replicas` in colonnade.toml and deploy: that makes more room",
        )
    scaler = cluster.get(SCALER, service)
    if scaler is None:
        return _scale_deployment(cluster, service, replicas, room.declared)
    bounds = bounds_chosen(scaler)
    if replicas is None:
        low, _, high = bounds.partition("-")
        _set(cluster, SCALER, scaler, {BOUNDS: None}, {"minReplicas": int(low), "maxReplicas": int(high)})
        return f"{service} → by its load, {low} to {high}"
    if replicas < 1:
        raise SpecError("a HorizontalPodAutoscaler keeps one at least", subject=service, hint="say a number from 1 on")
    _set(cluster, SCALER, scaler, {BOUNDS: bounds}, {"minReplicas": replicas, "maxReplicas": replicas})
    return f"{service} → {replicas}, until `{service}=auto`"


def _scale_deployment(cluster: Cluster, service: str, replicas: int | None, declared: int) -> str:
    deployment = cluster.get("Deployment", service)
    if deployment is None:
        raise SpecError("there is no such service in the cluster", subject=service, hint="see `colonnade status`")
    if replicas is None and SCALED not in _annotations(deployment):
        raise SpecError("has no bounds to scale between", subject=service, hint="say replicas = { min = 2, max = 8 }")
    count = declared if replicas is None else replicas
    _set(cluster, "Deployment", deployment, {SCALED: None if replicas is None else str(count)}, {"replicas": count})
    return f"{service} → {count}, " + ("as declared" if replicas is None else f"until `{service}=auto`")


def _set(
    cluster: Cluster, kind: str, seen: Object, annotations: Mapping[str, str | None], spec: Mapping[str, int]
) -> None:
    """Only on numbers that are as they were `seen`: what somebody else has said since is not overwritten."""
    name = seen["metadata"]["name"]

    def write(live: Object) -> None:
        if _numbers(live, spec) != _numbers(seen, spec):
            said = ", ".join(f"{key} {value}" for key, value in _numbers(live, spec).items())
            raise DriverUnavailable(
                f"somebody else has scaled it at the same moment: {said}",
                subject=name,
                hint="`colonnade status --to kubernetes` shows what there is now; then say it again",
            )
        cluster.merge(kind, name, {"metadata": {"annotations": annotations}, "spec": spec}, based_on=live)

    cluster.on_newest(kind, name, write)


def _numbers(found: Object, spec: Mapping[str, int]) -> dict[str, Any]:
    return {key: found["spec"].get(key) for key in spec}


def _annotations(found: Object) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object as a deployment applies it."""

    applied: Object
    leaves_replicas: bool = False
    """A Deployment of which somebody else says how many replicas it has: it is applied without a number."""
    kept: str = ""
    """What `scale` has said and stays, for people."""

    def tried(self, live: Object) -> Object:
        """What is applied to see what would change."""
        return _numbered(self.applied, live["spec"].get("replicas", 1)) if self.leaves_replicas else self.applied


def with_numbers_kept(wanted: Sequence[Object], live: Mapping[tuple[str, str], Object]) -> list[Wanted]:
    """`live`: what is there, by kind and name. Pure."""
    lowest = {each["metadata"]["name"]: each["spec"]["minReplicas"] for each in wanted if each["kind"] == SCALER}
    return [_kept(each, live.get((each["kind"], each["metadata"]["name"])), lowest) for each in wanted]


def _kept(wanted: Object, live: Object | None, lowest: Mapping[str, int]) -> Wanted:
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    if kind == "Deployment" and name in lowest:
        return Wanted(_numbered(wanted, lowest[name])) if live is None else Wanted(wanted, leaves_replicas=True)
    if kind == "Deployment" and live is not None and SCALED in _annotations(live):
        spec = {key: value for key, value in wanted["spec"].items() if key != "replicas"}
        said = _annotations(live)[SCALED]
        left = _annotated({**wanted, "spec": spec}, {SCALED: said})
        return Wanted(left, leaves_replicas=True, kept=_told(name, said, str(wanted["spec"]["replicas"])))
    if kind == SCALER and live is not None and BOUNDS in _annotations(live):
        bounds = f"{wanted['spec']['minReplicas']}-{wanted['spec']['maxReplicas']}"
        pinned = {key: live["spec"][key] for key in ("minReplicas", "maxReplicas")}
        held = _annotated({**wanted, "spec": {**wanted["spec"], **pinned}}, {BOUNDS: bounds})
        return Wanted(held, kept=_told(name, str(pinned["minReplicas"]), bounds))
    return Wanted(wanted)


def _told(service: str, said: str, declared: str) -> str:
    kept = f"{service} keeps {said} replicas, as `colonnade scale` has said (colonnade.toml: {declared})"
    return f"{kept}; `colonnade scale --to kubernetes {service}=auto` lets it go"


def _numbered(found: Object, replicas: int) -> Object:
    return {**found, "spec": {**found["spec"], "replicas": replicas}}


def _annotated(found: Object, more: Mapping[str, str]) -> Object:
    metadata = found["metadata"]
    return {**found, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **more}}}
