"""What `colonnade db` changes on a running system: another primary, new settings, more standbys."""

from __future__ import annotations

import pytest

from .harness import TINY_SERVICE, Runner, kill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DATABASE = TINY_SERVICE + "\n[database]\n"


def is_whole(runner: Runner, nodes: int) -> bool:
    status = runner.status()
    database = status["database"] if status else None
    return database is not None and database["reason"] == "all_well" and len(database["nodes"]) == nodes


def pids(runner: Runner) -> dict[str, int]:
    return {node["name"]: node["pid"] for node in runner.running()["database"]["nodes"]}


def shown(runner: Runner, setting: str) -> str:
    ran = runner.run("db", "psql", "--", "-Atc", f"SHOW {setting}")
    assert ran.exit_code == 0, ran.text
    return ran.out.strip()


def test_database_is_changed_while_it_runs(runner: Runner) -> None:
    runner.declare(DATABASE)
    runner.up()
    runner.wait_until(lambda: is_whole(runner, 3), "three nodes")
    ran = runner.run("db", "switchover", "--to", "b")
    assert ran.exit_code == 0, ran.text
    assert runner.running()["database"]["primary"] == "b"
    assert "a → b" in ran.text
    ran = runner.run("db", "switchover", "--to", "b")
    assert (ran.exit_code, "primary already" in ran.text) == (2, True), ran.text
    runner.wait_until(lambda: is_whole(runner, 3), "a is back")

    before = pids(runner)
    runner.declare(DATABASE + 'parameters = { work_mem = "9MB", max_prepared_transactions = 5 }\n')
    ran = runner.run("db", "restart")
    assert ran.exit_code == 0, ran.text
    assert (shown(runner, "work_mem"), shown(runner, "max_prepared_transactions")) == ("9MB", "5")
    assert not before.items() & pids(runner).items(), "every node was started anew"
    runner.declare(DATABASE + 'parameters = { work_mem = "a lot" }\n')
    ran = runner.run("db", "restart")
    assert ran.exit_code == 2, ran.text
    assert "refuses" in ran.text

    ran = runner.run("db", "standbys", "3")
    assert ran.exit_code == 0, ran.text
    runner.wait_until(lambda: is_whole(runner, 4), "four nodes")
    kill(runner.running()["controller_pid"])
    runner.wait_until(lambda: is_whole(runner, 4), "the next controller knows")
    assert shown(runner, "work_mem") == "9MB"
    ran = runner.run("db", "standbys", "9")
    assert ran.exit_code == 2, ran.text

    assert runner.run("down").exit_code == 0
    runner.declare(DATABASE)
    runner.up()
    runner.wait_until(lambda: is_whole(runner, 3), "the file holds again")
    assert shown(runner, "work_mem") != "9MB"


def test_one_node_is_started_anew_where_it_is(runner: Runner) -> None:
    runner.declare(DATABASE + "standbys = 0\n")
    runner.up()
    before = pids(runner)
    ran = runner.run("db", "restart")
    assert ran.exit_code == 0, ran.text
    assert before != pids(runner)
    # As docs/database.md says for a new major version: the programs of this server, with its address and password.
    ran = runner.run("db", "psql", "--", "-c", r"\! pg_dump --schema-only --exclude-schema=colonnade")
    assert "PostgreSQL database dump complete" in ran.out, ran.text
    ran = runner.run("db", "switchover")
    assert ran.exit_code == 3, ran.text
    assert "nobody" in ran.text
