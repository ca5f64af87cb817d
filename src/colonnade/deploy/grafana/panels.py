"""Panels of a Grafana dashboard as plain data, by Grafana's own schema of dashboards. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 38
"""Of Grafana 10; newer ones read it as well."""

DATASOURCE = {"type": "prometheus", "uid": "${source}"}
"""What is chosen on top of the dashboard, so that it works beside other sources under whatever name."""

COLUMNS = 24
HEIGHT = 8
STAT_HEIGHT = 4

Look = Literal["timeseries", "stat", "table", "state-timeline"]


@dataclass(frozen=True, slots=True)
class Query:
    """`legend` in Grafana's form: `{{replica}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    """Grafana's name for it: reqps, s, percentunit, bytes, short."""
    look: Look = "timeseries"
    width: int = 12
    about: str = ""
    is_stacked: bool = False
    steps: tuple[tuple[float | None, str], ...] = ((None, "text"),)
    """Of a stat: from which value on it has which colour; the first from the beginning."""

    @property
    def height(self) -> int:
        return STAT_HEIGHT if self.look == "stat" else HEIGHT


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice on top of the dashboard: values of a label."""

    name: str
    query: str
    label: str
    has_all: bool = False


def dashboard(
    uid: str, title: str, about: str, variables: Sequence[Variable], panels: Sequence[Panel]
) -> dict[str, Any]:
    """The JSON model that Grafana imports; panels flow from left to right as they come."""
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["colonnade"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["colonnade"], "title": "Colonnade", "asDropdown": True}],
        "templating": {"list": [_source(), *map(_variable, variables)]},
        "annotations": {"list": [_deployments()]},
        "panels": list(_placed(panels)),
    }


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    placed, x, y, row_height = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        position = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        placed.append(_panel(number, panel, position))
        x, row_height = x + panel.width, max(row_height, panel.height)
    return placed


def _panel(number: int, panel: Panel, position: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.look,
        "title": panel.title,
        "description": panel.about,
        "gridPos": position,
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "datasource": DATASOURCE,
                # What is so now, and no row for each moment.
                **({"instant": True, "format": "table"} if panel.look == "table" else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
    }


def _field(panel: Panel) -> dict[str, Any]:
    steps = [{"value": value, "color": colour} for value, colour in panel.steps]
    field: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.look == "timeseries":
        stacking = {"mode": "normal" if panel.is_stacked else "none"}
        field |= {"min": 0, "custom": {"fillOpacity": 15, "lineWidth": 1, "showPoints": "never", "stacking": stacking}}
    return field


def _options(panel: Panel) -> dict[str, Any]:
    match panel.look:
        case "stat":
            return {"colorMode": "value", "reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "auto"}
        case "timeseries":
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case _:
            return {}


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus", "current": {}}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,  # whenever the time range changes: services come and go
        "includeAll": variable.has_all,
        "multi": variable.has_all,
        "current": {"text": "All", "value": "$__all"} if variable.has_all else {},
        "sort": 1,
    }


def _deployments() -> dict[str, Any]:
    return {
        "name": "Deployments",
        "enable": True,
        "iconColor": "blue",
        "datasource": DATASOURCE,
        "expr": 'changes(colonnade_deployed_version{system="$system"}[1m]) > 0',
        "step": "15s",
        "titleFormat": "Another version",
    }
