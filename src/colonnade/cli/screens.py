"""Tables of the system's state, from the status that the controller gave. Pure: data in, renderables out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

STATE_STYLES: Mapping[str, str] = {
    "ready": "green",
    "running": "green",
    "primary": "green",
    "standby": "green",
    "starting": "yellow",
    "draining": "yellow",
    "stopping": "yellow",
    "waiting": "red",
    "drained": "yellow",
    "down": "red",
}


def system_screen(status: Mapping[str, Any]) -> list[RenderableType]:
    """The whole system: a headline, its services and its database."""
    parts: list[RenderableType] = [headline(status), "", services_table(status["services"])]
    parts += scaling_lines(status["services"])
    if status.get("database"):
        parts += ["", database_headline(status["database"]), database_table(status["database"])]
    return parts


def headline(status: Mapping[str, Any]) -> str:
    style = "bold green" if status["phase"] == "running" else "bold yellow"
    text = (
        f"[bold]{escape(status['name'])}[/] [{style}]{status['phase']}[/] at [bold]{escape(status['url'])}[/]  "
        f"[dim]keeper {status['keeper_pid']} · controller {status['controller_pid']} · "
        f"gateway {status['gateway']['pid'] or '—'}[/]"
    )
    deployment = status.get("deployment")
    if deployment and deployment["is_open"]:
        done, count = len(deployment["done"]), len(deployment["services"])
        text += f"\n[bold yellow]{deployment['kind']}[/] to version {deployment['new']} is {deployment['stage']}"
        text += f" [dim]{done} of {count} services are through[/]"
    for problem in status["problems"]:
        text += f"\n[bold red]![/] {escape(problem)}"
    return text


def services_table(services: list[Mapping[str, Any]]) -> Table:
    table = _table("service", "replica", "state", "pid", "port", "restarts", "in flight", "requests", "gateway")
    for service in services:
        ready = sum(1 for replica in service["replicas"] if replica["state"] == "ready")
        label = f"[bold]{service['name']}[/] {ready}/{service['desired']} [dim]{service['route'] or 'internal'}[/]"
        for replica in service["replicas"]:
            table.add_row(
                label,
                replica["id"],
                _state("drained" if replica.get("is_drained") else replica["state"]),
                str(replica["pid"] or "—"),
                str(replica["port"] or "—"),
                str(replica["restarts"]),
                str(replica["in_flight"] if replica["in_flight"] is not None else "—"),
                str(replica["requests"]),
                str(replica["gateway"]),
            )
            label = ""
        if not service["replicas"]:
            table.add_row(label, "—", "", "", "", "", "", "", "")
    return table


def scaling_lines(services: list[Mapping[str, Any]]) -> list[str]:
    """Of each service that is scaled by itself: its bounds and the last decision."""
    return [
        f"[bold]{service['name']}[/] [dim]{about['mode']}, {about['min']}–{about['max']}:[/] {escape(about['message'])}"
        for service in services
        if (about := service.get("scaling", {})).get("mode", "fixed") != "fixed"
    ]


def database_headline(database: Mapping[str, Any]) -> str:
    if database.get("external"):
        return f"[bold]database[/] {escape(database['summary'])}"
    style = "green" if database["writable"] else "bold red"
    return f"[bold]database[/] [{style}]{escape(database['summary'])}[/]"


def database_table(database: Mapping[str, Any]) -> Table:
    table = _table("node", "role", "state", "pid", "port", "timeline", "lsn", "lag", "sync")
    for node in database.get("nodes", []):
        table.add_row(
            str(node["name"]),
            _state(str(node["role"])),
            str(node["state"]),
            str(node["pid"] or "—"),
            str(node["port"] or "—"),
            str(node["timeline"] or "—"),
            str(node["lsn"] or "—"),
            "—" if node["lag_bytes"] is None else f"{node['lag_bytes']} B",
            str(node["sync_state"] or "—"),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _state(state: str) -> str:
    return f"[{STATE_STYLES.get(state, 'default')}]{state}[/]"


def failover_lines(database: Mapping[str, Any]) -> list[str]:
    """How the last failover went, phase by phase; empty when there was none."""
    last = database.get("last_failover")
    if not last:
        return []
    phases = " · ".join(f"{name} {duration_s * 1000:.0f} ms" for name, duration_s in last["phases"].items())
    return [f"[dim]last failover[/] {escape(str(last['summary']))}", f"  {phases}"]


def backup_lines(database: Mapping[str, Any]) -> list[str]:
    """The latest backup and how far the archive is behind; empty when no backups are declared."""
    backup = database.get("backup")
    if not backup:
        return []
    waiting = backup["archive_pending_segments"]
    lag = (
        f"{waiting} pieces of WAL wait, the oldest for {backup['archive_pending_s']:.0f} s" if waiting else "up to date"
    )
    lines = [f"[dim]backups[/] {backup['count']}, {escape(str(backup['message']))} · archive {lag}"]
    if backup["archive_trouble"]:
        lines.append(f"[bold red]![/] {escape(str(backup['archive_trouble']))}")
    return lines
