"""A file becomes a declaration, or one error that tells everything that is wrong with it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from colonnade.core.errors import SpecError
from colonnade.spec.load import load_spec, spec_for_app
from colonnade.spec.problem import InvalidSpec

MINIMAL = '[services.web]\napp = "hello:app"\nroute = "/"\n'


def write(directory: Path, text: str) -> Path:
    path = directory / "colonnade.toml"
    path.write_text(textwrap.dedent(text))
    return path


def problems_of(directory: Path, text: str, environ: dict[str, str] | None = None) -> dict[str, str]:
    """Path of the key → message and hint, for a file that must be refused."""
    with pytest.raises(InvalidSpec) as caught:
        load_spec(write(directory, text), environ=environ or {})
    assert caught.value.subject.endswith("colonnade.toml")
    assert caught.value.hint
    return {problem.path: f"{problem.message} | {problem.hint}" for problem in caught.value.problems}


def test_a_minimal_file_is_enough(tmp_path: Path) -> None:
    loaded = load_spec(write(tmp_path, MINIMAL), environ={})
    assert list(loaded.spec.services) == ["web"]
    assert loaded.spec.services["web"].replicas.min == 2
    assert loaded.warnings == ()
    assert loaded.directory == tmp_path
    assert loaded.directory_of("web") == tmp_path.resolve()


def test_a_directory_stands_for_the_file_in_it(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL)
    assert load_spec(tmp_path, environ={}).path == tmp_path / "colonnade.toml"


@pytest.mark.parametrize(
    ("directory", "name"),
    [("My Blog (2)", "my-blog-2"), ("01-hello", "hello"), ("123", "app"), ("x" * 40, "x" * 31), ("ÄÖ", "app")],
)
def test_the_system_is_named_after_its_directory(tmp_path: Path, directory: str, name: str) -> None:
    (tmp_path / directory).mkdir()
    assert load_spec(write(tmp_path / directory, MINIMAL), environ={}).spec.system.name == name


def test_a_given_name_stays_and_so_does_the_user(tmp_path: Path) -> None:
    loaded = load_spec(write(tmp_path, '[system]\nname = "blog"\nuser = "www"\n' + MINIMAL), environ={})
    assert (loaded.spec.system.name, loaded.spec.system.user) == ("blog", "www")


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("[systm]\n", "systm", ["not a table of this file", "did you mean `system`?"]),
        ("[service.web]\n", "service", ["did you mean `services`?"]),
        (
            '[gateway]\nlisten_on = "x"\n' + MINIMAL,
            "gateway.listen_on",
            ["is not a key here", "did you mean `listen`?"],
        ),
        ("[gateway]\nclient_timeout_s = 3\n" + MINIMAL, "gateway.client_timeout_s", ["did you mean `client_timeout`?"]),
        ("[gateway]\nzzz = 3\n" + MINIMAL, "gateway.zzz", ["known are: listen, request_body_bytes_max"]),
        ('[gateway]\nlisten = "localhost"\n' + MINIMAL, "gateway.listen", ["expected address:port", 'got "localhost"']),
        ('[gateway]\nlisten = "127.0.0.1:0"\n' + MINIMAL, "gateway.listen", ["port between 1 and 65535"]),
        ('[gateway]\nlisten = "example.com:80"\n' + MINIMAL, "gateway.listen", ["IP address or localhost"]),
        ("[gateway]\nconnections_max = 5\n" + MINIMAL, "gateway.connections_max", ["expected at least 10, got 5"]),
        ("[gateway]\nconnections_max = true\n" + MINIMAL, "gateway.connections_max", ["a whole number, got true"]),
        ("[gateway]\nclient_timeout = 0\n" + MINIMAL, "gateway.client_timeout", ["expected more than 0, got 0"]),
        ("[gateway]\nclient_timeout = nan\n" + MINIMAL, "gateway.client_timeout", ["expected a duration"]),
        (
            '[gateway]\nclient_timeout = "3 sec"\n' + MINIMAL,
            "gateway.client_timeout",
            ['"250ms", "5s" or "2m"', 'got "3 sec"'],
        ),
        ('[gateway]\nrequest_body_bytes_max = "x"\n' + MINIMAL, "gateway.request_body_bytes_max", ["expected a size"]),
        ("[services]\nWeb = {}\n", "services.Web", ["lower-case letters", "as its name"]),
        ("[services]\nweb = 3\n", "services.web", ["expected a table, got 3"]),
        ("services = 3\n", "services", ["expected a table, got 3"]),
        ("[services.web]\napp = 'a'\n", "services.web.app", ['such as "module:app"', 'got "a"']),
        ("[services.web]\napp = 'a:b'\nthreads = '8'\n", "services.web.threads", ['a whole number, got "8"']),
        ("[services.web]\napp = 'a:b'\nretries = 9\n", "services.web.retries", ["at most 3, got 9"]),
        ("[services.web]\napp = 'a:b'\nreplicas = 201\n", "services.web.replicas", ["between 0 and 200", "got 201"]),
        ("[services.web]\napp = 'a:b'\nreplicas = '3'\n", "services.web.replicas", ["a number such as 3"]),
        ("[services.web]\napp = 'a:b'\nreplicas = {mx=3}\n", "services.web.replicas.mx", ["did you mean `max`?"]),
        ("[services.web]\napp = 'a:b'\nreplicas = {fixed=true}\n", "services.web.replicas", ["{ min = 2, max = 8 }"]),
        (
            "[services.web]\napp = 'a:b'\nreplicas = {min=5, max=2}\n",
            "services.web.replicas.min",
            ["at most max = 2, got 5"],
        ),
        (
            "[services.web]\napp = 'a:b'\nbalance = 'leastconn'\n",
            "services.web.balance",
            ['"round-robin", "least-connections"', 'got "leastconn"', 'did you mean "least-connections"?'],
        ),
        (
            "[services.web]\napp = 'a:b'\nweights = [{replicas = 200}, {}]\n",
            "services.web.weights",
            ["at most 200 replicas in all groups together, got 201"],
        ),
        (
            "[services.web]\napp = 'a:b'\nweights = [{replicas = 1, wieght = 3}]\n",
            "services.web.weights[0].wieght",
            ["did you mean `weight`?"],
        ),
        ("[services.web]\napp = 'a:b'\nroute = 'api'\n", "services.web.route", ["a path prefix", 'got "api"']),
        ("[services.web]\napp = 'a:b'\nroute = '/api/'\n", "services.web.route", ["no slash at the end"]),
        ("[services.web]\napp = 'a:b'\nroute = '/a/../b'\n", "services.web.route", ["plain path segments"]),
        ('[services.web]\ncommand = "a \'b"\n', "services.web.command", ["balanced quotes"]),
        ("[services.web]\ncommand = []\n", "services.web.command", ["a list of words"]),
        (
            "[services.web]\napp = 'a:b'\nhealth = {path = 'ready'}\n",
            "services.web.health.path",
            ["begins with a slash"],
        ),
        ("[services.web]\napp = 'a:b'\nuses = 'x'\n", "services.web.uses", ['a list such as ["backend"]']),
        ("[services.web]\napp = 'a:b'\nidempotency_key = 1\n", "services.web.idempotency_key", ["true or false"]),
        ("[database]\nname = 'My-App'\n" + MINIMAL, "database.name", ["lower-case letters, digits and underscores"]),
        ("[database]\nparameters = {work_mem = []}\n" + MINIMAL, "database.parameters.work_mem", ["text, a number"]),
    ],
)
def test_each_wrong_key_is_named_with_what_was_got_and_expected(
    tmp_path: Path, text: str, path: str, says: list[str]
) -> None:
    problems = problems_of(tmp_path, text)
    assert list(problems) == [path]
    for part in says:
        assert part in problems[path]


def test_all_problems_of_a_file_are_told_at_once_in_the_order_of_its_tables(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec) as caught:
        load_spec(
            write(
                tmp_path,
                """
                [gateway]
                listen = "nowhere"

                [services.web]
                app = "hello:app"
                threads = 0
                uses = ["backnd"]

                [services.backend]
                app = "hello:app"
                path = "missing"
                """,
            ),
            environ={},
        )
    assert str(caught.value).split(": ", 1)[1] == textwrap.dedent(
        f"""\
        4 problems
          gateway.listen: expected address:port, such as "127.0.0.1:8080" or "[::1]:8080", got "nowhere"
          services.web.threads: expected at least 1, got 0
          services.web.uses[0]: there is no service `backnd`
              → did you mean `backend`?
          services.backend.path: there is no directory {tmp_path}/missing
              → it is looked for from {tmp_path}"""
    )
    assert "nothing was started" in caught.value.hint


def test_a_single_problem_brings_its_own_hint(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec) as caught:
        load_spec(write(tmp_path, "[gateway]\nlistn = 1\n" + MINIMAL), environ={})
    assert caught.value.hint == "did you mean `listen`?"
    assert str(caught.value) == f"{tmp_path}/colonnade.toml: gateway.listn: is not a key here"


def test_what_only_follows_from_another_problem_is_not_told(tmp_path: Path) -> None:
    """Without `aap`, this service has neither `app` nor `command`; telling so as well would only confuse."""
    assert list(problems_of(tmp_path, '[services.web]\naap = "hello:app"\n')) == ["services.web.aap"]


def test_a_misspelt_table_does_not_make_all_that_name_it_wrong(tmp_path: Path) -> None:
    text = "[databse]\n[services.web]\napp = 'a:b'\nuses = ['database']\n"
    assert list(problems_of(tmp_path, text)) == ["databse"]


def test_no_file_says_how_to_get_one_or_do_without(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file") as caught:
        load_spec(tmp_path / "colonnade.toml", environ={})
    assert "`colonnade init`" in caught.value.hint
    assert "`colonnade up module:app`" in caught.value.hint


def test_broken_toml_shows_the_line_and_points_at_the_column(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, '[gateway]\nlisten = "a" x\n'), environ={})
    assert caught.value.message == (
        "is not TOML: expected newline or end of document after a statement, at line 2, column 14\n"
        '  2 | listen = "a" x\n'
        "                   ^"
    )


def test_toml_that_ends_too_early_is_told_as_well(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"end of document|line 2"):
        load_spec(write(tmp_path, "[services.web]\nuses = ["), environ={})


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "colonnade.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert load_spec(path, environ={}).spec.services["web"].app == "hello:app"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfe\x00", "is not UTF-8 text"), (b"#" * 1_000_001, "is larger than")],
)
def test_what_is_no_declaration_at_all_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "colonnade.toml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=says):
        load_spec(path, environ={})


def test_an_application_alone_becomes_three_public_replicas(tmp_path: Path) -> None:
    loaded = spec_for_app("package.hello:create_app()", directory=tmp_path)
    web = loaded.spec.services["web"]
    assert (web.app, web.route, web.replicas.min, web.replicas.max) == ("package.hello:create_app()", "/", 3, 3)
    assert loaded.path is None
    assert loaded.directory == tmp_path
    assert loaded.warnings == ()


@pytest.mark.parametrize("target", ["hello", "hello.py", "hello:app(1)", ":app", "hello:", "a-b:c", "a:b()()"])
def test_what_is_no_import_string_is_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(SpecError, match="import string") as caught:
        spec_for_app(target, directory=tmp_path)
    assert caught.value.subject == target
    assert caught.value.hint
