"""services.json: how the entry program starts each service of an image. Pure.

No environment is in it: what is in an image can be read by whoever gets it.
"""

from __future__ import annotations

import json
import posixpath
from typing import Any

from colonnade.core.errors import SpecError
from colonnade.runtime.launch import granian_options
from colonnade.spec.model import ServiceSpec, Spec
from colonnade.spec.place import path_inside
from colonnade.spec.syntax import command_words

CODE = "/app"
"""Where the declaration's directory is in an image."""


def services_json(spec: Spec) -> str:
    services = {name: _service(name, service) for name, service in spec.services.items()}
    return json.dumps(services, indent=2) + "\n"


def directory_in_image(name: str, service: ServiceSpec) -> str:
    """The working directory of a service. Raises SpecError for one that no image can have."""
    place = posixpath.normpath(posixpath.join(CODE, service.path))
    if path_inside(place, CODE) is None:
        raise SpecError(
            f'"{service.path}" leads out of the directory of colonnade.toml, which is what an image holds',
            subject=f"services.{name}.path",
            hint="move colonnade.toml up, to a directory that holds all of the code",
        )
    return place


def _service(name: str, service: ServiceSpec) -> dict[str, Any]:
    return {
        "directory": directory_in_image(name, service),
        "app": service.app,
        "kind": service.kind,
        "command": command_words(service.command),
        "options": {kind: granian_options(kind, service) for kind in ("wsgi", "asgi")} if service.app else {},
        "release": command_words(service.release),
        "release_s": service.release_timeout_s,
        "health": service.health.path,
        "stop_timeout_s": service.stop_timeout_s,
        "memory_bytes_max": service.memory_bytes_max,
        # HAProxy sends whoever has its cookie to a draining server all the same (gateway/config.py).
        "farewell": "maint" if service.affinity == "cookie" else "drain",
    }
