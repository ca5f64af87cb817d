"""Where the relative paths of a declaration lead, also when a copy of its directory is used. Pure.

A version is a copy of the declaration's directory. What lies in that directory is found in the copy; a path that leads
out of it (`../shared`, `/etc/blog.env`) leads to where it would have led from the original.
"""

from __future__ import annotations

import os
from pathlib import Path


def place_of(relative: str, directory: Path, origin: Path | None = None) -> Path:
    """The path that `relative` means. `origin`: the directory that `directory` is a copy of; None when it is the
    original itself. A path that leads out is left to the kernel with its dots: there may be links on the way."""
    base = origin or directory
    inside = path_inside(os.path.normpath(base / relative), os.path.normpath(base))
    return base / relative if inside is None else directory / inside


def path_inside(target: str, base: str) -> str | None:
    """`target` relative to `base` ("." for itself), both without dots; None when it lies elsewhere."""
    if target == base:
        return "."
    prefix = base if base.endswith("/") else base + "/"
    return target[len(prefix) :] if target.startswith(prefix) else None
