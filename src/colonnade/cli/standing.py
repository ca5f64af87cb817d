"""Objectives and alerts as `status` shows them: as the dashboard told them last, read from its history.

The dashboard reckons them, so the controller is spared it; a system without one has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape

from colonnade.core.errors import HostError
from colonnade.system.paths import StatePaths


def standing_of(paths: StatePaths) -> dict[str, Any]:
    """`slo` and `alerts` as the dashboard told them last, for `status`; empty lists where nothing is known."""
    if not paths.history.exists():
        return {"slo": [], "alerts": []}
    from colonnade.observe.history.reader import read_history

    found: dict[str, Any] = {"slo": [], "alerts": []}
    try:
        with read_history(paths.history) as history:
            for topic in found:
                told = history.said(topic) if history is not None else None
                found[topic] = told[1] if told is not None else []
    except HostError as error:
        return {**found, "history_trouble": str(error)}
    return found


def standing_lines(standing: Mapping[str, Any]) -> Iterator[str]:
    """For `status`: alerts that fire, and budgets."""
    for alert in standing["alerts"]:
        if alert["state"] == "firing":
            yield f"[bold red]![/] {alert['severity']} [bold]{alert['rule']}[/] {escape(alert['sentence'])}"
    for each in standing["slo"]:
        yield (
            f"[bold]{each['service']}[/] [dim]{each['objective']}:[/] {share_text(each['good_ratio'])} kept of "
            f"{each['target'] * 100:.6g} %, {budget_text(each['budget_left_ratio'])} of the budget left"
        )


def budget_text(left: float | None) -> str:
    if left is None:
        return "—"
    style = "red" if left < 0.1 else "yellow" if left < 0.5 else "green"
    return f"[{style}]{max(left, -99.99) * 100:.1f} %[/]"


def share_text(ratio: float | None) -> str:
    return "—" if ratio is None else f"{ratio * 100:.4f} %"
