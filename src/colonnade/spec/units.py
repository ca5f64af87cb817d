"""Quantities as people write them: "250ms", "1.5s", "2m", "10MB", "99.95%". Pure."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator

_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def parse_duration_s(value: object) -> object:
    """Seconds from "250ms", "1.5s", "2m", "1h", "7d" or a bare number of seconds."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value)
        if match is None:
            raise ValueError('expected a duration such as "250ms", "5s" or "2m"')
        return float(match[1]) * _DURATION[match[2]]
    # TOML knows `inf` and `nan`; neither is a time that anybody can wait for.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError('expected a duration such as "250ms", "5s" or "2m"')
    return float(value)


def parse_size_bytes(value: object) -> object:
    """Bytes from "10MB", "512KiB" or a bare number of bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMG]i?B|B)\s*", value)
        if match is None:
            raise ValueError('expected a size such as "512KiB" or "10MB"')
        return int(float(match[1]) * _SIZE[match[2]])
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError('expected a size such as "512KiB" or "10MB"')
    return value


def parse_fraction(value: object) -> object:
    """0.9995 from "99.95%" or from 0.9995."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value)
        if match is None:
            raise ValueError('expected a share such as "99.95%"')
        return float(match[1]) / 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError('expected a share such as "99.95%"')
    return float(value)


Seconds = Annotated[float, BeforeValidator(parse_duration_s)]
Bytes = Annotated[int, BeforeValidator(parse_size_bytes)]
Fraction = Annotated[float, BeforeValidator(parse_fraction)]


def duration_text(value_s: float) -> str:
    """The shortest way to write a duration in a declaration: 0.25 → "250ms", 120 → "2m"."""
    if value_s == 0:
        return "0"
    for unit in ("d", "h", "m", "s", "ms"):
        count = value_s / _DURATION[unit]
        if abs(count - round(count)) < 1e-9 * count:
            return f"{round(count)}{unit}"
    return f"{value_s:g}s"


def size_text(value_bytes: int) -> str:
    """A size as one would write it: 10_000_000 → "10MB", 32_768 → "32KiB"."""
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if value_bytes and value_bytes % _SIZE[unit] == 0:
            return f"{value_bytes // _SIZE[unit]}{unit}"
    return f"{value_bytes}B"
