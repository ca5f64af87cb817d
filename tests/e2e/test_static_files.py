"""Static files on a real system: served beside the application, with a time to keep them, and nothing else."""

from __future__ import annotations

import http.client
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import Answer, Runner

pytestmark = pytest.mark.slow

DECLARED = """
[services.web]
app = "tiny:app"
path = "web"
route = "/shop"
replicas = 2
static = { "/shop/static" = "static", "/shop/static/admin" = "../admin", "/shop/media" = "MEDIA" }
static_max_age = "90s"

[services.web.rollout]
canary_time = 0
"""

FILES = {
    "web/static/site.css": "body { color: black }",
    "web/static/img/logo.svg": "<svg/>",
    "web/static/admin/hidden.css": "never: the longer route has its own directory",
    "web/secret.txt": "secret",
    "web/static-old/x.txt": "secret",
    "admin/admin.css": "admin",
}


@pytest.fixture(scope="module")
def shop(make_work_dir: Callable[[], Path], free_port: Callable[[], int]) -> Iterator[Runner]:
    directory = make_work_dir()
    runner = Runner(directory, free_port())
    media = make_work_dir()
    (media / "photo.svg").write_text("one")
    runner.declare(DECLARED.replace("MEDIA", str(media)))
    (directory / "web").mkdir()
    (directory / "tiny.py").rename(directory / "web/tiny.py")
    for name, content in FILES.items():
        runner.write(name, content)
    (directory / "web/static/inside.css").symlink_to("site.css")
    (directory / "web/static/outside.txt").symlink_to("../secret.txt")
    (directory / "web/static/everything").symlink_to("/etc")
    runner.up()
    yield runner
    runner.finish()


def ask(shop: Runner, path: str, method: str = "GET") -> Answer:
    """`path` as it is: no client of ours makes it nicer on the way."""
    connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.getheaders()))
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/shop/static/site.css", "text/css", FILES["web/static/site.css"]),
        ("/shop/static/img/logo.svg", "image/svg+xml", "<svg/>"),
        ("/shop/static/site.css?v=2", "text/css", FILES["web/static/site.css"]),
        ("/shop/static/inside.css", "text/css", FILES["web/static/site.css"]),
        ("/shop/static/admin/admin.css", "text/css", "admin"),
    ],
)
def test_a_file_is_served_with_its_type_and_how_long_to_keep_it(shop: Runner, path: str, kind: str, body: str) -> None:
    answer = ask(shop, path)
    assert (answer.status, answer.body) == (200, body)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert (headers["content-type"], headers["cache-control"]) == (kind, "max-age=90")
    assert ask(shop, path, "HEAD").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/shop/static/none.css",
        "/shop/static",
        "/shop/static/img",
        "/shop/static/admin/hidden.css",
        "/shop/static/../secret.txt",
        "/shop/static/img/../../secret.txt",
        "/shop/static/%2e%2e/secret.txt",
        "/shop/static/..%2fsecret.txt",
        "/shop/static/..%2f..%2fcolonnade.toml",
        "/shop/static//etc/passwd",
        "/shop/static/%2fetc/passwd",
        "/shop/static/outside.txt",
        "/shop/static/everything/passwd",
    ],
)
def test_nothing_else_is_served(shop: Runner, path: str) -> None:
    answer = ask(shop, path)
    assert answer.status == 404
    assert "secret" not in answer.body
    assert "root:" not in answer.body


@pytest.mark.parametrize("path", ["/shop", "/shop/", "/shop/static-old/x.txt", "/shop/other", "/shop/statics"])
def test_every_other_path_is_the_applications(shop: Runner, path: str) -> None:
    answer = ask(shop, path)
    assert (answer.status, answer.body.split()[-1]) == (200, path)


def test_files_from_elsewhere_are_served_as_they_are_now(shop: Runner) -> None:
    (media,) = (value for value in shop_static(shop).values() if value.startswith("/"))
    for text in ("two", "three, and longer"):
        (Path(media) / "photo.svg").write_text(text)
        assert ask(shop, "/shop/media/photo.svg").body == text


def shop_static(shop: Runner) -> dict[str, str]:
    static: dict[str, str] = tomllib.loads((shop.directory / "colonnade.toml").read_text())["services"]["web"]["static"]
    return static


def test_files_beside_the_code_come_with_the_next_version(shop: Runner) -> None:
    shop.write("web/static/late.css", "one")
    assert ask(shop, "/shop/static/late.css").status == 404
    assert shop.run("deploy").exit_code == 0
    assert ask(shop, "/shop/static/late.css").body == "one"


def test_a_directory_that_is_missing_is_told_before_anything_starts(
    work_dir: Path, free_port: Callable[[], int]
) -> None:
    runner = Runner(work_dir, free_port())
    runner.declare('[services.web]\napp = "tiny:app"\nroute = "/"\nstatic = { "/static" = "statik" }\n')
    (work_dir / "static").mkdir()
    ran = runner.run("up", "--detach")
    assert ran.exit_code == 2
    assert 'did you mean "static"?' in ran.text
    runner.assert_nothing_left()
