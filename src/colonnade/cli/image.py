"""`colonnade image build`: the application's image, and those of its gateway and its database, by Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from colonnade.cli.export import ForceOption, declared, deliver
from colonnade.cli.export_docker import BaseImageOption, TagOption, docker_export
from colonnade.cli.messages import out
from colonnade.cli.options import FileOption
from colonnade.core.errors import DriverError, HostError
from colonnade.deploy.docker.build import build_argv, images_of
from colonnade.deploy.docker.look import look_at, look_at_python

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has a single command."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def build(
    context: typer.Context,
    file: FileOption = None,
    base_image: BaseImageOption = "",
    tag: TagOption = "",
    pip_config: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, help="pip's configuration while it installs")
    ] = None,
    certificates: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, help="Certificates to trust while pip installs")
    ] = None,
    is_forced: ForceOption = False,
) -> None:
    """Write the Dockerfile and build what it says; further options, such as --network host, are Docker's."""
    docker = shutil.which("docker")
    if docker is None:
        raise HostError("there is no docker here", subject="docker", hint="install Docker, or build elsewhere")
    loaded = declared(file)
    files, directory = docker_export(loaded, None, base_image)
    deliver("docker", files, directory, is_forced=is_forced)
    found, python = look_at(loaded, tag), look_at_python()
    for image in images_of(loaded.spec, found.tag, python):
        argv = build_argv(
            docker, image, directory / "Dockerfile", loaded.directory, pip_config, certificates, context.args
        )
        # 20.10 has BuildKit but does not use it unless asked; later ones know no other builder.
        done = subprocess.run(argv, env={**os.environ, "DOCKER_BUILDKIT": "1"}, check=False)
        if done.returncode != 0:
            raise DriverError(f"{image.name} was not built", subject="docker", hint="the reason stands above")
    for image in images_of(loaded.spec, found.tag, python):
        out.print(f"[green]built[/] {escape(image.name)}")
