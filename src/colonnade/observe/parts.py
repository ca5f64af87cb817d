"""Which processes the system has, by the status; and what they use, as samples. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from colonnade.core.usage import Usage
from colonnade.observe.sample import Sample

SEPARATOR = " "
"""Between part and instance in a name; neither has a blank."""


def parts_of(status: Mapping[str, Any]) -> dict[int, str]:
    """Pids of all parts that run, each with `part instance`: `replica backend/3`, `database a`, `keeper keeper`."""
    found = {
        status["keeper_pid"]: "keeper keeper",
        status["controller_pid"]: "controller controller",
        (status.get("gateway") or {}).get("pid"): "gateway gateway",
        (status.get("dbgate") or {}).get("pid"): "dbgate dbgate",
        (status.get("dashboard") or {}).get("pid"): "dashboard dashboard",
        (status.get("prometheus") or {}).get("pid"): "prometheus prometheus",
    }
    for service in status.get("services", ()):
        found |= {replica["pid"]: f"replica {replica['id']}" for replica in service["replicas"]}
    for node in (status.get("database") or {}).get("nodes", ()):
        found[node["pid"]] = f"database {node['name']}"
    return {pid: name for pid, name in found.items() if pid}


def usage_samples(used: Mapping[str, Usage]) -> Iterator[Sample]:
    for name, usage in used.items():
        part, _, instance = name.partition(SEPARATOR)
        labels = (("part", part), ("instance", instance))
        yield Sample("colonnade_process_cpu_seconds_total", labels, usage.cpu_s)
        yield Sample("colonnade_process_resident_memory_bytes", labels, float(usage.resident_bytes))
        yield Sample("colonnade_process_threads", labels, float(usage.threads))
        yield Sample("colonnade_process_start_time_seconds", labels, usage.started_at_s)
