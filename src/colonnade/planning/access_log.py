"""Lines of access logs: when a request came, and as far as the line says, what it asked for and how long it took. Pure.

Understood are the common and combined formats (Apache, nginx, gunicorn, Granian), with nginx's `$request_time` behind
them where it is there; HAProxy's HTTP log; and JSON lines (Caddy, Traefik, most log libraries). Times in a log are
response times of a system under load: they say what visitors saw, never how long the work takes.
Read next: `profile`, which makes a load of many lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MOMENT_FIELDS = ("ts", "time", "timestamp", "@timestamp", "StartUTC", "start_time", "time_iso8601")
"""Names of the moment in JSON lines, in the order in which they are looked for."""

TOOK_FIELDS: Mapping[str, float] = {
    "duration": 1.0,  # Caddy
    "request_time": 1.0,  # nginx
    "elapsed": 1.0,
    "duration_s": 1.0,
    "duration_ms": 1e-3,
    "elapsed_ms": 1e-3,
    "latency_ms": 1e-3,
    "took_ms": 1e-3,
    "Duration": 1e-9,  # Traefik
}
"""Names of how long it took, with their unit in seconds."""

_MOMENT = r"\[(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2})(?:\.(\d{3}))?(?: ([+-]\d{4}))?\]"
_COMMON = re.compile(_MOMENT)
_REQUEST = re.compile(r'"([A-Z]{3,10}) (\S+)(?: HTTP/[\d.]+)?"(?: (\d{3}))?')
_TOOK_BEHIND = re.compile(r'" (?:rt=)?(\d+\.\d+)(?:\s|$)')
_HAPROXY = re.compile(r"(-?\d+)/(-?\d+)/(-?\d+)/(-?\d+)/\+?(-?\d+) (\d{3}|-1) ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of a log; what the line does not say is None or empty."""

    moment_s: float
    """Since the epoch."""
    took_s: float | None = None
    status: int | None = None
    method: str = ""
    path: str = ""
    """Without its query."""


def entry_of(line: str) -> Entry | None:
    """What the line says; None for a line without a moment."""
    return _of_json(line) if line.startswith("{") else _of_text(line)


def moment_of(line: str) -> float | None:
    """When the request of this line was made; None for a line in another format."""
    if line.startswith("{"):
        fields = _fields(line)
        return None if fields is None else _moment_in(fields)
    match = _COMMON.search(line)
    return None if match is None else _moment(match)


def _of_text(line: str) -> Entry | None:
    match = _COMMON.search(line)
    moment_s = None if match is None else _moment(match)
    if match is None or moment_s is None:
        return None
    rest = line[match.end() :]
    request = _REQUEST.search(rest)
    method, path, status = request.groups() if request else ("", "", None)
    took_s = None
    timers = _HAPROXY.search(rest)
    behind = _TOOK_BEHIND.search(rest)
    if timers is not None:
        # TR/Tw/Tc/Tr/Ta in milliseconds; Ta is all of it, from the first byte of the request.
        took_s = max(0, int(timers[5])) / 1000
        status = timers[6] if timers[6] != "-1" else None
    elif behind is not None:
        took_s = float(behind[1])
    return Entry(moment_s, took_s, int(status) if status else None, method, path.partition("?")[0])


def _moment(match: re.Match[str]) -> float | None:
    """A log without an offset is in local time, which for a shape does not matter: it is taken for UTC."""
    try:
        at = datetime.strptime(match[1] + (match[3] or "+0000"), "%d/%b/%Y:%H:%M:%S%z")
    except ValueError:
        return None
    return at.timestamp() + int(match[2] or 0) / 1000


def _of_json(line: str) -> Entry | None:
    fields = _fields(line)
    moment_s = None if fields is None else _moment_in(fields)
    if fields is None or moment_s is None:
        return None
    took_s = next((_number(fields[name]) for name in TOOK_FIELDS if name in fields), None)
    unit = next((unit for name, unit in TOOK_FIELDS.items() if name in fields), 1.0)
    request = fields.get("request")
    inner = request if isinstance(request, dict) else {}
    status = _first(fields, "status", "DownstreamStatus", "status_code")
    return Entry(
        moment_s,
        None if took_s is None else took_s * unit,
        int(status) if isinstance(status, int | float) or (isinstance(status, str) and status.isdecimal()) else None,
        str(_first({**fields, **inner}, "method", "RequestMethod", "request_method") or ""),
        str(_first({**fields, **inner}, "uri", "path", "RequestPath", "request_uri", "url") or "").partition("?")[0],
    )


def _fields(line: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _moment_in(fields: Mapping[str, Any]) -> float | None:
    value = next((fields[name] for name in MOMENT_FIELDS if name in fields), None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _in_seconds(float(value))
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _in_seconds(value: float) -> float:
    """Some libraries count milliseconds: as seconds such a number would lie tens of thousands of years ahead."""
    return value / 1e3 if value > 1e11 else value


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if name in fields), None)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
