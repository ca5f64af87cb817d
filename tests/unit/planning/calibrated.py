"""A calibration as somebody might have made it: three routes of two services, and two loads verified."""

from __future__ import annotations

from dataclasses import replace

from colonnade.planning.by_routes import Seen
from colonnade.planning.calibration import VISITORS, Calibration, Contention, RouteCost, Verified
from colonnade.planning.scalability import Interval
from colonnade.spec.model import Spec

SPEC = Spec.model_validate(
    {
        "services": {
            "web": {"app": "m:a", "route": "/", "uses": ["api"], "replicas": 2},
            "api": {"app": "m:b", "route": "/api", "uses": ["database"], "replicas": 3},
        },
        "database": {},
    }
)


def route(name: str, entry: str, mean_s: float, weight: float = 1.0, **cpu_s: float) -> RouteCost:
    kind = "write" if name.startswith("POST") else "read"
    visitors = cpu_s.pop("visitors", 0.0005)
    costs = {**cpu_s, VISITORS: visitors}
    return RouteCost(name, kind, weight, 500, 5.0, mean_s, 0.2, costs, entry)


PAGE = route("GET /", "web", 0.012, 3.0, gateway=0.0002, web=0.004, api=0.003, database=0.001)
READ = route("GET /api", "api", 0.006, 1.0, gateway=0.0001, api=0.003, database=0.001, web=0.0)
WRITE = route("POST /api", "api", 0.020, 1.0, gateway=0.0001, api=0.004, database=0.002)
ROUTES = (PAGE, READ, WRITE)


def calibration() -> Calibration:
    measured = {"mean": 0.02, "p50": 0.015, "p95": 0.05, "p99": 0.09}
    return Calibration(
        at="2025-10-10 12:00",
        machine="2 cores",
        cores=2,
        background_cores=0.1,
        write_share=0.2,
        routes=(replace(PAGE, capacity_per_s=200.0, seen=(Seen(0.02, 0.0125, (0.012, 0.013)),)), READ, WRITE),
        memory_bytes={"web": 50_000_000},
        contention=Contention(
            ((1.0, 100.0), (2.0, 180.0)), Interval(100, 90, 110), None, Interval(0.0, 0.0, 0.0), None
        ),
        capacity_predicted=210.0,
        capacity_measured=200.0,
        verified=(
            Verified(
                100.0, 0.5, 99.0, measured, {**measured, "mean": 0.022}, None, 0.0, routes={**measured, "mean": 0.019}
            ),
            Verified(300.0, 1.4, 200.0, measured, None, None, 0.3, "too busy"),
        ),
        notes=("reads only",),
        doubt="others used 31% of the machine",
    )
