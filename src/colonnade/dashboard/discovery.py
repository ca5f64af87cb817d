"""Which replicas have metrics of their own, for Prometheus' HTTP service discovery.

Each replica is asked once in its life whether it answers GET /metrics with text that Prometheus reads: one that does
not would be shown as a target that is down.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ANSWER_S_MAX = 2.0

READABLE = ("text/plain", "application/openmetrics-text")


@dataclass(frozen=True, slots=True)
class Replica:
    """One life of a replica: its successor has another pid."""

    id: str
    service: str
    version: str
    pid: int
    port: int

    def target(self) -> dict[str, Any]:
        """As `http_sd_configs` wants it."""
        labels = {"service": self.service, "replica": self.id, "version": self.version}
        return {"targets": [f"127.0.0.1:{self.port}"], "labels": labels}


class Discovery:
    """Remembers who has metrics, as long as they live."""

    def __init__(self) -> None:
        self._has_metrics: dict[Replica, bool] = {}

    async def targets(self, status: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Each replica that is ready and has metrics as a target of its own."""
        ready = list(_ready(status))
        self._has_metrics = {replica: has for replica, has in self._has_metrics.items() if replica in ready}
        new = [replica for replica in ready if replica not in self._has_metrics]
        answers = await asyncio.gather(*(asyncio.to_thread(_has_metrics, replica.port) for replica in new))
        self._has_metrics |= {replica: has for replica, has in zip(new, answers, strict=True) if has is not None}
        return [replica.target() for replica in ready if self._has_metrics.get(replica)]


def _ready(status: Mapping[str, Any]) -> Iterator[Replica]:
    for service in status.get("services", ()):
        for seen in service["replicas"]:
            if seen["state"] == "ready" and seen["port"] is not None and seen["pid"] is not None:
                yield Replica(seen["id"], service["name"], str(seen["version"]), seen["pid"], seen["port"])


def _has_metrics(port: int) -> bool | None:
    """None when there is no answer: then it is asked again."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.status == 200 and answer.getheader("Content-Type", "").startswith(READABLE)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
