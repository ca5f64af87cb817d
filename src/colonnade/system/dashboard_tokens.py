"""The secrets of one dashboard, in a file that only its owner can read: two tokens to log in with, and the key that
sessions are signed with. Never in an argument, a log or a repr.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colonnade.core.errors import HostError
from colonnade.core.files import read_json, write_json_durably

TOKEN_BYTES = 32
"""256 bits: nobody guesses one, however often he may try."""

NAMES = ("operator", "viewer", "key")


@dataclass(frozen=True, slots=True)
class Tokens:
    """`operator` may change things, `viewer` may look; `key` signs sessions and one-time codes."""

    operator: str = field(repr=False)
    viewer: str = field(repr=False)
    key: str = field(repr=False)


def tokens_path(root: Path) -> Path:
    """In the dashboard's directory, which is the controller's: not in `data`, which is its process's own."""
    return root / "tokens.json"


def load_or_make_tokens(root: Path) -> Tokens:
    """Made at the first time. Raises HostError when the file is damaged or refused."""
    found = read_tokens(root)
    return found if found is not None else renew_tokens(root)


def read_tokens(root: Path) -> Tokens | None:
    """None when there are none yet. Raises HostError when the file is damaged, or others may read it."""
    path = tokens_path(root)
    value = read_json(path)
    if value is None:
        return None
    if path.stat().st_mode & 0o077:
        raise HostError("others may read it", subject=str(path), hint="`colonnade dashboard --new-tokens` makes others")
    return _tokens_in(value, str(path))


def tokens_from(descriptor: int) -> Tokens:
    """Read from a file that somebody else opened for us, and close it. Raises HostError when it is damaged."""
    with open(descriptor, encoding="utf-8") as file:
        return _tokens_in(json.load(file), "tokens")


def _tokens_in(value: Mapping[str, Any], subject: str) -> Tokens:
    if not all(isinstance(value.get(name), str) and len(value[name]) >= TOKEN_BYTES for name in NAMES):
        raise HostError("is damaged", subject=subject, hint="`colonnade dashboard --new-tokens` makes others")
    return Tokens(*(value[name] for name in NAMES))


def renew_tokens(root: Path) -> Tokens:
    """New ones: whoever is logged in is not any more, once the process is another."""
    made = Tokens(*(secrets.token_urlsafe(TOKEN_BYTES) for _ in NAMES))
    path = tokens_path(root)
    write_json_durably(path, {name: getattr(made, name) for name in NAMES}, mode=0o600)
    return made
