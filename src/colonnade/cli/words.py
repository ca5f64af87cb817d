"""Words that say more than one thing, as they are typed for one machine and for a cluster alike. Pure."""

from __future__ import annotations

from colonnade.core.errors import SpecError


def parse_scale(change: str) -> tuple[str, int | None]:
    """(service, replicas); None for `auto`. Raises SpecError."""
    service, separator, number = change.partition("=")
    if service and number == "auto":
        return service, None
    if not separator or not service or not number.isdecimal():
        raise SpecError(f"expected SERVICE=N, got {change!r}", hint="for example `colonnade scale backend=5`")
    return service, int(number)
