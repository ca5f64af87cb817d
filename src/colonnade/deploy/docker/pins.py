"""Which version of each library goes into an image: the one that runs here, or the one of uv.lock. Pure.

Requirements say what may be; what was drilled is what is installed. So the closure of what the application requires is
looked up among the installed distributions and written as constraints, which install nothing by themselves.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

OURS = "colonnade"
"""Never installed in an image: its `client` is copied, and the rest is not used there."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution that is there: its version, and its own requirements as its metadata has them."""

    version: str
    requires: tuple[str, ...] = ()


def requirements_in(text: str) -> list[Requirement]:
    """The requirements of a requirements.txt; options, paths and URLs without a name are passed over."""
    found = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words = re.split(r"\s+#|\s--hash", line.strip())[0].strip()
        if not words or words.startswith(("#", "-", ".", "/")):
            continue
        try:
            found.append(Requirement(words))
        except InvalidRequirement:
            continue  # pip says what is wrong with it, in its own words
    return found


def closure(wanted: Iterable[Requirement], installed: Mapping[str, Installed]) -> tuple[dict[str, str], list[str]]:
    """Name → version of everything that `wanted` leads to, by name; and the names of `wanted` that are not here."""
    asked = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    missing = {one.name for one in asked if canonicalize_name(one.name) not in installed}
    pins: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = list(asked)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in installed:
            continue
        pins[name] = installed[name].version
        for extra in {"", *requirement.extras} - {known for at, known in seen if at == name}:
            seen.add((name, extra))
            further = [Requirement(line) for line in installed[name].requires]
            waiting += [one for one in further if one.marker is None or one.marker.evaluate({"extra": extra})]
    return dict(sorted(pins.items())), sorted(missing)


def client_requirements(installed: Mapping[str, Installed]) -> list[str]:
    """What `colonnade.client` needs, as our own metadata has it, without the marker."""
    ours = installed.get(OURS, Installed(""))
    parsed = [Requirement(line) for line in ours.requires]
    of_client = [one for one in parsed if one.marker is not None and 'extra == "client"' in str(one.marker)]
    plain = [str(one).partition(";")[0].strip() for one in of_client]
    return sorted(plain)


def pins_of_lock(text: str) -> tuple[dict[str, str], list[str]]:
    """Name → version in a uv.lock, of what comes from an index; and names with several versions, which stay open."""
    packages: Sequence[Mapping[str, object]] = tomllib.loads(text).get("package", [])
    named = [(str(p["name"]), str(p["version"])) for p in packages if "version" in p and _is_from_index(p)]
    counts = Counter(name for name, _ in set(named))
    pins = {name: version for name, version in named if counts[name] == 1}
    return dict(sorted(pins.items())), sorted(name for name, count in counts.items() if count > 1)


def _is_from_index(package: Mapping[str, object]) -> bool:
    source = package.get("source")
    return isinstance(source, Mapping) and "registry" in source
