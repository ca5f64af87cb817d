"""The command that sends load and reports: `python -m colonnade.drill.load --url http://127.0.0.1:8080 --rate 100`.

Exit codes: 0 measured, and the check of the writes, where one was asked for, found nothing; 1 the check found writes
lost, doubled or phantom; 2 the options are wrong; 5 nothing answers; 6 the figures or the check cannot be judged.
Read next: `runner` for the load itself, `apart` to have it sent from another program.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from colonnade.core.clock import SystemClock
from colonnade.core.errors import ColonnadeError, HostError
from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.checkers.settled import check_settled
from colonnade.drill.checkers.writes import Held, WriteCheck
from colonnade.drill.load.arrivals import Arrivals
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Operation, to_line
from colonnade.drill.load.lines import check_lines, summary_lines
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.process import run_generator
from colonnade.drill.load.readback import held_over_http, held_over_sql, known_ids_over_http
from colonnade.drill.load.runner import run_load
from colonnade.drill.load.summary import Summary, summarize
from colonnade.drill.load.target import Target, resolve_target
from colonnade.drill.load.workload import BLOG, reads_of

EXIT_INVALID = 1
EXIT_UNKNOWN = 6


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What is wanted beside the load itself."""

    allow_remote: bool
    check: bool
    check_sql: str | None
    ledger_path: Path | None
    json_path: Path | None


def command(
    url: Annotated[str, typer.Option(help="Where to send to, as http://127.0.0.1:8080.")],
    rate: Annotated[float, typer.Option(help="Operations per second.")] = 100.0,
    duration: Annotated[float, typer.Option(help="Seconds of sending.")] = 30.0,
    write_share: Annotated[float | None, typer.Option(help="Share of writes, 0 to 1; 0.2 if not given.")] = None,
    path: Annotated[
        list[str] | None, typer.Option(help="Only read this path, instead of the blog; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides times and kinds of the operations.")] = 1,
    arrivals: Annotated[Arrivals, typer.Option(help="How the operations are spread.")] = Arrivals.POISSON,
    timeout: Annotated[float, typer.Option(help="Seconds until an operation is given up.")] = 10.0,
    in_flight_max: Annotated[int, typer.Option(help="Operations under way at most.")] = 2_000,
    check: Annotated[bool, typer.Option("--check", help="Read back what was written, and judge it.")] = False,
    check_sql: Annotated[str | None, typer.Option(help="The same, by this PostgreSQL connection string.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Write every operation to this file, one JSON a line.")] = None,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Load another machine than this.")] = False,
) -> None:
    """Send open-loop load to a web application and say what became of every request."""
    try:
        plan = Plan(
            url=url,
            rate_per_s=rate,
            duration_s=duration,
            run_id=uuid4().hex[:12],
            write_share=write_share if write_share is not None else 0.0 if path else 0.2,
            workload=reads_of(path) if path else BLOG,
            seed=seed,
            arrivals=arrivals,
            timeout_s=timeout,
            in_flight_max=in_flight_max,
        )
        wishes = _Wishes(allow_remote, check, check_sql, ledger, json_path)
        exit_code = run_generator(_measure(plan, wishes), in_flight_max=in_flight_max)
    except ColonnadeError as error:
        sys.stderr.write(f"error: {error}\nhint: {error.hint}\n")
        exit_code = error.exit_code
    raise typer.Exit(exit_code)


async def _measure(plan: Plan, wishes: _Wishes) -> int:
    target = await resolve_target(plan.url, allow_remote=wishes.allow_remote)
    known_ids = await known_ids_over_http(target, plan.workload)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _ledger_writer(wishes.ledger_path) as observe:
        history = await run_load(plan, target, known_ids=known_ids, observe=observe, stop=stop)
    summary = summarize(history)
    check: WriteCheck | None = None
    if wishes.check or wishes.check_sql:
        check = await _check(history, target, wishes.check_sql)
    lines = [*summary_lines(summary), *(check_lines(check) if check else ())]
    sys.stdout.write("\n".join(lines) + "\n")
    if wishes.json_path is not None:
        _write(wishes.json_path, _as_json(history, summary, check))
    return _exit_code(summary, check)


async def _check(history: History, target: Target, conninfo: str | None) -> WriteCheck:
    plan = history.plan

    async def read_back() -> tuple[Held, ...]:
        if conninfo is not None:
            return await held_over_sql(conninfo, plan.workload.sql, plan.run_id)
        return await held_over_http(target, plan.workload, plan.run_id)

    return await check_settled(history.operations, read_back, SystemClock())


@contextmanager
def _ledger_writer(path: Path | None) -> Iterator[Callable[[Operation], None]]:
    if path is None:
        yield lambda _: None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:

        def write(operation: Operation) -> None:
            file.write(to_line(operation) + "\n")

        yield write


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> HostError:
    return HostError(f"cannot be written: {os.strerror(error.errno or 0)}", hint="give another path", subject=str(path))


def _as_json(history: History, summary: Summary, check: WriteCheck | None) -> str:
    content = {
        "plan": asdict(history.plan),
        "started_at": history.started_at,
        "ended_at": history.ended_at,
        "summary": asdict(summary),
        "check": asdict(check) if check else None,
    }
    return json.dumps(content, indent=2) + "\n"


def _exit_code(summary: Summary, check: WriteCheck | None) -> int:
    """A loss stands, however late the generator was; only what is good news needs figures that can be trusted."""
    if check is not None and check.verdict is Verdict.INVALID:
        return EXIT_INVALID
    if summary.doubts or (check is not None and check.verdict is Verdict.UNKNOWN):
        return EXIT_UNKNOWN
    return 0


def main() -> None:
    """Entry point of `python -m colonnade.drill.load`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()
