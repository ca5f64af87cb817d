"""`colonnade why`: the answer of `system/explanation.py`, with times as people read them. Reads the disk when nothing
runs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import psutil
from rich.markup import escape

from colonnade.cli.messages import out, print_json
from colonnade.core.clock import SystemClock
from colonnade.core.events import read_events
from colonnade.core.files import read_json
from colonnade.core.processes import marked_processes
from colonnade.system.client import ControlClient, is_running
from colonnade.system.explanation import About, Facts, explain, parse_question
from colonnade.system.sentences import Sentence, duration
from colonnade.system.slowness import Machine, Measured, answers_between
from colonnade.system.target import Target

MEASURE_S = 1.0
"""Between the two looks of `why slow`: the gateway's figures are taken twice a second."""


def why(target: Target, words: Sequence[str], *, count: int, as_json: bool) -> None:
    """Answer, with what is so now and the newest `count` causes. Raises SpecError for a name that nobody knows."""
    facts = _look(target)
    question = parse_question(words, facts)
    if question.about is About.SLOW and facts.status is not None:
        facts = _measure(target, facts)
    answer = explain(question, facts)
    present = [sentence for sentence in answer if sentence.at_s is None]
    past = [sentence for sentence in answer if sentence.at_s is not None][:count]
    if as_json:
        print_json([_as_json(sentence, facts.now_s) for sentence in (*present, *past)])
        return
    for sentence in present:
        _print("", sentence)
    for sentence in past:
        assert sentence.at_s is not None
        ago = f"{clock_time(sentence.at_s, facts.now_s)}, {duration(facts.now_s - sentence.at_s)} ago"
        _print(f"[dim]{ago}:[/] ", sentence)


def _look(target: Target) -> Facts:
    status = is_running(target.paths)
    failure = read_json(target.paths.failure) if status is None else None
    told = f"{failure['subject']}: {failure['message']}" if failure is not None else ""
    return Facts(read_events(target.paths.events), status, SystemClock().wall(), failure=told)


def _measure(target: Target, facts: Facts) -> Facts:
    """The facts a moment later, with what the machine did meanwhile."""
    assert facts.status is not None
    clock = SystemClock()
    with ControlClient(target.paths) as client:
        before = client.measurements()
    psutil.cpu_percent()
    began_s, used_before = clock.monotonic(), _cpu_seconds(target)
    time.sleep(MEASURE_S)
    cpu_busy = psutil.cpu_percent() / 100
    used_after, interval_s = _cpu_seconds(target), clock.monotonic() - began_s
    cores = os.cpu_count() or 1
    # A process that ended meanwhile takes its seconds with it: only those that were there both times are counted.
    used_s = sum(used_after[pid] - used_before[pid] for pid in used_after.keys() & used_before.keys())
    memory = psutil.virtual_memory()
    with ControlClient(target.paths) as client:
        status, after = client.status(), client.measurements()
    measured = Measured(
        earlier=facts.status,
        interval_s=interval_s,
        machine=Machine(cores, cpu_busy, used_s / interval_s / cores, memory.available / memory.total),
        answers=answers_between(before, after),
    )
    return Facts(facts.events, status, clock.wall(), measured)


def _cpu_seconds(target: Target) -> dict[int, float]:
    """Processor time of each process of the system so far."""
    used = {}
    for pid in marked_processes(target.paths.mark):
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        used[pid] = times.user + times.system
    return used


def _as_json(sentence: Sentence, now_s: float) -> dict[str, Any]:
    return {**asdict(sentence), "ago_s": None if sentence.at_s is None else now_s - sentence.at_s}


def _print(when: str, sentence: Sentence) -> None:
    style = ("[bold]", "[/]") if not when else ("", "")
    out.print(f"{when}{style[0]}{escape(sentence.text)}{style[1]}")
    if sentence.hint:
        out.print(f"[dim]  → {escape(sentence.hint)}[/]")


def clock_time(at_s: float, now_s: float) -> str:
    """The time of day, with the date when it is not today's. The user's own time zone."""
    at, now = (datetime.fromtimestamp(value) for value in (at_s, now_s))  # noqa: DTZ006
    return at.strftime("%H:%M:%S" if at.date() == now.date() else "%Y-%m-%d %H:%M:%S")
