"""Says a summary in plain lines of text, for people. Read next: `load`, which prints them."""

from collections.abc import Iterator

from colonnade.drill.checkers.writes import WriteCheck
from colonnade.drill.load.summary import Distribution, Gap, KindSummary, Summary


def summary_lines(summary: Summary) -> Iterator[str]:
    """The figures of a run, the doubts about them last, where they are read."""
    planned = f"{summary.planned_rate_per_s:g}/s for {summary.duration_s:.1f} s"
    yield f"planned     {planned}; sent {summary.sent_rate_per_s:.1f}/s"
    yield from _kind_lines("reads", summary.reads)
    yield from _kind_lines("writes", summary.writes)
    yield (
        f"in flight   at most {summary.in_flight_max}; {summary.connections_opened} connections opened, "
        f"{summary.dead_idle_connections} found closed by the server before use"
    )
    if summary.replies_by_replica:
        yield "replicas    " + ", ".join(f"{name} {count}" for name, count in summary.replies_by_replica.items())
    yield f"generator   lag {_spread(summary.lag)}; {summary.cpu_s:.1f} s of CPU"
    for doubt in summary.doubts:
        yield f"do not judge: {doubt}"


def check_lines(check: WriteCheck) -> Iterator[str]:
    """The judgement on the writes, with the first of the tokens concerned."""
    yield f"check       {check.verdict}: {check.message}"
    yield f"            of unknown fate: {check.unknown_present} present, {check.unknown_absent} absent; both are right"
    for name in ("lost", "doubled", "phantom", "unaccounted"):
        tokens: tuple[str, ...] = getattr(check, name)
        if tokens:
            yield f"            {name}: {', '.join(tokens[:5])}{' …' if len(tokens) > 5 else ''}"


def _kind_lines(name: str, kind: KindSummary) -> Iterator[str]:
    if not kind.intended:
        return
    retried = f", {kind.retried} sent twice" if kind.retried else ""
    yield f"{name:<12}{kind.intended}: {kind.ok} ok, {kind.failed} failed, {kind.unknown} unknown{retried}"
    yield f"            latency of ok  {_spread(kind.latency_ok)}"
    if kind.ok != kind.intended:
        yield f"            latency of all {_spread(kind.latency_all)}"
        yield "            errors: " + ", ".join(f"{error} {count}" for error, count in kind.errors.items())
    if kind.longest_gap is not None:
        yield f"            longest without success {_gap(kind.longest_gap)}"


def _spread(values: Distribution) -> str:
    if not values.count:
        return "none"
    return f"p50 {values.p50_ms:.1f} ms, p90 {values.p90_ms:.1f}, p99 {values.p99_ms:.1f}, max {values.max_ms:.1f}"


def _gap(gap: Gap) -> str:
    still = " and still so at the end" if gap.is_open else ""
    return f"{gap.duration_s * 1e3:.0f} ms{still}, {gap.intended_count} intended meanwhile"
