"""What the options of `colonnade plan` say: rates, objectives, times, prices, each with its unit. Pure.

A number without its unit is refused, never guessed: milliseconds taken for seconds make a plan a thousand times wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from colonnade.core.errors import SpecError
from colonnade.planning.capacity import Objective
from colonnade.planning.declared import PartWork
from colonnade.planning.model import Work
from colonnade.planning.question import Prices
from colonnade.spec.model import PlanSpec
from colonnade.spec.units import parse_duration_s, parse_fraction, parse_size_bytes

PER_S = {"": 1.0, "/s": 1.0, "/min": 1 / 60, "/m": 1 / 60, "/h": 1 / 3600, "/d": 1 / 86400}


def parse_rate(text: str) -> float:
    """Requests a second from "500", "500/s", "30000/min", "2e6/d". Raises SpecError."""
    match = re.fullmatch(r"\s*([+-]?[\d.,_]+(?:e\d+)?)\s*(k|M)?\s*(/\w+)?\s*", text)
    hint = "such as `--rate 500`, which is requests a second, or `--rate 30000/min`"
    if match is None or (match[3] or "") not in PER_S:
        raise SpecError(f"expected a rate, got {text!r}", hint=hint, subject="--rate")
    try:
        value = float(match[1].replace(",", "").replace("_", ""))
    except ValueError:
        raise SpecError(f"expected a rate, got {text!r}", hint=hint, subject="--rate") from None
    rate = value * {"k": 1e3, "M": 1e6}.get(match[2] or "", 1.0) * PER_S[match[3] or ""]
    if not 0 < rate < math.inf:
        raise SpecError(f"a rate is above 0, got {text}", hint=hint, subject="--rate")
    return rate


def parse_slos(texts: Sequence[str]) -> tuple[Objective | None, float | None]:
    """(latency, availability) from "p99=250ms" and "availability=99.95%". Raises SpecError."""
    latency, available = None, None
    hint = "such as `--slo p99=250ms` or `--slo availability=99.95%`"
    for text in texts:
        name, separator, value = text.partition("=")
        match = re.fullmatch(r"p(\d{1,2}(?:\.\d+)?)", name.strip())
        if separator and name.strip() == "availability":
            try:
                available = float(str(parse_fraction(value if "%" in value else float(value))))
            except ValueError:
                raise SpecError(f"expected a share, got {value!r}", hint=hint, subject="--slo") from None
            if not 0 < available < 1:
                raise SpecError(f"expected a share below 100 %, got {value!r}", hint=hint, subject="--slo")
        elif separator and match is not None and 0 < float(match[1]) < 100:
            latency = Objective(float(match[1]) / 100, duration_s(value, "--slo", f"{name.strip()}="))
        else:
            raise SpecError(f"expected p99=TIME or availability=SHARE, got {text!r}", hint=hint, subject="--slo")
    return latency, available


def duration_s(text: str, subject: str, before: str = "") -> float:
    """Seconds from "250ms"; a bare number has no unit, and is refused."""
    text = text.strip()
    if re.fullmatch(r"[\d.]+", text):
        raise SpecError(
            f"{before}{text} has no unit", hint=f"write {before}{text}ms or {before}{text}s", subject=subject
        )
    try:
        value = float(str(parse_duration_s(text)))
    except ValueError as error:
        raise SpecError(f"{error}, got {text!r}", hint=f"such as {before}250ms", subject=subject) from None
    if not value > 0:
        raise SpecError(f"expected a time above 0, got {text}", hint=f"such as {before}250ms", subject=subject)
    return value


def parse_times(times: Sequence[str], scvs: Sequence[str]) -> dict[str, PartWork]:
    """Work by part from `--time backend=20ms` and `--scv backend=0.5`. Raises SpecError."""
    varies = dict(_named(text, "--scv", "backend=0.5") for text in scvs)
    found = {}
    for text in times:
        name, value = _named(text, "--time", "backend=20ms")
        scv = 1.0
        if name in varies:
            scv = _number(varies.pop(name), "--scv", name)
        found[name] = PartWork(Work(duration_s(value, "--time", f"{name}="), scv))
    if varies:
        name = next(iter(varies))
        raise SpecError(
            f"there is no --time for {name}", hint=f"`--time {name}=20ms --scv {name}=0.5`", subject="--scv"
        )
    return found


def parse_prices(texts: Sequence[str], declared: PlanSpec) -> Prices:
    """From `--price core-hour=0.04` and `--price memory-gb-hour=0.005`, else those of the declaration."""
    prices = {"core-hour": declared.price_core_hour, "memory-gb-hour": declared.price_memory_gb_hour}
    for text in texts:
        name, value = _named(text, "--price", "core-hour=0.04")
        if name not in prices:
            raise SpecError(f"there is no price {name!r}", hint=f"there are {' and '.join(prices)}", subject="--price")
        prices[name] = _number(value, "--price", name)
    return Prices(prices["core-hour"], prices["memory-gb-hour"])


def parse_memory(text: str) -> int:
    """Bytes from "8GB". Raises SpecError."""
    if re.fullmatch(r"[\d.]+", text.strip()):
        raise SpecError(f"{text} has no unit", hint=f"write {text}GB or {text}GiB", subject="--memory")
    try:
        return int(str(parse_size_bytes(text)))
    except ValueError as error:
        raise SpecError(f"{error}, got {text!r}", hint="such as `--memory 8GB`", subject="--memory") from None


def _named(text: str, option: str, example: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.strip() or not value.strip():
        raise SpecError(f"expected NAME=VALUE, got {text!r}", hint=f"such as `{option} {example}`", subject=option)
    return name.strip(), value.strip()


def _number(text: str, option: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise SpecError(f"expected a number of at least 0, got {text!r}", hint=f"`{option} {name}=1`", subject=option)
    return value
