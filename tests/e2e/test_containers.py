"""The blog in real containers, on an engine of the test's own: `make test-docker`, which installs what it needs.

Not part of the ordinary run: making a base image and three images takes minutes. One system for all of the file.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .docker_engine import BASE, Engine, engine, missing, run

COLONNADE = [sys.executable, "-m", "colonnade.cli.main"]
SWITCH = "COLONNADE_TEST_DOCKER"
BYTES_OVER_BASE_MAX = 120_000_000
ROOT = Path(__file__).resolve().parents[2]

WHY_NOT = f"needs minutes, and {SWITCH}=1: `make test-docker`" if not os.environ.get(SWITCH) else missing()
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@dataclass(frozen=True, slots=True)
class Blog:
    """The blog behind its gateway in containers; `directory` has compose.yaml."""

    engine: Engine
    directory: Path
    port: int

    def ask(self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body.encode() or None, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def containers(self, service: str) -> list[str]:
        return self.engine.compose(self.directory, "ps", "-q", service).split()

    def scaled(self, service: str, count: int) -> None:
        self.engine.compose(
            self.directory, "up", "-d", "--no-recreate", "--no-deps", "--scale", f"{service}={count}", service
        )


@dataclass(slots=True)
class Visitors:
    """Visitors that read and write steadily. Writes have no idempotency key: none of them is ever sent twice."""

    blog: Blog
    answered: int = 0
    written: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Visitors:
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        self.wait_for_answers(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for_answers(self, count: int) -> None:
        wanted = self.answered + count
        eventually(lambda: self.answered >= wanted, f"{count} more answers; failures: {self.failures[:3]}")

    def _visit(self) -> None:
        while not self._is_over.is_set():
            title = f"written {uuid.uuid4()}"
            text = json.dumps({"title": title, "content": "in containers"})
            for method, path, body in (("GET", "/", ""), ("POST", "/api/posts", text), ("GET", "/api/posts", "")):
                try:
                    status, said = self.blog.ask(
                        method, path, body, {"Content-Type": "application/json"} if body else {}
                    )
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(f"{method} {path}: {type(error).__name__} {error}")
                    continue
                if status not in (200, 201):
                    self.failures.append(f"{method} {path}: {status} {said[:200]}")
                    continue
                self.answered += 1
                if body:
                    self.written.append(title)
            self._is_over.wait(0.02)


def eventually(condition: Callable[[], object], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Blog]:
    base = tmp_path_factory.mktemp("d")
    place, port = base / "blog", free_port()
    shutil.copytree(ROOT / "apps" / "blog", place, ignore=shutil.ignore_patterns(".colonnade", "__pycache__", ".env"))
    declaration = place / "colonnade.toml"
    declaration.write_text(declaration.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    with engine(base) as made:
        build(made, place)
        run([*COLONNADE, "export", "compose", "--tag", "t1"], made.env, directory=place, timeout_s=60)
        blog = Blog(made, place / "compose", port)
        made.compose(blog.directory, "up", "-d")
        eventually(lambda: serves(blog), "the blog")
        try:
            yield blog
        finally:
            made.compose(blog.directory, "down", "--volumes", "--timeout", "20")


def build(made: Engine, place: Path) -> None:
    argv = [*COLONNADE, "image", "build", "--base-image", BASE, "--tag", "t1"]
    if (config := Path("/etc/pip.conf")).exists():
        argv += ["--pip-config", str(config)]
    if (certificates := Path("/etc/ssl/certs/ca-certificates.crt")).exists():
        argv += ["--certificates", str(certificates)]
    run([*argv, "--", "--network", "host"], made.env, directory=place, timeout_s=600)


def serves(blog: Blog) -> bool:
    try:
        return blog.ask("GET", "/")[0] == 200 and blog.ask("GET", "/api/posts")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_the_application_adds_little_to_its_base(blog: Blog) -> None:
    sizes = {name: blog.engine.size_bytes(name) for name in listed(blog)}
    sys.stdout.write("".join(f"{name} {size / 1e6:.1f} MB\n" for name, size in sorted(sizes.items())))
    over = sizes["blog:t1"] - sizes[BASE]
    assert 0 < over <= BYTES_OVER_BASE_MAX


def listed(blog: Blog) -> list[str]:
    return blog.engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()


def test_no_secret_and_no_pip_configuration_is_in_an_image_or_in_what_a_container_shows(blog: Blog) -> None:
    password = (blog.directory / "secrets" / "database_password").read_text()
    images = blog.engine.docker("images", "-q").split()
    shown = blog.engine.docker("image", "inspect", *images) + blog.engine.docker("history", "--no-trunc", "blog:t1")
    shown += blog.engine.docker("inspect", *blog.engine.docker("ps", "-q").split())
    assert password not in shown
    # As root, who sees all of it.
    look = ["run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "find", "blog:t1", "/", "-xdev", "("]
    kept_out = (
        "pip.conf",
        "compose.yaml",
        "database_password",
        "Dockerfile",
        "colonnade.toml",
        ".colonnade-export.json",
    )
    names = [word for name in kept_out for word in ("-name", name, "-o")]
    assert blog.engine.docker(*look, *names[:-1], ")") == ""


@pytest.mark.parametrize("service", ["gateway", "frontend", "backend", "database"])
def test_every_container_is_read_only_and_not_root(blog: Blog, service: str) -> None:
    container = blog.containers(service)[0]
    assert blog.engine.docker("exec", container, "id", "-u") == "10001"
    tried = blog.engine.docker("exec", container, "sh", "-c", "touch /new 2>/dev/null || echo refused")
    assert tried == "refused"


def test_a_post_is_written_and_read_through_the_gateway(blog: Blog) -> None:
    text = json.dumps({"title": "From a container", "content": "Some *Markdown*."})
    status, _ = blog.ask("POST", "/api/posts", text, {"Content-Type": "application/json"})
    assert status == 201
    assert "From a container" in blog.ask("GET", "/")[1]


def test_docker_stop_under_load_loses_nothing(blog: Blog) -> None:
    with Visitors(blog) as visitors:
        for service in ("backend", "frontend"):
            leaving = blog.containers(service)[0]
            blog.engine.docker("stop", leaving)
            visitors.wait_for_answers(50)
            blog.engine.docker("start", leaving)
            visitors.wait_for_answers(50)
    assert visitors.failures == []
    missing = lost(blog, visitors)
    sys.stdout.write(f"{visitors.answered} answers, {len(visitors.written)} posts written, {len(missing)} lost\n")
    assert missing == []


def test_scaling_and_another_version_beside_the_old_one_lose_nothing(blog: Blog) -> None:
    """As docs/docker.md describes an update: new containers beside the old ones, then the old ones stopped."""
    old = blog.containers("backend")
    blog.engine.docker("tag", "blog:t1", "blog:t2")
    variables = blog.directory / ".env"
    with Visitors(blog) as visitors:
        variables.write_text(variables.read_text().replace("TAG=t1", "TAG=t2"))
        blog.scaled("backend", 2 * len(old))
        new = [one for one in blog.containers("backend") if one not in old]
        eventually(lambda: all(health(blog, one) == "healthy" for one in new), "the new containers")
        blog.engine.docker("stop", *old)
        blog.engine.docker("rm", *old)
        visitors.wait_for_answers(50)
    assert visitors.failures == []
    images = {blog.engine.docker("inspect", "--format", "{{.Config.Image}}", one) for one in blog.containers("backend")}
    assert (images, len(blog.containers("backend"))) == ({"blog:t2"}, len(old))


def test_data_outlives_the_containers(blog: Blog) -> None:
    before = blog.ask("GET", "/api/posts?page=1&per_page=5")[1]
    blog.engine.compose(blog.directory, "up", "-d", "--force-recreate", "--no-deps", "database")
    eventually(lambda: blog.ask("GET", "/api/posts")[0] == 200, "reads after the database's restart")
    assert blog.ask("GET", "/api/posts?page=1&per_page=5")[1] == before


def health(blog: Blog, container: str) -> str:
    return blog.engine.docker("inspect", "--format", "{{.State.Health.Status}}", container)


def lost(blog: Blog, visitors: Visitors) -> list[str]:
    """Titles that were acknowledged and are not there."""
    found: set[str] = set()
    for page in range(1, 1000):
        answer = json.loads(blog.ask("GET", f"/api/posts?page={page}&per_page=100")[1])
        found |= {post["title"] for post in answer["posts"]}
        if not answer["has_next"]:
            break
    return [title for title in visitors.written if title not in found]
