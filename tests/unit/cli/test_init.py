"""`colonnade init` finds applications by reading, and writes a file that loads."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from colonnade.cli import init
from colonnade.cli.init import Candidate, find_applications, render_colonnade_toml, write_declaration
from colonnade.core.errors import SpecError
from colonnade.spec.load import load_spec

FLASK = "from flask import Flask\n"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def project(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return directory


def apps(directory: Path) -> list[str]:
    return [candidate.app for candidate in find_applications(directory)]


@pytest.mark.parametrize(
    ("text", "app", "framework"),
    [
        (FLASK + "app = Flask(__name__)\n", "main:app", "Flask"),
        ("import flask\nserver: flask.Flask = flask.Flask(__name__)\n", "main:server", "Flask"),
        ("import flask as f\napp = f.Flask(__name__)\n", "main:app", "Flask"),
        ("from fastapi import FastAPI as API\napi = API()\n", "main:api", "FastAPI"),
        ("import falcon.asgi\napp = falcon.asgi.App()\n", "main:app", "Falcon (ASGI)"),
        (
            "try:\n    from fastapi import FastAPI\n    app = FastAPI()\nexcept ImportError:\n    raise\n",
            "main:app",
            "FastAPI",
        ),
        (
            FLASK + "def create_app(config=None):\n    app = Flask(__name__)\n    return app\n",
            "main:create_app()",
            "Flask",
        ),
        (FLASK + "def make_app(*, debug=False):\n    return Flask(__name__)\n", "main:make_app()", "Flask"),
        ("from shop import create_app\napp = create_app()\n", "main:app", "made by a factory"),
        (
            "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
            "main:application",
            "Django",
        ),
    ],
)
def test_an_application_is_recognised_by_how_it_is_made(tmp_path: Path, text: str, app: str, framework: str) -> None:
    (candidate,) = find_applications(project(tmp_path, {"main.py": text}))
    assert (candidate.app, candidate.framework, candidate.path) == (app, framework, ".")


@pytest.mark.parametrize(
    "text",
    [
        "app = Flask(__name__)\n",
        "class Flask: ...\napp = Flask()\n",
        FLASK + "def create_app(config):\n    return Flask(__name__)\n",
        FLASK + "def helper():\n    return Flask(__name__)\n",
        FLASK + "if __name__ == '__main__':\n    app = Flask(__name__)\n",
        FLASK + "def test():\n    app = Flask(__name__)\n",
        "def create_app():\n    return None\n",
        "this is not Python\n",
        "app = Flask(\x00)\n",
        "",
    ],
)
def test_what_is_none_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    assert find_applications(project(tmp_path, {"main.py": text})) == []


@pytest.mark.parametrize(
    ("file", "app", "path"),
    [
        ("shop/__init__.py", "shop:app", "."),
        ("shop/main.py", "main:app", "shop"),
        ("src/shop/main.py", "main:app", "src/shop"),
    ],
)
def test_it_is_named_as_it_is_imported(tmp_path: Path, file: str, app: str, path: str) -> None:
    (candidate,) = find_applications(project(tmp_path, {file: FLASK + "app = Flask(__name__)\n"}))
    assert (candidate.app, candidate.path) == (app, path)


def test_a_module_in_a_package_is_imported_from_above_the_package(tmp_path: Path) -> None:
    project(tmp_path, {"src/shop/__init__.py": "", "src/shop/web.py": FLASK + "app = Flask(__name__)\n"})
    (candidate,) = find_applications(tmp_path)
    assert (candidate.app, candidate.path) == ("shop.web:app", "src")


def test_django_runs_where_manage_py_is(tmp_path: Path) -> None:
    wsgi = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
    asgi = wsgi.replace("wsgi", "asgi")
    project(tmp_path, {"site/manage.py": "", "site/mysite/wsgi.py": wsgi, "site/mysite/asgi.py": asgi})
    first, second = find_applications(tmp_path)
    assert first == Candidate("mysite.wsgi:application", "Django", "wsgi", "site", has_manage=True)
    assert second.app == "mysite.asgi:application"
    assert "manage.py migrate" in render_colonnade_toml("site", first)


@pytest.mark.parametrize(
    "file",
    [
        ".hidden/main.py",
        "node_modules/x/main.py",
        "venv/lib/main.py",
        "tests/main.py",
        "test_main.py",
        "conftest.py",
        "not-a-module.py",
        "main.txt",
    ],
)
def test_what_is_not_the_users_own_code_is_not_looked_at(tmp_path: Path, file: str) -> None:
    project(tmp_path, {"venv/pyvenv.cfg": "", file: FLASK + "app = Flask(__name__)\n"})
    assert apps(tmp_path) == []


def test_a_link_that_leads_nowhere_or_round_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round").symlink_to(tmp_path)
    project(tmp_path, {"main.py": FLASK + "app = Flask(__name__)\n"})
    assert apps(tmp_path) == ["main:app"]


def test_the_search_is_bounded_and_begins_at_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The bound is patched: two thousand files take long to write.
    monkeypatch.setattr(init, "FILES_MAX", 2)
    text = FLASK + "app = Flask(__name__)\n"
    project(tmp_path, {"b/deep.py": text, "c.py": text, "d.py": text})
    assert apps(tmp_path) == ["c:app", "d:app"]


def test_the_most_likely_one_comes_first(tmp_path: Path) -> None:
    text = FLASK + "app = Flask(__name__)\n"
    names = ["zz.py", "app.py", "wsgi.py", "deep/app.py"]
    project(tmp_path, dict.fromkeys(names, text))
    assert apps(tmp_path) == ["wsgi:app", "app:app", "zz:app", "app:app"]


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate("main:app", "Flask", "wsgi", "."),
        Candidate("main:app", "FastAPI", "asgi", "."),
        Candidate("mysite.wsgi:application", "Django", "wsgi", "my site", has_manage=True),
        Candidate("main:create_app()", "Flask", "wsgi", 'quo"te'),
    ],
)
@pytest.mark.parametrize("with_comments", [False, True])
def test_what_is_written_loads_and_its_comments_too(tmp_path: Path, candidate: Candidate, with_comments: bool) -> None:
    (tmp_path / candidate.path).mkdir(exist_ok=True)
    text = render_colonnade_toml("shop", candidate, [Candidate("other:app", "Flask", "wsgi", ".")])
    if with_comments:
        text = "\n".join(line[1:] if line.startswith("#") and line[1:2].strip() else line for line in text.split("\n"))
    (tmp_path / "colonnade.toml").write_text(text)
    loaded = load_spec(tmp_path, environ={})
    service = loaded.spec.services["web"]
    assert (service.app, service.path, service.route) == (candidate.app, candidate.path, "/")
    assert loaded.spec.system.name == "shop"
    assert (loaded.spec.database is not None) == with_comments == bool(service.uses)
    assert loaded.warnings == ()
    assert all(len(line) <= 120 for line in text.split("\n"))


def test_the_file_is_written_once_and_never_again(tmp_path: Path) -> None:
    directory = project(tmp_path / "My Shop", {"hello.py": FLASK + "app = Flask(__name__)\n"})
    path, found = write_declaration(directory)
    assert (path, found) == (directory / "colonnade.toml", "hello:app (Flask)")
    assert load_spec(path, environ={}).spec.system.name == "my-shop"
    path.write_text("mine")
    with pytest.raises(SpecError, match="is there already") as caught:
        write_declaration(directory)
    assert "colonnade up" in caught.value.hint
    assert path.read_text() == "mine"


def test_nothing_found_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nothing here looks like") as caught:
        write_declaration(tmp_path)
    assert "colonnade up module:app" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("example", "app"),
    [("01-hello-flask", "hello:app"), ("02-fastapi", "main:app"), ("03-django", "wsgi:application")],
)
def test_the_examples_are_found(example: str, app: str) -> None:
    assert apps(EXAMPLES / example) == [app]
