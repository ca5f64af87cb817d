"""What the library is told by the environment, or by whoever makes a Settings.

Reads, checks and derives; never connects. Whatever holds a password stays out of `repr`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from colonnade.client.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    primary_url: URL = field(repr=False)
    """Where writes go: `DATABASE_URL`, as `postgresql://user:password@host:port/name`. Required."""

    standby_url: URL | None = field(repr=False, default=None)
    """Where reads go: `DATABASE_READ_URL`. None when absent or the primary's own: then that serves reads."""

    pool_size: int = 5
    """Connections kept per endpoint and process: `DATABASE_POOL_SIZE`. Never exceeded, so that
    replicas × 2 pools × this many can be checked against PostgreSQL's `max_connections`. Five serve nine threads,
    because a thread holds a connection for a small part of a request."""

    signing_key: bytes = field(repr=False)
    """For a TokenSigner. From `SECRET_KEY`; else derived from `DATABASE_URL`, which every replica
    is given alike and nobody outside knows."""

    replica: str = "application"
    """The name by which the database knows our connections, say `backend/2`: `COLONNADE_REPLICA`."""

    sql_comments: bool = False
    """Whether statements of a recorded trace say so in a comment, which then stands in the database's log and in
    pg_stat_activity: `DATABASE_SQL_COMMENTS=1`. Such a statement is new to the server each time, and prepared anew."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from `environ`, by default the process's. Raises SettingsError."""
        env = os.environ if environ is None else environ
        primary = _database_url(env, "DATABASE_URL")
        if primary is None:
            raise SettingsError("DATABASE_URL is not set; give it as postgresql://user:password@host:port/name")
        standby = _database_url(env, "DATABASE_READ_URL")
        secret = env.get("SECRET_KEY") or primary.render_as_string(hide_password=False)
        return cls(
            primary_url=primary,
            standby_url=None if standby == primary else standby,
            pool_size=_pool_size(env.get("DATABASE_POOL_SIZE", "5")),
            signing_key=hmac.digest(secret.encode(), b"colonnade.client signing key", hashlib.sha256),
            replica=env.get("COLONNADE_REPLICA", "application"),
            sql_comments=env.get("DATABASE_SQL_COMMENTS", "") not in ("", "0"),
        )


def _database_url(env: Mapping[str, str], name: str) -> URL | None:
    text = env.get(name)
    if not text:
        return None
    try:
        url = make_url(text)
    except ArgumentError:
        # The cause is cut off on purpose: its message would repeat the URL, password and all.
        raise SettingsError(f"{name} is not a URL; expected postgresql://user:password@host:port/name") from None
    if url.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise SettingsError(f"{name} starts with {url.drivername!r}; expected postgresql://")
    return url.set(drivername="postgresql+psycopg")


def _pool_size(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 100:
        return int(text)
    raise SettingsError(f"DATABASE_POOL_SIZE is {text!r}; expected a whole number from 1 to 100")
