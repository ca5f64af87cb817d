"""One part as a page: what it is, why it is so, and what it said last. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.cli.top.history import History
from colonnade.cli.top.lines import Line, Span, Tone, clean, fit, pad, per_second, size, sparkline, wrap
from colonnade.cli.top.rows import SIGNS, state_word
from colonnade.system.sentences import Sentence, duration

Part = Mapping[str, Any]

CHART_WIDTH_MAX = 60
SENTENCE_LINES_MAX = 6


@dataclass(frozen=True, slots=True)
class About:
    """What was found out about a part beside the picture. `log` is its last lines, with their origin."""

    sentences: Sequence[Sentence] = ()
    log: Sequence[str] = ()
    log_name: str = ""
    now_s: float = 0.0


def page(part: Part, about: About, history: History, width: int) -> list[Line]:
    sign, tone = SIGNS[part["health"]]
    lines: list[Line] = [
        fit((Span(f"{sign} ", tone), Span(part["id"], Tone.STRONG), Span(f"  {state_word(part)}", tone)), width),
        *((Span(text, tone),) for text in wrap(f"{part['label']} {clean(part['why'])}", width, 3)),
        (),
    ]
    for name, value in _facts(part, history):
        lines += [(Span(pad(name, 13), Tone.DIM), Span(text)) for text in wrap(clean(value), width - 13, 3)[:1]]
        lines += [(Span(" " * 13), Span(text)) for text in wrap(clean(value), width - 13, 3)[1:]]
    rates = history.rates(part["id"])
    if len(rates) > 1:
        top = max((rate for rate in rates if rate is not None), default=0.0)
        bars = sparkline(rates, max(8, min(CHART_WIDTH_MAX, width - 30)))
        lines.append((Span(pad("requests", 13), Tone.DIM), Span(bars), Span(f" at most {per_second(top)}", Tone.DIM)))
    lines += [(), (Span("Why", Tone.STRONG),)]
    lines += [line for sentence in about.sentences for line in _told(sentence, about.now_s, width)]
    if about.log_name:
        lines += [(), (Span(f"Log ({about.log_name})", Tone.STRONG),)]
        lines += [fit((Span(clean(text)),), width) for text in about.log] or [(Span("nothing yet", Tone.DIM),)]
    return lines


def _told(sentence: Sentence, now_s: float, width: int) -> Iterator[Line]:
    when = "" if sentence.at_s is None else f"{duration(max(0.0, now_s - sentence.at_s))} ago: "
    tone = Tone.STRONG if sentence.at_s is None else Tone.PLAIN
    for text in wrap(when + clean(sentence.text), width, SENTENCE_LINES_MAX):
        yield (Span(text, tone),)
    if sentence.hint:
        for text in wrap(f"→ {clean(sentence.hint)}", width - 2, SENTENCE_LINES_MAX):
            yield (Span(f"  {text}", Tone.DIM),)


def _facts(part: Part, history: History) -> Iterator[tuple[str, str]]:
    match part["kind"]:
        case "replica":
            yield "process", f"pid {part['pid'] or '—'}, port {part['port'] or '—'}, version {part['version']}"
            yield "state", f"{part['state']}; the gateway says {part['gateway']}"
            yield "requests", f"{per_second(history.replica_rate(part['id']))}, {part['in_flight'] or 0} in flight"
            yield "restarts", str(part["restarts"])
        case "service":
            yield "replicas", f"{part['ready']} of {part['desired']} in rotation; {_scaling(part['scaling'])}"
            yield "version", f"{part['version']}" + f"; {part['rollout']}" * bool(part["rollout"])
            yield (
                "places",
                f"{part['busy']} of {part['places']} busy; {part['queued']} wait, at most {part['queue_max']} may",
            )
            yield (
                "answers",
                f"begin after {part['response_ms']:.0f} ms (mean of the last 1,024); balance {part['balance']}",
            )
            yield (
                "now",
                ", ".join(
                    f"{what} {per_second(part[key])}"
                    for what, key in (
                        ("asked", "requests_per_s"),
                        ("errors", "errors_per_s"),
                        ("turned away", "rejected_per_s"),
                    )
                ),
            )
            yield "reached at", part["route"] or "inside only"
            if part["uses"]:
                yield "uses", ", ".join(part["uses"])
        case "node":
            lag = "—" if part["lag_bytes"] is None else size(part["lag_bytes"])
            yield "role", f"{part['role']} ({part['state']}), timeline {part['timeline'] or '—'}"
            yield "lag", f"{lag}" + f"; counts as {part['sync_state']}" * bool(part["sync_state"])
            yield "process", f"pid {part['pid'] or '—'}, port {part['port'] or '—'}"
        case "database":
            yield "durability", part["durability"] or "—"
            if (last := part["last_failover"]) is not None:
                yield "last failover", last["summary"]
        case "gateway":
            yield "process", f"pid {part['pid'] or '—'}, for {duration(part['uptime_s'])}"
            yield "restarts", str(part["restarts"])
        case _:
            return


def _scaling(scaling: Mapping[str, Any]) -> str:
    if scaling["mode"] == "fixed":
        return "a fixed number"
    return f"{scaling['mode']}, {scaling['min']}–{scaling['max']}: {scaling['message']}"
