"""Error replies: each request is answered with an error of HTTP in the server's place, its health check too."""

from __future__ import annotations

from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.on_links import OnLinks, only_http
from colonnade.drill.faults.settings import numbers
from colonnade.drill.links.rule import LinkRule
from colonnade.drill.scenario import PlannedFault


def error_replies(planned: PlannedFault, around: Surroundings) -> Fault:
    """`status`: from 400 to 599."""
    status = int(numbers(planned, status=500)["status"])
    only_http(planned)
    return OnLinks(planned, around, LinkRule(http_error=status), f"answered {status} on")
