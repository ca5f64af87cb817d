"""What `export kubernetes` takes from a plan."""

from __future__ import annotations

from typing import Any

import pytest

from colonnade.cli.export_kubernetes import planned_cores
from colonnade.spec.model import Spec

WORK = {"web": {"service_time": "40ms"}}


def spec(**plan: Any) -> Spec:
    web = {"app": "a:b", "route": "/", "replicas": 2, "scaling": {"target_utilization": 0.5}}
    return Spec.model_validate({"services": {"web": web}, "plan": {"spares": 0, **plan}})


def test_a_replica_requests_what_the_planned_rate_keeps_busy() -> None:
    # 20 requests a second, of 40 ms of a processor each, keep 0.8 of one busy: by however many it is shared, half of
    # what they request, as autoscaling wants it.
    few = planned_cores(spec(rate=20, work=WORK), None)["web"]
    assert 0.8 / few / 0.5 == pytest.approx(round(0.8 / few / 0.5))


def test_without_a_rate_or_times_nothing_is_reckoned() -> None:
    assert planned_cores(spec(work=WORK), None) == {}
    assert planned_cores(spec(rate=20), None) == {}
