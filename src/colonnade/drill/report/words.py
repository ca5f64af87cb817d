"""Names and numbers as people read them. Pure; no markup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from colonnade.drill.scenario import RuleName

TITLES: Mapping[RuleName, str] = {
    RuleName.LOST_WRITES_MAX: "lost writes",
    RuleName.DOUBLED_WRITES_MAX: "doubled writes",
    RuleName.PHANTOM_WRITES_MAX: "phantom writes",
    RuleName.STALE_SESSION_READS_MAX: "stale own reads",
    RuleName.TWO_PRIMARIES_S_MAX: "two primaries",
    RuleName.FAILED_READS_SHARE_MAX: "failed reads",
    RuleName.FAILED_WRITES_SHARE_MAX: "failed writes",
    RuleName.READ_GAP_S_MAX: "gap in reads",
    RuleName.WRITE_GAP_S_MAX: "gap in writes",
    RuleName.P99_MS_MAX: "p99 outside faults",
    RuleName.RECOVERY_S_MAX: "slowest recovery",
    RuleName.MISSING_AT_END_MAX: "missing at the end",
    RuleName.LEFTOVERS_MAX: "left behind",
}


def title_of(rule: RuleName) -> str:
    """A rule in two or three words."""
    return TITLES.get(rule, rule.removesuffix("_max").replace("_", " "))


def figure(rule: RuleName, value: float | None) -> str:
    """A value with the unit that the rule's name ends in."""
    if value is None:
        return "—"
    name = rule.removesuffix("_max")
    if name.endswith("_share"):
        return f"{value:.2%}"
    if name.endswith("_ms"):
        return milliseconds(value)
    if name.endswith("_s"):
        return seconds(value)
    return f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """Two digits behind the point where they say something: `0.58 s`, `12.4 s`, `0 s`."""
    if value is None:
        return "—"
    if value == 0:
        return "0 s"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def second(value: float | None) -> str:
    """A moment of the load: to the hundredth, however late it is."""
    return "—" if value is None else f"{value:.2f} s"


def milliseconds(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.1f} ms" if 0 < value < 10 else f"{value:,.0f} ms"


def share(value: float | None) -> str:
    return "—" if value is None else f"{value:.2%}"


def plain(value: float) -> str:
    """A number whose unit its name has."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def moment(wall_s: float) -> str:
    return f"{datetime.fromtimestamp(wall_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def printable(text: str) -> str:
    """Without control characters, which neither HTML nor XML can hold; logs and error texts bring them along."""
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)
