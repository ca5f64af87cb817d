"""`colonnade plan` as somebody types it: answers, JSON, a page, what it writes, and what it refuses."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from colonnade.cli.main import app
from colonnade.core.errors import ColonnadeError, SpecError
from colonnade.spec.load import load_spec

DECLARATION = """# Mine.
[services.web]
app = "web:app"
route = "/"
replicas = 2     # enough for now
slo = { p99 = "300ms" }

[plan]
work = { web = { service_time = "20ms", memory = "60MB" } }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "colonnade.toml").write_text(DECLARATION)
    (tmp_path / "web.py").write_text("app = None\n")
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["plan", "--no-simulate", *arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def answer(project: Path, *arguments: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(run("-f", str(project), "--json", *arguments))
    return found


def test_a_rate_is_answered_from_what_is_declared(project: Path) -> None:
    found = answer(project, "--rate", "200")
    assert found["objective"] == "p99 ≤ 300 ms"
    assert found["services"][0]["replicas"] == 7  # type: ignore[index]  # 4 cores at 75 %, and one to spare
    assert answer(project, "--rate", "12000/min", "--spares", "0")["services"][0]["replicas"] == 6  # type: ignore[index]


def test_tables_say_what_json_says(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=StringIO(), width=160)
    # The command's console is made when its module is imported, for the standard output of then.
    monkeypatch.setattr("colonnade.cli.plan.out", shown)
    run("-f", str(project), "--rate", "200", "--price", "core-hour=0.05")
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "web 7" in text
    assert "a month" in text


def test_a_plan_without_a_file_needs_times_only(tmp_path: Path) -> None:
    found = answer(tmp_path, "--rate", "50", "--time", "web=5ms", "--time", "api=10ms", "--scv", "api=0.5")
    assert [each["name"] for each in found["services"]] == ["web", "api"]  # type: ignore[attr-defined]


def test_the_article_is_told_with_its_slips() -> None:
    found = json.loads(run("--article", "--json"))
    assert [each["printed"] for each in found["article"]] == ["0.15 s", "2,500/s", "0.1 s", "1,700/s"]
    assert {each["name"] for each in found["simulated"]} == {each["name"] for each in found["article"]}
    assert found["measured"] == []


def test_a_plan_is_checked_by_simulation(project: Path) -> None:
    found = answer(project, "--rate", "60", "--simulate")
    assert found["simulated"]["times"]["mean_s"] == pytest.approx(found["planned"]["mean_s"], rel=0.15)  # type: ignore[index]
    assert answer(project, "--rate", "60")["simulated"] is None


def test_a_page_is_written(project: Path) -> None:
    answer(project, "--rate", "20", "--html", str(project / "plan.html"))
    assert (project / "plan.html").read_text().startswith("<!DOCTYPE html>")


def test_numbers_are_written_and_the_rest_stays(project: Path) -> None:
    run("-f", str(project), "--rate", "200", "--write")
    text = (project / "colonnade.toml").read_text()
    assert text == DECLARATION.replace("replicas = 2 ", "replicas = 7 ")
    run("-f", str(project), "--rate", "200", "--write")
    assert (project / "colonnade.toml").read_text() == text


def test_a_load_that_goes_up_and_down_is_written_as_bounds(project: Path) -> None:
    run("-f", str(project), "--rate", "40", "--shape", "shop", "--write")
    replicas = load_spec(project).spec.services["web"].replicas
    assert replicas.min < replicas.max
    assert not replicas.fixed


def test_a_log_gives_the_rate_and_its_course(project: Path) -> None:
    log = project / "access.log"
    log.write_text(
        "".join(
            f'::1 - - [10/Oct/2025:12:{minute:02}:{second:02} +0000] "GET / HTTP/1.1" 200 1\n'
            for minute in range(20)
            for second in range(60)
            for _ in range(30 if minute == 10 else 3)
        )
    )
    found = answer(project, "--trace", str(log))
    assert found["rate_per_s"] == pytest.approx(30, rel=0.05)
    assert found["day"] is not None
    assert found["trace"]["requests"] == 19 * 60 * 3 + 60 * 30  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "0"], "a rate is above 0"),
        (["--rate", "-5"], "a rate is above 0"),
        (["--rate", "many"], "expected a rate"),
        (["--rate", "5/fortnight"], "expected a rate"),
        ([], "no rate to plan for"),
        (["--rate", "5", "--slo", "p99=250"], "p99=250 has no unit"),
        (["--rate", "5", "--slo", "p99=0ms"], "above 0"),
        (["--rate", "5", "--slo", "p100=1s"], "expected p99=TIME"),
        (["--rate", "5", "--slo", "availability=101%"], "below 100"),
        (["--rate", "5", "--slo", "availability=often"], "expected a share"),
        (["--rate", "5", "--slo", "p99=10ms"], "cannot be reached: with nobody else there a request takes 20.1 ms"),
        (["--rate", "5", "--time", "web=20"], "has no unit"),
        (["--rate", "5", "--time", "shop=20ms"], "no part 'shop'"),
        (["--rate", "5", "--time", "20ms"], "expected NAME=VALUE"),
        (["--rate", "5", "--scv", "web=1"], "no --time for web"),
        (["--rate", "5", "--time", "web=20ms", "--scv", "web=-1"], "at least 0"),
        (["--rate", "5", "--memory", "8"], "8 has no unit"),
        (["--rate", "5", "--price", "disk=1"], "no price 'disk'"),
        (["--rate", "5", "--shape", "shoop"], "no such load shape"),
        (["--trace", "nowhere.log"], "cannot be read"),
        (["--rate", "1e9"], "too much for gateway"),
        (["--rate", "5", "--stretch", "5"], "is for measurements"),
        (["--rate", "5", "--rounds", "5"], "is for measurements"),
        (["--article", "--measure", "--rounds", "5"], "measured once"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_type(project: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(SpecError, match=words) as told:
        run("-f", str(project), *arguments)
    assert told.value.hint
    assert told.value.exit_code != 0


def test_a_log_without_times_is_refused(project: Path) -> None:
    log = project / "other.log"
    log.write_text("started\n" * 500)
    with pytest.raises(SpecError, match="none of its 500 lines says when it was"):
        run("-f", str(project), "--trace", str(log))


def test_a_rate_that_does_not_fit_says_by_how_much(project: Path) -> None:
    problem = str(answer(project, "--rate", "200", "--cores", "64")["now_problem"])
    assert "200/s come and at most 100/s can be served" in problem
    assert "grows by 100 requests every second" in problem


def test_nothing_is_written_where_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ColonnadeError, match="no file to write to"):
        run("-f", str(tmp_path), "--rate", "5", "--time", "web=1ms", "--write")
