"""Stretches of load as they might have gone."""

from __future__ import annotations

from colonnade.drill.calibration.shot import Shot

CALM = Shot(
    rate_per_s=100.0,
    latencies_s=(0.01,),
    ok_rate=100.0,
    failed_share=0.0,
    cpu_s={"web": 0.002},
    generator_cpu_s=0.0005,
    others_share=0.04,
    lag_p99_s=0.002,
)
