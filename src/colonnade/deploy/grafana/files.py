"""`export grafana`: dashboards, and the provisioning by which a Grafana that starts finds them. Pure."""

from __future__ import annotations

import json

from colonnade.core.yaml_text import yaml_text
from colonnade.deploy.files import ExportedFile
from colonnade.deploy.grafana.dashboards import dashboards

SOURCE = "Colonnade"


def grafana_files(prometheus_url: str, dashboards_path: str) -> tuple[ExportedFile, ...]:
    """`dashboards_path`: where Grafana will find the dashboards' files."""
    source = {
        "apiVersion": 1,
        "datasources": [
            {"name": SOURCE, "uid": "colonnade", "type": "prometheus", "access": "proxy", "url": prometheus_url}
        ],
    }
    provider = {
        "apiVersion": 1,
        "providers": [
            {
                "name": SOURCE,
                "folder": SOURCE,
                "type": "file",
                "allowUiUpdates": True,
                "options": {"path": dashboards_path},
            }
        ],
    }
    return (
        ExportedFile("provisioning/datasources/colonnade.yml", yaml_text(source, "The Prometheus that watches it.")),
        ExportedFile("provisioning/dashboards/colonnade.yml", yaml_text(provider, "Where the dashboards are.")),
        *(
            ExportedFile(f"dashboards/{each['uid']}.json", json.dumps(each, indent=2, ensure_ascii=False) + "\n")
            for each in dashboards()
        ),
    )
