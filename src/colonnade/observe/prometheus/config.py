"""prometheus.yml: the dashboard's /metrics, and through its discovery each replica's own. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from colonnade.core.yaml_text import yaml_text
from colonnade.spec.units import duration_text

CONFIG_FILE = "prometheus.yml"
RULES_FILE = "colonnade.rules.yml"

SYSTEM_JOB, REPLICAS_JOB = "colonnade", "colonnade-replicas"

DISCOVERY_INTERVAL_S = 5.0
"""A replica that was replaced has another port: so long its successor is not seen."""

SAMPLES_MAX = 200_000
"""Of one scrape: ten times what 200 replicas give. Above, something is wrong, and Prometheus refuses the scrape."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A system as a Prometheus sees it: its name, and where its dashboard answers."""

    name: str
    address: str
    interval_s: float = 15.0


def config_text(watched: Watched) -> str:
    return yaml_text(
        prometheus_config(watched),
        f"Watches {watched.name} through its dashboard. To send alerts somewhere, add an `alerting` section:\n"
        "https://prometheus.io/docs/prometheus/latest/configuration/configuration/#alertmanager_config",
    )


def prometheus_config(watched: Watched) -> dict[str, Any]:
    """The label `system` keeps several systems apart in one Prometheus."""
    # The dashboard looks once a second: a scrape that takes longer than this finds it hanging.
    interval = duration_text(watched.interval_s)
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [RULES_FILE],
        "scrape_configs": [
            {
                "job_name": SYSTEM_JOB,
                "sample_limit": SAMPLES_MAX,
                "static_configs": [{"targets": [watched.address], "labels": {"system": watched.name}}],
            },
            {
                "job_name": REPLICAS_JOB,
                "sample_limit": SAMPLES_MAX,
                "http_sd_configs": [
                    {
                        "url": f"http://{watched.address}/sd",
                        "refresh_interval": duration_text(min(DISCOVERY_INTERVAL_S, watched.interval_s)),
                    }
                ],
                "relabel_configs": [{"target_label": "system", "replacement": watched.name}],
            },
        ],
    }
