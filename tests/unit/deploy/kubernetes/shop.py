"""The declaration with every feature, deployed to the test's own API server."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

from tests.unit.deploy.kubernetes.kit import every_feature, exported

from colonnade.deploy.kubernetes import deploying
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.objects import Object, objects_of
from colonnade.deploy.kubernetes.settings import Settings
from colonnade.deploy.kubernetes.waiting import Pace


def pace(told: list[str] | None = None) -> Pace:
    now = [0.0]

    def sleep(duration_s: float) -> None:
        now[0] += duration_s

    return Pace(lambda: now[0], sleep, (told if told is not None else []).append)


def wanted(image: str = "shop:1", data: dict[str, Any] | None = None) -> list[Object]:
    return copy.deepcopy(_wanted(image, json.dumps(data or every_feature())))


@cache
def _wanted(image: str, data: str) -> list[Object]:
    """Reading manifests takes most of a test's time."""
    return objects_of(exported(json.loads(data), Settings(image, "gateway:1", "shop")), "shop", ())


def plan(cluster: Cluster, image: str = "shop:1", data: dict[str, Any] | None = None) -> deploying.Plan:
    return deploying.plan(cluster, "shop", wanted(image, data))


def deploy(
    cluster: Cluster,
    image: str = "shop:1",
    *,
    data: dict[str, Any] | None = None,
    planned: deploying.Plan | None = None,
    told: list[str] | None = None,
) -> deploying.Plan:
    planned = planned or plan(cluster, image, data)
    deploying.deploy(cluster, "shop", planned, pace(told))
    return planned
