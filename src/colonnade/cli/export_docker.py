"""`colonnade export docker`: the Dockerfile and what belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from colonnade.cli.messages import print_warning
from colonnade.core.errors import SpecError
from colonnade.deploy.docker.files import docker_files
from colonnade.deploy.docker.look import look_at, look_at_python
from colonnade.deploy.files import ExportedFile
from colonnade.spec.load import LoadedSpec
from colonnade.spec.place import path_inside

OUTPUT_DEFAULT = "docker"

BaseImageOption = Annotated[
    str, typer.Option("--base-image", metavar="IMAGE", help="An image with python3 and venv; pinned by its digest")
]
TagOption = Annotated[str, typer.Option("--tag", help="Of the application's image. Default: a digest of the code")]


def docker_export(loaded: LoadedSpec, output: Path | None, base_image: str) -> tuple[tuple[ExportedFile, ...], Path]:
    """The files and where they go, which a build must be able to see. Says what an image cannot keep."""
    root = loaded.directory.resolve()
    directory = (output if output is not None else root / OUTPUT_DEFAULT).resolve()
    place = path_inside(str(directory), str(root))
    if place is None or place == ".":
        raise SpecError(
            "a build sees what is below the directory of colonnade.toml, and these files need a directory there",
            subject=str(directory),
            hint=f"say --output {root / OUTPUT_DEFAULT}",
        )
    export = docker_files(loaded.spec, look_at(loaded), look_at_python(), place=place, base_image=base_image)
    for sentence in export.told:
        print_warning(sentence)
    return export.files, directory
