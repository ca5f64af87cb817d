"""How long replicas take now. HAProxy's own mean is of the last 1,024 answers: one that becomes slow shows in it only
after a while. The gateway's counts tell it within a look or two. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from colonnade.dashboard.web.looks import Look
from colonnade.system.slowness import answers_between

ANSWERS_MIN = 8
"""From which on they say something."""

SHARE = 0.75
"""Of the answers began within the time that is told, and not half: what a replica answered before it became slow, a
moment ago, is among them."""


def recent_ms(looks: Sequence[Look]) -> dict[str, float]:
    """By replica, as of the last of these looks at one gateway: milliseconds until answers begin, over the shortest
    span in which there were enough of them. A replica that gave too few is missing."""
    if not looks:
        return {}
    *earlier, now = looks
    found: dict[str, float] = {}
    for look in reversed(earlier):
        for name, answers in answers_between(look.measurements, now.measurements).items():
            if name not in found and answers.total() >= ANSWERS_MIN:
                found[name] = 1000 * (answers.quantile_s(SHARE) or 0.0)
    return found
